"""The page that compares runs pair by pair, and the files beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from vlsbench.comparing._figure import write_figure
from vlsbench.comparing._index import COLOURS, NARROW, Bar, Panel, Series, letter
from vlsbench.comparing._text import (
    LEGEND,
    bounds,
    differences_csv,
    family,
    heading,
    latex,
    marks,
    points,
    probability,
    score,
    table_csv,
)
from vlsbench.pages._page import write_page

if TYPE_CHECKING:
    from vlsbench.comparing._types import Column, Compared, Difference, Row

PAGE = "compare.html"
JSON = "compare.json"
LATEX = "compare.tex"
TABLE = "table.csv"
DIFFERENCES = "differences.csv"
TITLES = {
    "overall": "Differences to the baseline",
    "view": "Differences between views",
    "category": "Differences to the baseline by category",
}


@dataclass(frozen=True, slots=True)
class DifferencesTable:
    """Differences that were corrected together."""

    title: str
    caption: str
    part: str
    """Head of the column that tells the lines of a row apart; empty where none does."""
    lines: Sequence[Difference]
    folded: bool
    """Shown on demand: many lines, or secondary ones."""


def difference_tables(compared: Compared) -> list[DifferencesTable]:
    """Return the tables of differences in the order to show them, one for each family of tests."""
    tables = []
    for headline in (True, False):
        for scope, title in TITLES.items():
            lines = [
                one
                for one in compared.differences
                if one.scope == scope and one.measure.headline is headline
            ]
            if lines:
                what = title if headline else f"{title}: refusal and warning"
                part = {"category": "Category", "view": "Views"}.get(scope, "")
                folded = scope == "category" or not headline
                tables.append(DifferencesTable(what, family(lines), part, lines, folded))
    return tables


def write_compared(compared: Compared, folder: Path) -> tuple[Path, ...]:
    """Write a comparison as HTML, JSON, CSV, LaTeX and, where matplotlib is installed, a figure.

    Returns:
        The files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    from vlsbench.files import whole_file

    folder.mkdir(parents=True, exist_ok=True)
    tables = difference_tables(compared)
    headline = [one for one in compared.differences if one.scope == "overall"]
    texts = {
        JSON: json.dumps(asdict(compared), indent=2, ensure_ascii=False),
        TABLE: table_csv(compared),
        DIFFERENCES: differences_csv(compared.differences),
        LATEX: latex(compared, [one for one in headline if one.measure.headline]),
    }
    for name, text in texts.items():
        with whole_file(folder / name) as part:
            part.write_text(text, encoding="utf-8", errors="replace", newline="\n")
    write_page(folder / PAGE, "comparing/compare.html", _context(compared, tables, folder))
    figures = write_figure(compared, folder)
    return (folder / PAGE, *(folder / name for name in texts), *figures)


def _context(
    compared: Compared, tables: Sequence[DifferencesTable], folder: Path
) -> Mapping[str, Any]:
    own = [row for row in compared.rows if not row.published]
    return {
        "compared": compared,
        "own": own,
        "published": [row for row in compared.rows if row.published],
        "links": _links(own, folder),
        "charts": _charts(compared, own),
        "tables": tables,
        "legend": LEGEND,
        "score": score,
        "bounds": bounds,
        "marks": marks,
        "points": points,
        "probability": probability,
        "heading": heading,
    }


def _links(rows: Sequence[Row], folder: Path) -> Mapping[str, str]:
    """Return run folder → address of its report, seen from `folder`, where there is one."""
    from vlsbench.evaluation import REPORT

    runs = {cell.source for row in rows for cell in row.cells.values() if cell.pairs is not None}
    return {
        run: quote(Path(os.path.relpath(report, folder)).as_posix(), errors="replace")
        for run in runs
        if (report := Path(run) / REPORT).is_file()
    }


def _charts(compared: Compared, rows: Sequence[Row]) -> list[tuple[bool, list[Panel]]]:
    from vlsbench.comparing._types import Kind

    charts = []
    for kind in (Kind.SAFETY, Kind.OVER_REFUSAL):
        columns = [column for column in compared.columns if column.kind is kind]
        panels = [panel for column in columns if (panel := _panel(column, rows))]
        if panels:
            charts.append((kind is Kind.SAFETY, panels))
    return charts


def _panel(column: Column, rows: Sequence[Row]) -> Panel | None:
    from vlsbench.stats import Rate

    cells = [row.cells.get(column.key) for row in rows]
    pairs = [cell.pairs for cell in cells if cell and cell.pairs is not None]
    if not pairs:
        return None
    slot, bars = 100 / len(rows), []
    for index, (row, cell) in enumerate(zip(rows, cells, strict=True)):
        rate = None
        if cell:
            share, low, high = (
                None if value is None else value / 100
                for value in (cell.score, cell.low, cell.high)
            )
            rate = Rate(cell.k or 0, cell.n or 0, share, low, high)
        series = Series(row.name, letter(index), index % COLOURS)
        bars.append(Bar(series, rate, "", slot * (index + 0.14), slot * 0.72))
    name = column.title + (" · simulated" if any(c and c.simulated for c in cells) else "")
    return Panel(name, max(pairs), bars, len(rows) > NARROW)
