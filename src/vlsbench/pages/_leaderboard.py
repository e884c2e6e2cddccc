"""Leaderboards of any kind as one page: sortable, filterable, and static."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vlsbench import __version__
from vlsbench.pages._page import write_page


class Cell(NamedTuple):
    """A figure in words, and what it is sorted by; None stands last."""

    text: str
    value: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BoardRow:
    """One row: a benchmark, a model."""

    name: str
    href: str
    """Address of what it comes from, escaped; empty where there is none."""
    details: Sequence[str]
    """What to know before comparing it with others."""
    cells: Sequence[Cell]
    simulated: bool = False
    paper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """All that the page of a leaderboard shows."""

    eyebrow: str
    title: str
    subtitle: str
    intro: Sequence[str]
    caption: str
    names: Sequence[str]
    """Headings: of the rows' names, then of their cells."""
    rows: Sequence[BoardRow]
    lead: int
    """Which of the cells is drawn as a bar: a share."""
    fill: str
    """The label whose colour the bar has."""
    made: str
    about: Mapping[str, Any]
    """Settings, as JSON values."""
    notes: Sequence[str] = ()
    vlsbench: str = __version__

    @property
    def simulated(self) -> bool:
        """Whether a row is."""
        return any(row.simulated for row in self.rows)

    @property
    def settings(self) -> str:
        """The settings, written out."""
        return json.dumps(self.about, indent=2, ensure_ascii=False)


def write_board(board: Board, path: Path) -> None:
    """Write a leaderboard as a single HTML file with the one script that sorts and filters it."""
    write_page(path, "leaderboard.html", {"board": board}, script="leaderboard.js")
