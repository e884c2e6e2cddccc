"""What commands print: lines, tables and JSON, with text that others may have written."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, is_dataclass
from itertools import chain, product
from typing import TYPE_CHECKING, Any

import typer
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vlsbench.text import block, terminal

if TYPE_CHECKING:
    from vlsbench.reviewing import Person

LEAST = 16
"""Columns of a terminal that names keep, or more where a word is longer."""
_BOUNDS = re.compile(r"(?<=[\[(])([+-]?\d+\.\d)(, |–| to )([+-]?\d+\.\d)(?=[\])])")
"""An interval whose bounds have one decimal."""


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


def _rounded(cell: str) -> str:
    """Round the bounds of an interval outwards to whole numbers."""

    def outwards(found: re.Match[str]) -> str:
        form = "+d" if "+" in found[0] else "d"
        return f"{math.floor(float(found[1])):{form}}{found[2]}{math.ceil(float(found[3])):{form}}"

    return _BOUNDS.sub(outwards, cell)


def _stacked(cell: str) -> str:
    """Write an interval below its figure."""
    return re.sub(r" (?=[\[(][+-]?\d)", "\n", cell)


_FORMS: Sequence[Callable[[str], str]] = (str, _rounded, _stacked)
"""How figures are written, the longest way first."""


def _width(cells: Sequence[str], *, words: bool = False) -> int:
    """Return how wide the widest line of some cells is, or the widest word."""
    parts = (part for cell in cells for part in (cell.split() if words else cell.split("\n")))
    return max(map(cell_len, parts), default=0)


class Listing:
    """A table: texts on the left, then numbers on the right; it breaks no word.

    Where the terminal is narrow, figures give way before names: columns without any are left out
    and intervals rounded; else intervals stand below their figures; else names stand above them,
    or all texts.
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
        numbers = len(self._lines[0]) > self._texts
        for above, shorten in product((0, 1, *([self._texts] * numbers)), _FORMS):
            columns = list(self._columns(shorten))
            shown, texts = columns[above:], self._texts - above
            widths = [_least(column, text=place < texts) for place, column in enumerate(shown)]
            if texts and not above:
                widths[0] = max(widths[0], min(LEAST, _width(shown[0])))
            spare = options.max_width - sum(widths) - 2 * len(widths)
            if spare >= 0:
                break
        else:
            yield from self._one_by_one()
            return
        for place, column in enumerate(shown):
            more = min(spare, _width(column) - widths[place])
            widths[place], spare = widths[place] + more, spare - more
        for row, (style, *cells) in enumerate(zip(self._styles, *shown, strict=True)):
            if above:
                yield Text(
                    " · ".join(filter(None, (cells[row] for cells in columns[:above]))), style
                )
            grid = Table.grid(padding=(0, 2, 0, 0))
            for place, width in enumerate(widths):
                grid.add_column(
                    width=width,
                    justify="left" if place < texts else "right",
                    vertical="top" if row else "bottom",
                )
            grid.add_row(*(Text(cell, overflow="fold") for cell in cells), style=style)
            yield Padding(grid, (0, 0, 0, 2 * above), expand=False)
            if not row:
                yield Text("─" * (sum(widths) + 2 * len(widths) - 2 + 2 * above), "dim")
        changed = shorten is _rounded and any(map(_BOUNDS.search, chain(*self._lines)))
        yield Text("Bounds are rounded outwards to fit.\n" * changed, "dim")

    def _columns(self, shorten: Callable[[str], str]) -> Iterator[Sequence[str]]:
        for place, (head, *cells) in enumerate(zip(*self._lines, strict=True)):
            if place < self._texts:
                yield head, *cells
            elif shorten is str or set(cells) - {"0", "–"}:
                yield head, *map(shorten, cells)

    def _one_by_one(self) -> Iterator[RenderableType]:
        heads, *rows = self._lines
        for (name, *cells), style in zip(rows, self._styles[1:], strict=True):
            yield Text(name, style)
            told = ", ".join(f"{head} {cell}" for head, cell in zip(heads[1:], cells, strict=True))
            yield Padding(Text(told), (0, 0, 0, 2))


def _least(column: Sequence[str], *, text: bool) -> int:
    """Return the width that a column needs: texts may wrap between words, figures may not."""
    head, *cells = column
    return _width(column, words=True) if text else max(_width(cells), _width([head], words=True))
