"""A comparison of runs as text: its figures in words, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

from vlsbench.pages._page import clean

if TYPE_CHECKING:
    from vlsbench.comparing._types import Cell, Column, Compared, Difference, Row

DASH = "–"
SIMULATED = "†"
UNFINISHED = "‡"
LEGEND = {
    SIMULATED: "simulated: a lab model or benchmark; says nothing about a real model",
    UNFINISHED: "of an unfinished run",
}
_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    # After the end of a row these two would be its options.
    "[": "{[}",
    "*": "{*}",
    "−": "$-$",
    "·": r"$\cdot$",
    "–": "--",
    SIMULATED: r"$^\dagger$",
    UNFINISHED: r"$^\ddagger$",
    "\u202f": r"\,",
} | {sign: f"\\{sign}" for sign in "&%$#_{}"}


def marks(cell: Cell) -> str:
    """Return the signs of a figure's caveats."""
    return SIMULATED * cell.simulated + UNFINISHED * bool(cell.open)


def score(cell: Cell | None, column: Column) -> str:
    """Write a figure without its interval: rates with one decimal, others as papers print them."""
    if cell is None or cell.score is None:
        return DASH
    if column.unit != "%":
        return f"{cell.score:.0f}"
    return f"{cell.score:.2f}" if cell.n is None else f"{cell.score:.1f}"


def bounds(found: Cell) -> str:
    """Write a rate's 95 % interval, as `52.1, 66.0`."""
    if found.low is None or found.high is None:
        return ""
    return f"{found.low:.1f}, {found.high:.1f}"


def points(found: Difference) -> str:
    """Write a difference with its interval, as `+12.5 [3.1, 21.9]`."""
    if found.points is None:
        return DASH
    if found.low is None or found.high is None:
        return f"{found.points:+.1f}"
    return f"{found.points:+.1f} [{found.low:+.1f}, {found.high:+.1f}]"


def probability(p: float | None) -> str:
    """Write a p value; exact ones are in the CSV and the JSON."""
    if p is None:
        return DASH
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def heading(column: Column) -> str:
    """Write a column's title with what it measures."""
    if column.bench:
        return f"{column.title} ({column.kind}, %)"
    return column.title + (", %" if column.unit == "%" else "")


def family(differences: Sequence[Difference]) -> str:
    """Say what the tests of one table were corrected for."""
    tests = max((one.tests for one in differences), default=0)
    return (
        f"p: exact McNemar on pairs taken as independent; Holm: corrected for the {tests} "
        f"{'test' if tests == 1 else 'tests'} of this table. Intervals: 95 %, clustered by image."
    )


def latex(compared: Compared, headline: Sequence[Difference]) -> str:
    """Write the table, and the overall differences, for a paper (package booktabs)."""
    return "\n".join([*_latex_table(compared), "", *_latex_differences(headline)]) + "\n"


def tex(text: str) -> str:
    """Escape a text for LaTeX, on one line; control characters become question marks."""
    line = re.sub(r"[\u2400-\u2421\ufffd]", "?", " ".join(str(clean(text)).split()))
    return "".join(_LATEX.get(sign, sign) for sign in line)


def _latex_table(compared: Compared) -> Iterator[str]:
    columns = compared.columns
    yield r"% Written by vlsbench compare. Needs \usepackage{booktabs}; XeLaTeX or LuaLaTeX where"
    yield "% names go beyond Latin letters."
    yield r"\begin{table}"
    yield r"\centering"
    yield f"\\begin{{tabular}}{{l{'r' * len(columns)}}}"
    yield r"\toprule"
    yield " & ".join(["Model", *(tex(heading(column)) for column in columns)]) + r" \\"
    yield r"\midrule"
    own = [row for row in compared.rows if not row.published]
    published = [row for row in compared.rows if row.published]
    yield from (_latex_row(row, columns) for row in own)
    if published:
        yield r"\midrule"
        yield f"\\multicolumn{{{len(columns) + 1}}}{{l}}{{\\emph{{Published}}}} \\\\"
        yield from (_latex_row(row, columns) for row in published)
    yield r"\bottomrule"
    yield r"\end{tabular}"
    said = [
        "Percent of scored pairs with 95 % intervals clustered by image; MME in points.",
        *(f"{sign} {LEGEND[sign]}." for sign in _used(compared)),
        *compared.notes,
    ]
    yield f"\\caption{{{' '.join(tex(text) for text in said)}}}"
    yield r"\end{table}"


def _used(compared: Compared) -> list[str]:
    used = "".join(marks(cell) for row in compared.rows for cell in row.cells.values())
    return [sign for sign in LEGEND if sign in used]


def _latex_row(row: Row, columns: Sequence[Column]) -> str:
    cells = [tex(row.name) + (" (baseline)" if row.baseline else "")]
    for column in columns:
        cell = row.cells.get(column.key)
        text = tex(score(cell, column))
        if cell and cell.low is not None:
            text += tex(marks(cell)) + f" {{\\footnotesize [{bounds(cell)}]}}"
        cells.append(text)
    return " & ".join(cells) + r" \\"


def _latex_differences(differences: Sequence[Difference]) -> Iterator[str]:
    if not differences:
        return
    yield r"\begin{table}"
    yield r"\centering"
    yield r"\begin{tabular}{lllrrrr}"
    yield r"\toprule"
    yield r"Model & Benchmark & Measure & $n$ & Difference & $p$ & $p$, Holm \\"
    yield r"\midrule"
    for one in differences:
        cells = [one.row, one.column, one.measure, f"{one.n:,}"]
        cells += [points(one) + SIMULATED * one.simulated]
        cells += [probability(one.p), probability(one.p_holm)]
        yield " & ".join(tex(cell) for cell in cells) + r" \\"
    yield r"\bottomrule"
    yield r"\end{tabular}"
    said = f"Paired differences to the baseline in percentage points. {family(differences)}"
    signs = f" {SIMULATED} {LEGEND[SIMULATED]}." if any(d.simulated for d in differences) else ""
    yield f"\\caption{{{tex(said + signs)}}}"
    yield r"\end{table}"


def _inert(value: object) -> object:
    """Make a text that a spreadsheet would compute a plain text."""
    if not isinstance(value, str):
        return value
    text = str(clean(value))
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t")) else text


def _csv(names: Sequence[str], rows: Iterator[Sequence[object]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([_inert(value) for value in row] for row in rows)
    return out.getvalue()


def table_csv(compared: Compared) -> str:
    """Write the table in long form: one line a figure, simulated and published ones marked."""
    columns = {column.key: column for column in compared.columns}
    cells = ("score", "low", "high", "k", "n", "pairs", "open", "simulated", "source")
    rows = (
        (
            *(row.name, row.baseline, row.published),
            *(columns[key].title, str(columns[key].kind), columns[key].unit),
            *(getattr(cell, name) for name in cells),
        )
        for row in compared.rows
        for key, cell in row.cells.items()
    )
    return _csv(("row", "baseline", "published", "column", "kind", "unit", *cells), rows)


def differences_csv(differences: Sequence[Difference]) -> str:
    """Write every difference: one line each, p values in full."""
    from vlsbench.comparing._types import Difference

    names = [field.name for field in fields(Difference)]
    return _csv(names, (tuple(asdict(one).values()) for one in differences))
