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

from vlsbench.cli._print import say
from vlsbench.cli._tables import print_table
from vlsbench.pages import Section, Table, cells

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


def findings(result: Reproduction) -> Section:
    """Return the table and the differences on held-out cells, for a page and a terminal."""
    from vlsbench.lab import vlm

    rows = [cells(*(cell.strip("*") for cell in row)) for row in vlm.rows_of(result.lines)]
    said = [f"{vlm.say(one)}." for one in result.differences if one.stratum == vlm.HELD_OUT]
    texts = [vlm.note(len(result.seeds)), *said]
    return Section("What rows with and without images teach", texts, Table(vlm.HEADINGS, rows))


def show(result: Reproduction) -> None:
    """Print the table's first columns, the differences and where the files are."""
    found = findings(result)
    if table := found.table:
        columns = Table(table.names[:SHOWN], [row[:SHOWN] for row in table.rows])
        print_table(columns, found.title)
    say(*found.texts)
    typer.echo(f"Files: {', '.join(str(path) for path in result.files)}")
