"""What a comparison of runs is written as: a page, LaTeX, CSV, JSON and its figure."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import quote

from vlsbench.comparing._figure import draw_compared
from vlsbench.comparing._table import Cell, Column, Compared, Difference
from vlsbench.files import output_folder, write_json, write_text
from vlsbench.pages import clean, embedded, lacking_figures, write_page
from vlsbench.text import block, csv_cell

PAGE = "compare.html"
FILES = (PAGE, "compare.json", "table.csv", "differences.csv", "compare.tex")
TITLES = {
    "overall": "Differences to the baseline",
    "view": "Differences between views",
    "category": "Differences to the baseline by category",
}
PARTS = {"category": "category", "view": "views"}
"""Scope → heading of the column that tells the lines of a row apart."""
DASH = "–"
SIMULATED = "†"
LEGEND = {
    SIMULATED: "simulated: a lab model or benchmark; says nothing about a real model",
    "‡": "of an unfinished run",
}
_LATEX = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "−": "$-$",
    "·": r"$\cdot$", "–": "--", "†": r"$^\dagger$", "‡": r"$^\ddagger$", "\u202f": r"\,",
    # After the end of a row these two would be its options.
    "[": "{[}", "*": "{*}",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}  # fmt: skip


def marks(cell: Cell) -> str:
    """Return the signs of a figure's caveats."""
    return "†" * cell.simulated + "‡" * bool(cell.open)


def legend(compared: Compared) -> list[str]:
    """Explain the signs that the table uses."""
    used = "".join(marks(cell) for row in compared.rows for cell in row.cells.values())
    return [f"{sign} {meaning}." for sign, meaning in LEGEND.items() if sign in used]


def score(cell: Cell | None, column: Column) -> str:
    """Write a figure without its interval: rates with one decimal, others as papers print them."""
    if cell is None or cell.score is None:
        return DASH
    if column.unit != "%":
        return f"{cell.score:.0f}"
    return f"{cell.score:.2f}" if cell.low is None else f"{cell.score:.1f}"


def bounds(found: Cell) -> str:
    """Write a rate's 95 % interval, as `52.1, 66.0`."""
    if found.low is None or found.high is None:
        return ""
    return f"{found.low:.1f}, {found.high:.1f}"


def written(cell: Cell | None, column: Column) -> str:
    """Write a figure with the signs of its caveats and its interval."""
    if cell is None or cell.low is None:
        return score(cell, column)
    return f"{score(cell, column)}{marks(cell)} [{bounds(cell)}]"


def probability(p: float | None) -> str:
    """Write a p value; exact ones are in the CSV and the JSON."""
    if p is None:
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def difference_cells(found: Difference, part: str = "") -> dict[str, str]:
    """Return a difference as all tables show it: heading → cell.

    Args:
        found: The difference.
        part: Heading of its category or views; empty where the table has none.
    """
    points = DASH if found.points is None else f"{found.points:+.1f}"
    if found.low is not None and found.high is not None:
        points += f" [{found.low:+.1f}, {found.high:+.1f}]"
    before, after = (DASH if r is None else f"{r:.1f}" for r in (found.before, found.after))
    return {
        **{"model": found.row, "benchmark": found.column},
        **({part: found.part} if part else {}),
        **{"measure": str(found.measure), "n": f"{found.n:,}", "left out": f"{found.left_out:,}"},
        **{
            "before": before,
            "after": after,
            "difference": points + SIMULATED * (found.simulated and found.points is not None),
        },
        "gained, lost": f"{found.gained:,}, {found.lost:,}",
        **{"p": probability(found.p), "p, Holm": probability(found.p_holm)},
    }


def heading(column: Column) -> str:
    """Write a column's title with what it measures."""
    if column.bench:
        return f"{re.sub(r' [(](benign|net)[)]$', '', column.title)} ({column.kind}, %)"
    return column.title + (", %" if column.unit == "%" else "")


def family(differences: Sequence[Difference]) -> str:
    """Say what the tests of one table were corrected for."""
    tests = max((one.tests for one in differences), default=0)
    holm = f"; Holm: corrected for the {tests} tests of this table" if tests > 1 else ""
    return f"p: exact sign-flip test over images{holm}. Intervals: 95 %, clustered by image."


WORDS = {one.__name__: one for one in (bounds, heading, marks, score)} | {"LEGEND": LEGEND}
"""What the page's template calls."""
LATEX_HEAD = r"""% Written by vlsbench compare. Needs \usepackage{booktabs}, and XeLaTeX or LuaLaTeX
% where names go beyond Latin letters."""


def tex(text: object) -> str:
    """Escape a text for LaTeX, on one line; control characters become question marks."""
    line = re.sub(r"[\u2400-\u2421\ufffd]", "?", " ".join(str(clean(str(text))).split()))
    return "".join(_LATEX.get(sign, sign) for sign in line)


