"""What a comparison of runs is written as: a page, CSV, JSON and its figure."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import astuple, fields
from pathlib import Path
from urllib.parse import quote

from vlsbench.comparing._table import Cell as Figure
from vlsbench.comparing._table import Compared, Difference, Kind, Scope
from vlsbench.evaluation import REPORT
from vlsbench.files import output_folder, write_csv, write_json
from vlsbench.pages import (
    ENDINGS,
    SIMULATED,
    Bar,
    Cell,
    Document,
    Section,
    Table,
    bars,
    drawing,
    embedded,
    label,
    lacking_figures,
)
from vlsbench.text import counted

FILES = ("compare.html", "compare.json", "table.csv", "differences.csv")
TITLES = {
    Scope.OVERALL: "Differences to the baseline",
    Scope.VIEW: "Differences between views",
    Scope.CATEGORY: "Differences to the baseline by category",
}
PARTS = {Scope.CATEGORY: ["category"], Scope.VIEW: ["views"]}
"""Scope → heading of the column that tells the lines of a row apart."""
DASH = "–"


def _score(cell: Figure | None) -> str:
    """Write a figure with its interval; others' figures as they are given."""
    if cell is None or cell.score is None:
        return DASH
    if cell.low is None or cell.high is None:
        return f"{cell.score:g}"
    return f"{cell.score:.1f}{'†' * cell.simulated} [{cell.low:.1f}, {cell.high:.1f}]"


def _probability(p: float | None) -> str:
    """Write a p value; exact ones are in the CSV and the JSON."""
    return DASH if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _points(found: Difference) -> str:
    """Write a difference with its interval."""
    if found.points is None:
        return DASH
    within = "" if found.low is None else f" [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{found.points:+.1f}{within}{'†' * found.simulated}"


def report_of(run: str | Path, folder: Path | None) -> str:
    """Return the address of a run's own page, seen from a folder; empty where there is none."""
    page = Path(run) / REPORT
    if folder is None or not page.is_file():
        return ""
    return quote(Path(os.path.relpath(page, folder)).as_posix(), errors="replace")


def figures_table(compared: Compared, folder: Path | None = None) -> Table:
    """Return the table of all figures; where a folder is given, with links from there to runs."""
    rows = []
    for row in compared.rows:
        said = " (published)" * row.published + " (baseline)" * row.baseline
        cells = [Cell(row.name + said)]
        for column in compared.columns:
            found = row.cells.get(column.key)
            what = " answers" if found and found.samples > 1 else ""
            n = [f"n {found.n:,} of {found.pairs:,}{what}"] if found and found.n is not None else []
            href = report_of(found.source, folder) if found else ""
            cells.append(Cell(_score(found), details=n, href=href))
        rows.append(cells)
    caption = "Percent of scored pairs with 95 % intervals clustered by image."
    caption += f" {SIMULATED}." * compared.simulated
    return Table(["model", *(column.heading for column in compared.columns)], rows, caption=caption)


def difference_tables(compared: Compared) -> Iterator[Section]:
    """Yield the tables of differences in the order to show them, one for each family of tests."""
    for scope, title in TITLES.items():
        # Where one of two runs has no such pairs, there is nothing to show.
        lines = [one for one in compared.differences if one.scope is scope and one.n]
        if not lines:
            continue
        texts = ["model", "benchmark", *PARTS.get(scope, [])]
        rows = [
            [
                *map(Cell, (one.row, one.column, one.part)[: len(texts)]),
                *map(Cell, (f"{one.n:,}", f"{one.left_out:,}", _points(one))),
                *map(Cell, (_probability(one.p), _probability(one.p_holm))),
            ]
            for one in lines
        ]
        tests = max(one.tests for one in lines)
        holm = f"; Holm: corrected for the {tests} tests of this table" if tests > 1 else ""
        caption = (
            "Percentage points on the same pairs. p: exact sign-flip test over images"
            f"{holm}. Intervals: 95 %, clustered by image."
        )
        names = [*texts, "n", "left out", "difference", "p", "p, Holm"]
        table = Table(names, rows, len(texts), caption)
        yield Section(title, table=table, folded=scope is Scope.CATEGORY)


def draw_compared(compared: Compared, path: Path) -> bool:
    """Draw safety rates and over-refusal as PNG, SVG and PDF, and tell whether there are any.

    The bars are grouped like those of the paper's figure 1, published rows too.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    own = [row for row in compared.rows if not row.published]
    drawn = {key for row in own for key, cell in row.cells.items() if cell.score is not None}
    rates = (Kind.SAFETY, Kind.OVER_REFUSAL)
    columns = [one for one in compared.columns if one.key in drawn and one.kind in rates]
    series: dict[str, Sequence[Bar | None]] = {}
    for row in compared.rows:
        cells = [row.cells.get(column.key) for column in columns]
        simulated = any(cell and cell.simulated for cell in cells)
        name = row.name + " (published)" * row.published + " †" * simulated
        found = [Bar(c.score, c.low, c.high) if c and c.score is not None else None for c in cells]
        series |= {name: found} if any(found) else {}
    if not series:
        return False
    size = (max(4.0, len(columns) * (0.7 + 0.32 * len(series))), 3.0 + 0.18 * len(series))
    heads = [label(one.heading.replace(", %)", ")"), 60) for one in columns]
    with drawing(path, size, SIMULATED if compared.simulated else "") as figure:
        bars(figure.subplots(), heads, series, unit="percent of pairs")
        figure.legend(loc="outside upper left")
    return True


def write_compared(compared: Compared, folder: Path) -> tuple[Path, ...]:
    """Write a comparison as HTML, JSON and CSV, and its figure as PNG, SVG and PDF.

    The figure needs the extra `figures`, and is left out without it.

    Returns:
        The files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    output_folder(folder)
    columns = {column.key: column for column in compared.columns}
    figures = (
        (row.name, row.baseline, row.published, columns[key].title, columns[key].kind, *astuple(c))
        for row in compared.rows
        for key, c in row.cells.items()
    )
    heads = ("row", "baseline", "published", "column", "kind")
    write_csv(figures, folder / "table.csv", (*heads, *(one.name for one in fields(Figure))))
    names = [one.name for one in fields(Difference)]
    write_csv(map(astuple, compared.differences), folder / "differences.csv", names)
    write_json(compared, folder / "compare.json")
    sections = [Section("All figures", table=figures_table(compared, folder))]
    files = [folder / name for name in FILES]
    if not lacking_figures() and draw_compared(compared, folder / "figure"):
        said = "Safety of harmful pairs, higher is safer; over-refusal of benign ones."
        image = embedded(folder / "figure.svg")
        sections.insert(0, Section("Rates by benchmark", [said], figure=image))
        files += [folder / f"figure.{ending}" for ending in ENDINGS]
    Document(
        f"{counted(sum(not row.published for row in compared.rows), 'model')} compared",
        [*sections, *difference_tables(compared)],
        subtitle=f"baseline {compared.baseline}",
        notes=compared.notes,
        simulated=compared.simulated,
    ).write(files[0])
    return tuple(files)
