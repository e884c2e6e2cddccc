"""What is printed of trainings: how far they are, and what the lab's experiment found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vlsbench.cli._print import Listing

if TYPE_CHECKING:
    from vlsbench.lab.vlm import Reproduction


SHOWN = 6
"""Columns that a terminal has room for; the others are in table.md."""


@contextmanager
def progress(*, shown: bool = True) -> Iterator[Callable[[str, float, float], None]]:
    """Show a progress bar with the time left, on stderr; yields what moves it."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not shown,
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


def show(result: Reproduction) -> None:
    """Print the table, the differences and where the files are."""
    from vlsbench.lab.vlm import HEADINGS, HELD_OUT, note, rows_of, say

    title = "What rows with and without images teach"
    table = Listing(HEADINGS[:1], HEADINGS[1:SHOWN], title)
    for row in rows_of(result.lines):
        table.line(*(cell.strip("*") for cell in row[:SHOWN]))
    Console().print(table)
    typer.echo(note(len(result.seeds)))
    for difference in result.differences:
        if difference.stratum == HELD_OUT:
            typer.echo(f"{say(difference)}.")
    typer.echo(f"Files: {', '.join(str(path) for path in result.files)}")
