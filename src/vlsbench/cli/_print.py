"""What commands print: lines, tables and JSON, with text that others may have written."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import typer
from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, JustifyMethod, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vlsbench.text import block, terminal

if TYPE_CHECKING:
    from vlsbench.reviewing import Person

LEAST = 16
"""Columns of a terminal that names keep, or more where a word is longer."""


def say(*lines: str, style: str | None = None, console: Console | None = None) -> None:
    """Print lines, on standard output unless `console` says otherwise."""
    console = console or Console()
    for line in lines:
        console.print(terminal(line), style=style, highlight=False, emoji=False)


def prose(*, stderr: bool = True, quiet: bool = False) -> Console:
    """Open a console whose lines wrap between words on a terminal, and stay whole elsewhere."""
    console = Console(stderr=stderr, quiet=quiet)
    console.soft_wrap = not console.is_terminal
    return console


def print_links(address: str, people: Iterable[Person], *, as_json: bool, **told: Any) -> None:
    """Print people's secret links to a web app of this machine; as JSON with what else is told."""
    links = {one: f"{address}/enter/{one.link}" for one in people}
    if as_json:
        print_json({**told, "links": {one.name: link for one, link in links.items()}})
    else:
        console = prose(stderr=False)
        for one, link in links.items():
            what = "progress, for you only" if one.role == "organiser" else one.role
            say(f"  {one.name} ({what}): {link}", console=console)
        say(
            "Each link is one person's secret: open each in a browser or profile of its own. "
            "Ctrl-C stops; all answers are saved as they are given.",
            style="dim",
            console=console,
        )
    sys.stdout.flush()


def dollars(cost: float | None) -> str:
    """Write an estimate of cost in US dollars."""
    return "unknown" if cost is None else f"${cost:,.2f}"


def print_json(found: Any, indent: int | None = None) -> None:
    """Print a dataclass, or plain values, as JSON on standard output."""
    plain = asdict(found) if is_dataclass(found) and not isinstance(found, type) else found
    typer.echo(json.dumps(plain, indent=indent, default=str))


def _stacked(cell: str) -> str:
    """Write an interval below its figure."""
    return re.sub(r" (?=[\[(][+-]?\d)", "\n", cell)


def _width(cells: Sequence[str], *, words: bool = False) -> int:
    """Return how wide the widest line of some cells is, or the widest word."""
    parts = (part for cell in cells for part in (cell.split() if words else cell.split("\n")))
    return max(map(cell_len, parts), default=0)


class Listing:
    """A table: texts on the left, then numbers on the right; it breaks no word.

    Where the terminal is narrow, intervals stand below their figures; else each row stands for
    itself, its figures below its name.
    """

    def __init__(
        self, texts: Sequence[str], numbers: Sequence[str] = (), title: str | None = None
    ) -> None:
        """Take the headings of both kinds of columns."""
        self._texts, self._title = len(texts), title
        self._lines = [[block(name) for name in (*texts, *numbers)]]
        self._styles = ["bold"]

    def line(self, *cells: object, style: str = "") -> None:
        """Add a row: counts with thousands separators, a dash for None."""
        self._lines.append(
            ["–" if c is None else f"{c:,}" if isinstance(c, int) else block(c) for c in cells]
        )
        self._styles.append(style)

    def __rich_console__(self, _: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """Lay it out in the first form that fits."""
        if self._title:
            yield Text(block(self._title), "italic")
        for write in (str, _stacked):
            columns = [
                [head, *map(write, cells)] for head, *cells in zip(*self._lines, strict=True)
            ]
            widths = [_least(one, text=at < self._texts) for at, one in enumerate(columns)]
            widths[0] = max(widths[0], min(LEAST, _width(columns[0])))
            spare = options.max_width - sum(widths) - 2 * len(widths)
            if spare >= 0:
                yield self._grid(columns, widths, spare)
                return
        heads, *rows = self._lines
        for (name, *row), style in zip(rows, self._styles[1:], strict=True):
            yield Text(name, style)
            told = ", ".join(f"{head} {cell}" for head, cell in zip(heads[1:], row, strict=True))
            yield Padding(Text(told), (0, 0, 0, 2))

    def _grid(self, columns: Sequence[Sequence[str]], widths: list[int], spare: int) -> Table:
        """Return the table, with what room is left given to columns from the left."""
        how: Any = {"box": SIMPLE_HEAD, "show_edge": False, "header_style": "bold"}
        table = Table(padding=(0, 1, 0, 0), **how)
        for place, (column, width) in enumerate(zip(columns, widths, strict=True)):
            more = min(spare, _width(column) - width)
            spare -= more
            justify: JustifyMethod = "left" if place < self._texts else "right"
            table.add_column(Text(column[0]), justify=justify, vertical="top", width=width + more)
        for style, *cells in zip(
            self._styles[1:], *(column[1:] for column in columns), strict=True
        ):
            table.add_row(*(Text(cell, overflow="fold") for cell in cells), style=style)
        return table


def _least(column: Sequence[str], *, text: bool) -> int:
    """Return the width that a column needs: texts may wrap between words, figures may not."""
    head, *cells = column
    return _width(column, words=True) if text else max(_width(cells), _width([head], words=True))
