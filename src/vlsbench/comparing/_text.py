"""A comparison of runs as text: its figures in words, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

from vlsbench.comparing._table import Cell, Column, Compared, Difference, Kind
from vlsbench.pages._page import clean
from vlsbench.text import block, csv_cell

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
        f"p: exact sign-flip test over images; Holm: corrected for the {tests} "
        f"{'test' if tests == 1 else 'tests'} of this table. Intervals: 95 %, clustered by image."
    )


WORDS = {
    one.__name__: one
    for one in (bounds, family, heading, legend, marks, points, probability, score)
} | {"LEGEND": LEGEND}
"""What templates call."""


def rendered(template: str, finalize: Callable[[Any], Any], **context: Any) -> str:
    """Fill in a template whose tags are `<% %>` and `<< >>`; `finalize` sees all it prints."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        *("<%", "%>", "<<", ">>", "<#", "#>"),
        loader=PackageLoader("vlsbench.comparing"),
        autoescape=template.endswith(".svg"),
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(context, **WORDS)


def latex(compared: Compared, headline: Sequence[Difference]) -> str:
    """Write the table, and the overall differences, for a paper (package booktabs)."""
    return rendered("compare.tex", tex, compared=compared, differences=headline)


def figure(compared: Compared, charts: Mapping[Kind, Sequence[Column]]) -> str:
    """Draw rates as grouped bars, as SVG.

    Args:
        compared: The table.
        charts: Kind → columns to draw.
    """
    keys = {column.key for columns in charts.values() for column in columns}
    rows = [row for row in compared.rows if keys & row.cells.keys()]
    return rendered("figure.svg", clean, compared=compared, charts=charts, rows=rows)


def tex(text: object) -> str:
    """Escape a text for LaTeX, on one line; control characters become question marks."""
    line = re.sub(r"[\u2400-\u2421\ufffd]", "?", " ".join(str(clean(str(text))).split()))
    return "".join(_LATEX.get(sign, sign) for sign in line)


def _csv(names: Sequence[str], rows: Iterable[dict[str, Any]]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        texts = {name: block(value) for name, value in row.items() if isinstance(value, str)}
        writer.writerow({name: csv_cell(value) for name, value in (row | texts).items()})
    return out.getvalue()


def table_csv(compared: Compared) -> str:
    """Write the table in long form: one line a figure, simulated and published ones marked."""
    columns = {column.key: column for column in compared.columns}
    rows = [
        {
            **{"row": row.name, "baseline": row.baseline, "published": row.published},
            **{"column": columns[key].title, "kind": columns[key].kind, "unit": columns[key].unit},
            **asdict(cell),
        }
        for row in compared.rows
        for key, cell in row.cells.items()
    ]
    names = (
        *("row", "baseline", "published", "column", "kind", "unit", "score", "low", "high"),
        *("k", "n", "pairs", "samples", "open", "simulated", "source"),
    )
    return _csv(names, rows)


def differences_csv(differences: Sequence[Difference]) -> str:
    """Write every difference: one line each, p values in full."""
    return _csv([field.name for field in fields(Difference)], map(asdict, differences))
