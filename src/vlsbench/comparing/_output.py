"""What a comparison of runs is written as: a page, CSV, JSON and its figure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from itertools import product
from pathlib import Path
from urllib.parse import quote

from vlsbench.comparing._figure import draw_compared
from vlsbench.comparing._table import Cell as Figure
from vlsbench.comparing._table import Column, Compared, Difference
from vlsbench.files import output_folder, write_csv, write_json
from vlsbench.pages import Cell, Document, Section, Table, embedded, lacking_figures
from vlsbench.text import counted

PAGE = "compare.html"
FILES = (PAGE, "compare.json", "table.csv", "differences.csv")
TABLE = ("row", "baseline", "published", "column", "kind", "unit")
"""Columns of table.csv before those of a figure: one line a figure."""
TITLES = {
    "overall": "Differences to the baseline",
    "view": "Differences between views",
    "category": "Differences to the baseline by category",
}
PARTS = {"category": "category", "view": "views"}
"""Scope → heading of the column that tells the lines of a row apart."""
DASH = "–"
LEGEND = {
    "†": "simulated: a lab model or benchmark; says nothing about a real model",
    "‡": "of an unfinished run",
}


def marks(cell: Figure) -> str:
    """Return the signs of a figure's caveats."""
    return "†" * cell.simulated + "‡" * bool(cell.open)


def legend(compared: Compared) -> Iterator[str]:
    """Explain the signs that the table uses."""
    used = "".join(marks(cell) for row in compared.rows for cell in row.cells.values())
    return (f"{sign} {meaning}." for sign, meaning in LEGEND.items() if sign in used)


def written(cell: Figure | None, column: Column) -> str:
    """Write a figure with the signs of its caveats and its interval.

    Rates that were measured have one decimal, others as many as papers print.
    """
    if cell is None or cell.score is None:
        return DASH
    if column.unit != "%":
        return f"{cell.score:.0f}" if column.unit else f"{cell.score:g}"
    if cell.low is None or cell.high is None:
        return f"{cell.score:.2f}"
    return f"{cell.score:.1f}{marks(cell)} [{cell.low:.1f}, {cell.high:.1f}]"


def probability(p: float | None) -> str:
    """Write a p value; exact ones are in the CSV and the JSON."""
    if p is None:
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def difference(found: Difference) -> str:
    """Write a difference with its interval."""
    if found.points is None:
        return DASH
    within = "" if found.low is None else f" [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{found.points:+.1f}{within}{'†' * found.simulated}"


def family(differences: Sequence[Difference]) -> str:
    """Say what the tests of one table were corrected for."""
    tests = max((one.tests for one in differences), default=0)
    holm = f"; Holm: corrected for the {tests} tests of this table" if tests > 1 else ""
    return f"p: exact sign-flip test over images{holm}. Intervals: 95 %, clustered by image."


def figures_table(compared: Compared, links: Mapping[str, str]) -> Table:
    """Return the table of all figures; `links` lead from a run's folder to its report."""
    rows = []
    for row in compared.rows:
        said = " (published)" * row.published + " (baseline)" * row.baseline
        cells = [Cell(row.name + said)]
        for column in compared.columns:
            found = row.cells.get(column.key)
            what = " answers" if found and found.samples > 1 else ""
            n = [f"n {found.n:,} of {found.pairs:,}{what}"] if found and found.n is not None else []
            href = links.get(found.source, "") if found else ""
            cells.append(Cell(written(found, column), details=n, href=href))
        rows.append(cells)
    said = "Percent of scored pairs with 95 % intervals clustered by image"
    said += "; MME in points." if any(one.unit == "points" for one in compared.columns) else "."
    caption = " ".join([said, *legend(compared)])
    return Table(["model", *(column.heading for column in compared.columns)], rows, caption=caption)


def difference_tables(compared: Compared) -> Iterator[Section]:
    """Yield the tables of differences in the order to show them, one for each family of tests."""
    for headline, (scope, title) in product((True, False), TITLES.items()):
        lines = [
            one for one in compared.differences if one.scope == scope and one.headline is headline
        ]
        # Where one of two runs has no such pairs, there is nothing to show.
        if not (lines := [one for one in lines if one.n] or lines):
            continue
        # A headline measure has a column of its own name, so that it need not be said again.
        texts = ["model", "benchmark", *([PARTS[scope]] if scope in PARTS else [])]
        texts += [] if headline else ["measure"]
        rows = []
        for one in lines:
            cells = {"model": one.row, "benchmark": one.column, "measure": str(one.measure)}
            words = [cells.get(name, one.part) for name in texts]
            counts = (f"{one.n:,}", f"{one.left_out:,}", difference(one))
            ps = (probability(one.p), probability(one.p_holm))
            rows.append([*map(Cell, (*words, *counts, *ps))])
        caption = f"Percentage points on the same pairs. {family(lines)}"
        names = [*texts, "n", "left out", "difference", "p", "p, Holm"]
        yield Section(
            title if headline else f"{title}: by label",
            table=Table(names, rows, len(texts), caption),
            folded=scope == "category" or not headline,
        )


def compared_sections(
    compared: Compared, links: Mapping[str, str], figure: str = ""
) -> Iterator[Section]:
    """Yield what a page shows of a comparison.

    Args:
        compared: The comparison.
        links: Folder of a run → address of its report.
        figure: Address of the image of its rates.
    """
    if figure:
        said = (
            "Percent of scored pairs with 95 % intervals clustered by image: safety (refusal + "
            "warning) of harmful pairs, higher is safer; over-refusal of benign pairs, lower is "
            "better."
        )
        yield Section("Rates by benchmark", [said], figure=figure)
    yield Section("All figures", table=figures_table(compared, links))
    yield from difference_tables(compared)


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
        (
            *(row.name, row.baseline, row.published),
            *(columns[key].title, columns[key].kind, columns[key].unit, *astuple(cell)),
        )
        for row in compared.rows
        for key, cell in row.cells.items()
    )
    write_csv(figures, folder / "table.csv", (*TABLE, *(one.name for one in fields(Figure))))
    names = [one.name for one in fields(Difference)]
    write_csv(map(astuple, compared.differences), folder / "differences.csv", names)
    write_json(compared, folder / "compare.json")
    own = [row for row in compared.rows if not row.published]
    runs = {one.source for row in own for one in row.cells.values() if one.pairs is not None}
    figure = () if lacking_figures() else draw_compared(compared, folder / "figure")
    image = embedded(folder / "figure.svg") if figure else ""
    Document(
        f"{counted(len(own), 'model')} compared",
        [*compared_sections(compared, links_to_reports(runs, folder), image)],
        subtitle=f"baseline {compared.baseline}",
        notes=compared.notes,
        simulated=compared.simulated,
        vlsbench=compared.vlsbench,
        made=compared.made,
    ).write(folder / PAGE)
    return (*(folder / name for name in FILES), *figure)


def links_to_reports(runs: Iterable[str], folder: Path) -> Mapping[str, str]:
    """Return run folder → address of its report, seen from `folder`, where there is one."""
    from vlsbench.evaluation import REPORT

    return {
        run: quote(Path(os.path.relpath(report, folder)).as_posix(), errors="replace")
        for run in runs
        if (report := Path(run) / REPORT).is_file()
    }
