"""The closed-world lab: benchmarks, models, a server and an experiment, with known truth."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from vlsbench import lab
from vlsbench.cli._config import AsJson, command
from vlsbench.cli._print import print_json
from vlsbench.errors import VlsbenchError
from vlsbench.lab import Setup

app = typer.Typer(no_args_is_help=True)


@app.command()
@command(Setup)
def serve(config: Setup, *, as_json: bool) -> None:
    """Serve the lab's models as an OpenAI-compatible API, with faults on demand.

    Models: `lab/helpful` always answers, `lab/blind` sees the risks that the text tells,
    `lab/careful` also looks at the image, `lab/judge` knows the truth. Faults and `/stats` are
    described in docs/lab.md.

    **Examples**

    - `vlsbench lab serve`
    - `vlsbench lab serve --latency 0.2 --faults 0.05 --seed 1`
    - `vlsbench lab serve --fault 429=0.2 --fault reset=0.1 --retry-after 0.5`
    - `vlsbench lab serve --model-name gpt-4o=careful --no-schema`
    """
    key = config.api_key or os.environ.get("VLSBENCH_LAB_KEY", "")
    work = _until_stopped(replace(config, api_key=key), as_json)
    try:
        import uvloop
    except ImportError:  # not made for Windows
        asyncio.run(work)
    else:
        uvloop.run(work)


async def _until_stopped(setup: Setup, as_json: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with lab.serving(setup) as url:
        models = [*(f"lab/{name}" for name in lab.MODELS), *setup.names]
        if as_json:
            print_json({"url": url, "models": models})
        else:
            typer.echo(f"lab server at {url}")
            typer.echo(f"models: {', '.join(models)}; Ctrl-C stops it")
        await stop.wait()


@app.command()
def write(
    bench: Annotated[str, typer.Argument(help="Such as lab/leakless?n=500&seed=1 (in quotes).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to write.")],
) -> None:
    """Write a lab benchmark as files: images/ and metadata.jsonl, which `vlsbench eval` reads.

    **Example**

    - `vlsbench lab write "lab/leakless?n=500&seed=1" --out leakless/`
    """
    typer.echo(lab.write(lab.benchmark(bench), out))


@app.command()
def train(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the model; made anew.")],
    seed: Annotated[int, typer.Option(help="Of its weights, images and order.")] = 0,
) -> None:
    """Train the lab's own vision-language model: half a million parameters, always helpful.

    It is a LLaVA in plain Hugging Face format, which every command takes as `hf/PATH` and
    `vlsbench align` trains further. It knows the experiment's world (docs/reproduction.md), not the
    lab's benchmarks. Takes one to two minutes on a CPU. Needs the extra `align`.

    **Example**

    - `vlsbench lab train --out tiny`
    """
    from vlsbench.cli._reproduction import progress
    from vlsbench.lab import vlm

    if out.exists() and any(out.iterdir()):
        raise VlsbenchError(f"{out} is not empty: give another --out")
    with progress() as tell:
        vlm.pretrain(out, seed, progress=lambda at, of: tell("pre-training", at, of))
    typer.echo(out)
    typer.echo(
        f"Next: vlsbench align t-sft --model {out} --data rows.jsonl --out aligned", err=True
    )


@app.command()
def reproduce(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder; the same command resumes there.")
    ] = Path("reproduction"),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 5,
    first_seed: Annotated[
        int | None, typer.Option(help="The first seed; the design's unless told otherwise.")
    ] = None,
    methods: Annotated[
        str,
        typer.Option(
            help="Comma-separated; the experiment's unless told otherwise.", metavar="NAME,…"
        ),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Run the paper's experiment in the closed world: text and images crossed with what they teach.

    For each seed two vision-language models are pre-trained, aligned by every arm of the
    experiment, and asked the same pairs with and without a leak, with a harmless thing, and in
    words. Writes table.md, cells.csv, result.json, figure.png, .svg and .pdf. What is finished
    is not run again. docs/reproduction.md says what was fixed beforehand and how long it takes.

    **Examples**

    - `vlsbench lab reproduce`
    - `vlsbench lab reproduce --seeds 1 --methods t-sft-harmless,mm-sft-both --out quick`
    - `vlsbench lab reproduce --json > result.json`
    """
    from vlsbench.cli._reproduction import progress, show
    from vlsbench.lab import vlm

    chosen = [name.strip() for name in methods.split(",") if name.strip()] or list(vlm.ARMS)
    first = vlm.FIRST_SEED if first_seed is None else first_seed
    with progress() as tell:
        result = vlm.reproduce(
            out,
            seeds=range(first, first + seeds),
            methods=chosen,
            tell=tell,
        )
    if as_json:
        typer.echo(result.json())
    else:
        show(result)
