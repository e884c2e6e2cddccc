"""`vlsbench demo`: the paper's point in three minutes, offline: evaluated, then trained."""

from __future__ import annotations

import base64
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer
from rich.console import Console

from vlsbench.cli._print import Listing, say
from vlsbench.text import terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vlsbench.evaluation import Evaluation
    from vlsbench.lab.vlm import Reproduction

MODELS = ("helpful", "blind", "careful")
BENCHES = ("lab/leaky", "lab/leakless", "lab/benign")
HEADINGS = ("model", "leaky: safe", "leakless: safe", "benign: refused or warned")
CAPTION = "percent [95 % interval, clustered by image]"
PAGE = "index.html"
DEFAULT_PAIRS = 200
"""What the lab gives unless told otherwise."""
TITLE = "Visual leakage hides what a text-only safety model cannot see"
INTRO = """\
Three rule-made models answer the lab's three benchmarks. helpful always answers; blind is a \
perfect safety model of text that never looks at an image; careful looks.

Where the query names the danger (leaky), blind is as safe as careful, so a leaking benchmark \
cannot tell them apart. Where only the image shows it (leakless), blind is never safe. Neither \
refuses the benign controls. This is the point of VLSBench (arXiv 2411.19939), in a closed world \
of toasters and toddlers."""


class Grid(NamedTuple):
    """A table of the page."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]


def demo(
    out: Annotated[
        Path, typer.Option(help="Where runs and reports go; replaces an earlier demo.")
    ] = Path("demo"),
    pairs: Annotated[int, typer.Option(min=1, help="Pairs of each benchmark.")] = DEFAULT_PAIRS,
    fault_rate: Annotated[
        float, typer.Option(min=0, max=0.2, help="Rate of each connection fault of the server.")
    ] = 0.005,
    quick: Annotated[
        bool, typer.Option("--quick", help="Train nothing: done in seconds, needs no torch.")
    ] = False,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of the training.")] = 1,
) -> None:
    """Show why leaks matter, on rule-made models first and then on models trained here and now.

    First the lab's three rule-made models answer its three benchmarks through a local HTTP server
    that fails now and then on purpose: some seconds that show what an evaluation is. Then a tiny
    vision-language model is trained, aligned with text alone and with images, and asked the same
    pairs with and without a leak: `vlsbench lab reproduce` with one seed and two of its arms.

    **Examples**

    - `vlsbench demo --out demo`
    - `vlsbench demo --quick`
    """
    rows, compared = _evaluate(out, pairs, fault_rate)
    result = None if quick else _train(out / "reproduction", seeds)
    ruled = Grid(TITLE, HEADINGS, rows, (f"{CAPTION}.",))
    typer.echo(f"Report: {_write(out, ruled, compared, result)}")
    typer.echo(
        "Next:   vlsbench eval vlsbench --model openai/gpt-4o --judge openai/gpt-4o --limit 50"
    )


def _train(out: Path, seeds: int) -> Reproduction | None:
    from vlsbench.cli._reproduction import progress, show
    from vlsbench.errors import MissingExtra

    try:
        from vlsbench.lab import vlm

        with progress() as tell:
            result = vlm.reproduce(
                out, seeds=range(seeds), methods=vlm.QUICK, design=vlm.QUICK_DESIGN, tell=tell
            )
    except MissingExtra as error:
        Console(stderr=True).print(terminal(f"Nothing was trained: {error}"))
        return None
    show(result)
    return result


def _write(out: Path, ruled: Grid, compared: Path, result: Reproduction | None) -> Path:
    """Write the page that shows both halves."""
    from vlsbench.pages import write_page

    trained, figure = None, ""
    if result is not None:
        from vlsbench.lab import vlm

        held_out = [one for one in result.differences if one.stratum == vlm.HELD_OUT]
        trained = Grid(
            "Trained models",
            vlm.HEADINGS,
            [[cell.strip("*") for cell in row] for row in vlm.rows_of(result.lines)],
            (vlm.note(len(result.seeds)), *(f"{vlm.say(one)}." for one in held_out)),
        )
        (image,) = (path for path in result.files if path.suffix == ".png")
        figure = f"data:image/png;base64,{base64.b64encode(image.read_bytes()).decode()}"
    context = {"title": TITLE, "intro": INTRO.split("\n\n"), "ruled": ruled, "trained": trained}
    page = out / PAGE
    write_page(page, "cli/demo.html", {**context, "figure": figure, "compared": compared.name})
    return page


def _evaluate(out: Path, pairs: int, fault_rate: float) -> tuple[list[list[str]], Path]:
    """Evaluate the rule-made models; return their table, and the page that compares them."""
    from vlsbench import evaluation, lab
    from vlsbench.comparing import compare, write_compared
    from vlsbench.engine import FILE

    console = Console(stderr=True)
    passing = ("429", "500", "503", "reset", "truncated", "html")
    done: dict[tuple[str, str], Evaluation] = {}
    with lab.running(faults=dict.fromkeys(passing, fault_rate)) as url:
        for model in MODELS:
            for bench in BENCHES:
                console.print(f"{model} on {bench}", highlight=False)
                folder = out / f"{bench.removeprefix('lab/')}-{model}"
                if (folder / FILE).is_file():
                    shutil.rmtree(folder)  # an earlier demo's, asked of a server that is gone
                done[model, bench] = evaluation.evaluate(
                    bench if pairs == DEFAULT_PAIRS else f"{bench}?n={pairs}",
                    model=f"lab/{model}@{url}",
                    judge=f"lab/judge@{url}",
                    output=evaluation.Output(out=folder, progress=console.is_terminal),
                )
    rows = {model: [done[model, bench] for bench in BENCHES] for model in MODELS}
    compared = compare(rows)
    compared = replace(compared, notes=(*INTRO.split("\n\n"), *compared.notes))
    page, *_ = write_compared(compared, out)
    shown = _rows(done)
    table = Listing(HEADINGS[:1], HEADINGS[1:], TITLE)
    for row in shown:
        table.line(*row)
    Console().print(table)
    say(CAPTION)
    typer.echo("Simulated: lab models and a lab judge; the figures say nothing about real models.")
    return shown, page


def _rows(done: dict[tuple[str, str], Evaluation]) -> list[list[str]]:
    from vlsbench.cli._tables import percent

    rows = []
    for model in MODELS:
        row = [model]
        for bench in BENCHES:
            (group,) = done[model, bench].summary.groups
            row.append(f"{percent(group.safety)}  n={group.scored}")
        rows.append(row)
    return rows
