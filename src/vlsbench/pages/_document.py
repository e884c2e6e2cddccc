"""Pages of sections: what they show is data, and one template lays it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from vlsbench import __version__
from vlsbench.pages._page import Bounded, within, write_page
from vlsbench.stats import Rate


class Cell(NamedTuple):
    """A cell of a table."""

    text: str
    value: float | None = None
    """What it is sorted by; None stands last."""
    details: Sequence[str] = ()
    """What is said below it, in small letters."""
    href: str = ""


def cells(*values: Rate | Bounded | str | int | None) -> list[Cell]:
    """Write words, counts, and shares or differences with their intervals; a dash for None."""
    found = []
    for value in values:
        if value is None or isinstance(value, str):
            found.append(Cell("–" if value is None else value))
        elif isinstance(value, int):
            found.append(Cell(f"{value:,}", value))
        else:
            share = value.rate if isinstance(value, Rate) else value.value
            found.append(Cell(within(share, value.low, value.high), share))
    return found


@dataclass(frozen=True, slots=True)
class Table:
    """Texts on the left, then numbers on the right; pages and terminals show the same ones."""

    names: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    texts: int = 1
    """Columns of texts."""
    caption: str = ""
    bar: str = ""
    """Name of the column whose shares are drawn as bars, too."""
    fill: str = "refusal"
    """Label by whose colour they are drawn."""
    sortable: bool = False
    """It can be sorted and filtered, by a script; one table of a page may be."""


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, and any of texts, a figure, a table, links and a listing below it."""

    title: str
    texts: Sequence[str] = ()
    table: Table | None = None
    folded: bool = False
    """The table is shown on demand: many rows, or secondary ones."""
    figure: str = ""
    """Address of an image."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Words → address."""
    code: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    part: str = ""
    """The part of the page that begins here: it is linked at the top."""


@dataclass(frozen=True, slots=True)
class Document:
    """A page."""

    title: str
    sections: Sequence[Section]
    subtitle: str = ""
    eyebrow: str = "vlsbench · cross-modal safety"
    intro: Sequence[str] = ()
    notes: Sequence[str] = ()
    simulated: bool = False
    vlsbench: str = __version__
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    @property
    def scripted(self) -> bool:
        """Whether it runs the script that sorts and filters."""
        return any(section.table and section.table.sortable for section in self.sections)

    def write(self, path: Path) -> None:
        """Write it as a single HTML file that needs no network."""
        script = "leaderboard.js" if self.scripted else ""
        write_page(path, "document.html", {"page": self}, script=script)
