"""What `lab reproduce` and `demo` print of the experiment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from vlsbench.lab.vlm import Reproduction

SHOWN = {
    "leaky safe": "leaky: safe",
    "leakless safe": "leakless: safe",
    "over-refusal": "harmless: declined",
    "net": "net",
    "naming": "names things",
}
"""Column of the result → heading; the others are in table.md."""


@contextmanager
def progress() -> Iterator[Callable[[str, float, float], None]]:
    """Show a progress bar with the time left, on stderr; yields what moves it."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


def show(result: Reproduction) -> None:
    """Print the table, the leak sweep's areas, and where the files are."""
    from vlsbench.lab.vlm import percent

    seeds = len(result.seeds)
    table = Table(
        title="Textual against multimodal alignment", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("model", no_wrap=True)
    for heading in SHOWN.values():
        table.add_column(heading, justify="right")
    for line in result.lines:
        table.add_row(line.arm, *(percent(line.figures[name]) for name in SHOWN))
    Console().print(table)
    over = f"mean of {seeds} seeds [95 % t-interval]" if seeds > 1 else "1 seed"
    typer.echo(f"Percent of scored replies, {result.pairs} pairs a set; {over}.")
    typer.echo("net: safe on leakless less declined on the same text with a harmless thing.")
    for area in result.areas:
        typer.echo(
            f"Leak sweep: {area.multimodal} over {area.textual} by {percent(area.area)} points on "
            "average over all shares of leaking pairs."
        )
    for name, mean in result.unseen.items():
        typer.echo(f"mm-sft-unseen, net on things {name}: {percent(mean)}")
    typer.echo(f"{result.simulated[0].upper()}{result.simulated[1:]}.")
    typer.echo(f"Files: {', '.join(str(path) for path in result.files)}")
