"""What commands print: lines, tables and JSON, with text that others may have written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table

from vlsbench.text import terminal


def say(*lines: str, style: str | None = None, console: Console | None = None) -> None:
    """Print lines, on standard output unless `console` says otherwise."""
    console = console or Console()
    for line in lines:
        console.print(terminal(line), style=style, highlight=False)


def print_json(found: Any, indent: int | None = None) -> None:
    """Print a dataclass, or plain values, as JSON on standard output."""
    plain = asdict(found) if is_dataclass(found) and not isinstance(found, type) else found
    typer.echo(json.dumps(plain, indent=indent, default=str))


class Listing(Table):
    """A table: texts on the left, then numbers on the right."""

    def __init__(
        self, texts: Sequence[str], numbers: Sequence[str] = (), title: str | None = None
    ) -> None:
        """Take the headings of both kinds of columns."""
        super().__init__(
            *(Column(terminal(name), overflow="fold") for name in texts),
            *(Column(terminal(name), justify="right", no_wrap=True) for name in numbers),
            title=terminal(title) if title else None,
            title_justify="left",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )

    def line(self, *cells: object, style: str | None = None) -> None:
        """Add a row: counts with thousands separators, a dash for None."""
        said = (
            "–" if cell is None else f"{cell:,}" if isinstance(cell, int) else terminal(str(cell))
            for cell in cells
        )
        self.add_row(*said, style=style)