def _latex(compared: Compared) -> str:
    """Write the table and the overall differences for a paper (package booktabs)."""
    columns = compared.columns
    own, published = (
        [
            [f"{row.name} (baseline)" if row.baseline else row.name]
            + [written(row.cells.get(column.key), column) for column in columns]
            for row in compared.rows
            if row.published is apart
        ]
        for apart in (False, True)
    )
    caption = "Percent of scored pairs with 95 % intervals clustered by image; MME in points."
    said = " ".join([caption, *legend(compared), *compared.notes])
    rows = [*own, *([["Published"]] if published else []), *published]
    tables = [_tabular(["Model", *map(heading, columns)], rows, 1, said)]
    headline = [d for d in compared.differences if d.scope == "overall" and d.measure.headline]
    if headline:
        names = ["model", "benchmark", "measure", "n", "difference", "p", "p, Holm"]
        lines = [[difference_cells(one)[name] for name in names] for one in headline]
        said = "Paired differences to the baseline in percentage points. " + family(headline)
        said += f" {SIMULATED} {LEGEND[SIMULATED]}." * compared.simulated
        tables.append(_tabular(names, lines, 3, said))
    return "\n".join([LATEX_HEAD, *tables])


def _tabular(names: Sequence[str], rows: Sequence[Sequence[str]], texts: int, caption: str) -> str:
    """Write a table whose first columns are texts; a row of one cell is a heading."""

    def line(cells: Sequence[str]) -> str:
        if len(cells) == 1 < len(names):
            heading = rf"\multicolumn{{{len(names)}}}{{l}}{{\emph{{{tex(cells[0])}}}}}"
            return rf"\midrule {heading} \\"
        return " & ".join(map(tex, cells)) + r" \\"

    kinds = "l" * texts + "r" * (len(names) - texts)
    head = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{kinds}}}", r"\toprule"]
    end = [r"\bottomrule", r"\end{tabular}", rf"\caption{{{tex(caption)}}}", r"\end{table}", ""]
    return "\n".join([*head, line(names), r"\midrule", *map(line, rows), *end])


def write_csv(rows: Iterable[Mapping[str, Any]], names: Iterable[str], path: Path) -> None:
    """Write rows as CSV that no spreadsheet computes."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(names), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        cells = {name: block(v) if isinstance(v, str) else v for name, v in row.items()}
        writer.writerow({name: csv_cell(cell) for name, cell in cells.items()})
    write_text(out.getvalue(), path)


def _figures(compared: Compared) -> list[dict[str, Any]]:
    """Return the table in long form: one line a figure, simulated and published ones marked."""
    columns = {column.key: column for column in compared.columns}
    return [
        {
            **{"row": row.name, "baseline": row.baseline, "published": row.published},
            **{"column": columns[key].title, "kind": columns[key].kind, "unit": columns[key].unit},
            **asdict(cell),
        }
        for row in compared.rows
        for key, cell in row.cells.items()
    ]


@dataclass(frozen=True, slots=True)
class DifferencesTable:
    """Differences that were corrected together."""

    title: str
    caption: str
    texts: int
    """Columns with words, on the left; the others are numbers."""
    cells: Sequence[Mapping[str, str]]
    """Heading → cell, for each line."""
    folded: bool
    """Shown on demand: many lines, or secondary ones."""


def difference_tables(compared: Compared) -> list[DifferencesTable]:
    """Return the tables of differences in the order to show them, one for each family of tests."""
    tables = []
    for headline, (scope, title) in product((True, False), TITLES.items()):
        lines = [
            one
            for one in compared.differences
            if one.scope == scope and one.measure.headline is headline
        ]
        # Where one of two runs has no such pairs, there is nothing to show.
        if lines := [one for one in lines if one.n] or lines:
            tables.append(
                DifferencesTable(
                    title=title if headline else f"{title}: refusal and warning",
                    caption=family(lines),
                    texts=4 if scope in PARTS else 3,
                    cells=[difference_cells(line, PARTS.get(scope, "")) for line in lines],
                    folded=scope == "category" or not headline,
                )
            )
    return tables


def write_compared(
    compared: Compared, folder: Path, links: Mapping[str, str] | None = None
) -> tuple[Path, ...]:
    """Write a comparison as HTML, JSON, CSV and LaTeX, and its figure as PNG, SVG and PDF.

    The figure needs the extra `figures`, and is left out without it.

    Args:
        compared: The comparison.
        folder: Where the files go.
        links: Folder of a run → address of its report, seen from `folder`; by default, of the
            report in it.

    Returns:
        The files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    output_folder(folder)
    figures = _figures(compared)
    write_csv(figures, figures[0], folder / "table.csv")
    names = [field.name for field in fields(Difference)]
    write_csv(map(asdict, compared.differences), names, folder / "differences.csv")
    write_text(_latex(compared), folder / "compare.tex")
    write_json(compared, folder / "compare.json")
    if links is None:
        own = (row for row in compared.rows if not row.published)
        runs = {one.source for row in own for one in row.cells.values() if one.pairs is not None}
        links = links_to_reports(runs, folder)
    figure = () if lacking_figures() else draw_compared(compared, folder / "figure")
    context = {"compared": compared, "links": links, "tables": difference_tables(compared)}
    context["figure"] = embedded(folder / "figure.svg") if figure else ""
    write_page(folder / PAGE, "comparing/compare.html", {**context, **WORDS})
    return (*(folder / name for name in FILES), *figure)


def links_to_reports(runs: Iterable[str], folder: Path) -> Mapping[str, str]:
    """Return run folder → address of its report, seen from `folder`, where there is one."""
    from vlsbench.evaluation import REPORT

    return {
        run: quote(Path(os.path.relpath(report, folder)).as_posix(), errors="replace")
        for run in runs
        if (report := Path(run) / REPORT).is_file()
    }
