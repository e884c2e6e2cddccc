"""What is printed of trainings: how far they are, and what the lab's experiment found."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.progress import Progress

from vlsbench.cli._tables import print_sections

if TYPE_CHECKING:
    from vlsbench.lab.vlm import Reproduction


@contextmanager
def progress(*, shown: bool = True) -> Iterator[Callable[[str, float, float], None]]:
    """Show a progress bar with the time left, on stderr; yields what moves it."""
    with Progress(console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total
        )


def show(result: Reproduction) -> None:
    """Print the arms, how they differ on held-out cells, and where the files are."""
    print_sections(result.shown, ())
    typer.echo(f"Files: {', '.join(str(path) for path in result.files)}")
