"""The page that compares runs pair by pair, and the files beside it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import quote

from vlsbench.comparing._table import Column, Compared, Difference, Kind
from vlsbench.comparing._text import WORDS, differences_csv, family, figure, latex, table_csv
from vlsbench.files import write_json, write_text
from vlsbench.pages._page import write_page

PAGE = "compare.html"
TITLES = {
    "overall": "Differences to the baseline",
    "view": "Differences between views",
    "category": "Differences to the baseline by category",
}
PARTS = {"category": "Category", "view": "Views"}


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
    for headline, scope in product((True, False), TITLES):
        lines = [
            one
            for one in compared.differences
            if one.scope == scope and one.measure.headline is headline
        ]
        if lines:
            title = TITLES[scope] + ("" if headline else ": refusal and warning")
            folded = scope == "category" or not headline
            part = PARTS.get(scope, "")
            tables.append(DifferencesTable(title, family(lines), part, lines, folded))
    return tables


def write_compared(compared: Compared, folder: Path) -> tuple[Path, ...]:
    """Write a comparison as HTML, JSON, CSV, LaTeX and a figure.

    Returns:
        The files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    headline = [d for d in compared.differences if d.scope == "overall" and d.measure.headline]
    charts = _charts(compared)
    texts = {
        "table.csv": table_csv(compared),
        "differences.csv": differences_csv(compared.differences),
        "compare.tex": latex(compared, headline),
    }
    if charts:
        texts["figure.svg"] = figure(compared, charts)
    for name, text in texts.items():
        write_text(text, folder / name)
    write_json(compared, folder / "compare.json")
    tables, links = difference_tables(compared), _links(compared, folder)
    context = {"compared": compared, "tables": tables, "charts": charts, "links": links}
    write_page(folder / PAGE, "comparing/compare.html", {**context, **WORDS})
    return tuple(folder / name for name in (PAGE, "compare.json", *texts))


def _links(compared: Compared, folder: Path) -> Mapping[str, str]:
    """Return run folder → address of its report, seen from `folder`, where there is one."""
    from vlsbench.evaluation import REPORT

    own = (row for row in compared.rows if not row.published)
    runs = {cell.source for row in own for cell in row.cells.values() if cell.pairs is not None}
    return {
        run: quote(Path(os.path.relpath(report, folder)).as_posix(), errors="replace")
        for run in runs
        if (report := Path(run) / REPORT).is_file()
    }


def _charts(compared: Compared) -> dict[Kind, list[Column]]:
    """Return the columns to draw by what they show: those of which a run here has a figure."""
    drawn = {
        key
        for row in compared.rows
        for key, cell in row.cells.items()
        if not row.published and cell.score is not None
    }
    charts = {
        kind: [one for one in compared.columns if one.kind is kind and one.key in drawn]
        for kind in (Kind.SAFETY, Kind.OVER_REFUSAL)
    }
    return {kind: columns for kind, columns in charts.items() if columns}
