"""The closed-world lab: benchmarks, models, a server and an experiment, with known truth."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Annotated

import typer

from vlsbench import lab
from vlsbench.cli._config import command
from vlsbench.errors import VlsbenchError
from vlsbench.lab import Setup

app = typer.Typer(no_args_is_help=True)


@app.command()
@command(Setup)
def serve(config: Setup) -> None:
    """Serve the lab's models as an OpenAI-compatible API, with faults on demand.

    Models: `lab/helpful` always answers, `lab/blind` sees the risks that the text tells,
    `lab/careful` also looks at the image, `lab/judge` knows the truth. Faults and `/stats` are
    described in docs/lab.md.

    **Examples**

    - `vlsbench lab serve --latency 0.2`
    - `vlsbench lab serve --fault 429=0.2 --fault reset=0.1 --retry-after 0.5 --seed 1`
    - `vlsbench lab serve --model-name gpt-4o=careful --no-schema`
    """
    from vlsbench.engine import run_async

    async def until_stopped() -> None:
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with lab.serving(config) as url:
            typer.echo(f"lab server at {url}")
            models = [*(f"lab/{name}" for name in lab.MODELS), *config.names]
            typer.echo(f"models: {', '.join(models)}; Ctrl-C stops it")
            await stop.wait()

    run_async(until_stopped)


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


@app.command()
def reproduce(
    out: Annotated[
        Path, typer.Option("--out", "-o", help="Output folder; the same command resumes there.")
    ] = Path("reproduction"),
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 5,
    methods: Annotated[
        str, typer.Option(help="Comma-separated arms; by default all.", metavar="NAME,…")
    ] = "",
) -> None:
    """Run the paper's experiment in the closed world: text and images crossed with what they teach.

    For each seed two vision-language models are pre-trained, aligned by every arm of the
    experiment, and asked the same pairs with and without a leak, with a harmless thing, and in
    words. Writes table.md, cells.csv, figure.png, .svg and .pdf. What is finished is not run again.
    docs/reproduction.md says what was fixed beforehand and how long it takes.

    **Examples**

    - `vlsbench lab reproduce`
    - `vlsbench lab reproduce --seeds 1 --methods t-sft-harmless,mm-sft-both --out quick`
    """
    from vlsbench.cli._reproduction import progress, show
    from vlsbench.lab import vlm

    chosen = [name.strip() for name in methods.split(",") if name.strip()] or list(vlm.ARMS)
    first = vlm.FIRST_SEED
    with progress() as tell:
        show(vlm.reproduce(out, seeds=range(first, first + seeds), methods=chosen, tell=tell))
