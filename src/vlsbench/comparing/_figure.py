"""The figure of a comparison: bars by benchmark with their intervals, like the paper's figure 1."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.comparing._text import LEGEND, SIMULATED, score
from vlsbench.pages._page import clean

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from vlsbench.comparing._types import Column, Compared, Row

NAME = "figure"
FORMATS = ("png", "svg")
PALETTE = (
    *("#c04a00", "#62b8ea", "#0b5fa5", "#009e73"),
    *("#e69f00", "#cc79a7", "#7d8894", "#8c80ad"),
)
"""The bar colours of the pages' style sheet."""
LONGEST = 48
"""Characters of a name in the legend."""
LONGEST_TICK = 26
"""Characters of a benchmark's name under its bars."""
PER_INCH = 12
"""Characters of the legend that an inch holds, with what surrounds them."""
AXES = {
    "safety": "safety rate, %",
    "over-refusal": "over-refusal, %",
}


def write_figure(compared: Compared, folder: Path) -> tuple[Path, ...]:
    """Draw the table's rates as grouped bars, a panel for safety and one for over-refusal.

    Published rows are hatched and have no interval.

    Returns:
        `figure.png` and `figure.svg`; nothing where matplotlib is missing or there is no rate.
    """
    panels = [
        (kind, columns)
        for kind in AXES
        if (
            columns := [
                column
                for column in compared.columns
                if column.kind == kind and _drawn(column, compared.rows)
            ]
        )
    ]
    if not panels or find_spec("matplotlib") is None:
        return ()
    import matplotlib
    from matplotlib.figure import Figure

    from vlsbench.files import whole_file

    # No text of the data is mathematics, and the same data give the same bytes.
    style: Any = {"text.parse_math": False, "svg.hashsalt": "vlsbench", "font.size": 9}
    paths = []
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        widths = [_width(columns, compared.rows) for _, columns in panels]
        width = max(5.0, sum(widths))
        drawn = _bars([column for _, columns in panels for column in columns], compared.rows)
        colours = {row.name: PALETTE[i % len(PALETTE)] for i, row in enumerate(drawn)}
        names = [_label(row) for row in drawn]
        across = max(1, int(width * PER_INCH // (max(map(len, names)) + 6)))
        height = 3.6 + 0.2 * -(-len(names) // across)
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(1, len(panels), squeeze=False, width_ratios=widths)[0]
        for axis, (kind, columns) in zip(axes, panels, strict=True):
            _draw(axis, columns, drawn, AXES[kind], colours)
        handles: dict[str, Any] = {}
        for axis in axes:
            handles |= {
                name: bar for bar, name in zip(*axis.get_legend_handles_labels(), strict=True)
            }
        figure.legend(
            list(handles.values()),
            list(handles),
            loc="outside lower center",
            ncols=across,
            frameon=False,
        )
        if compared.simulated:
            figure.suptitle(f"{SIMULATED} {LEGEND[SIMULATED]}", fontsize=9, color="#8a6100")
        for form in FORMATS:
            path = folder / f"{NAME}.{form}"
            dated = {"Date": None} if form == "svg" else {"Software": None}
            with whole_file(path) as part:
                figure.savefig(part, format=form, dpi=200, metadata=dated)
            paths.append(path)
    return tuple(paths)


def _drawn(column: Column, rows: Sequence[Row]) -> bool:
    """Whether a run of one's own has a figure in the column."""
    return any(
        not row.published and (cell := row.cells.get(column.key)) and cell.score is not None
        for row in rows
    )


def _bars(columns: Sequence[Column], rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if any(column.key in row.cells for column in columns)]


def _width(columns: Sequence[Column], rows: Sequence[Row]) -> float:
    """Return a panel's width in inches."""
    return 1.1 + 0.34 * len(columns) * (len(_bars(columns, rows)) + 1)


def _short(text: str, longest: int) -> str:
    line = " ".join(str(clean(text)).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _label(row: Row) -> str:
    return _short(row.name, LONGEST) + (" (published)" if row.published else "")


def _draw(
    axis: Axes,
    columns: Sequence[Column],
    rows: Sequence[Row],
    what: str,
    colours: Mapping[str, str],
) -> None:
    bars = _bars(columns, rows)
    step = 1 / (len(bars) + 1)
    for index, row in enumerate(bars):
        label = _label(row)
        for place, column in enumerate(columns):
            cell = row.cells.get(column.key)
            if cell is None or cell.score is None:
                continue
            at = place + (index - (len(bars) - 1) / 2) * step
            axis.bar(
                at,
                cell.score,
                step * 0.9,
                color=colours[row.name],
                hatch="///" if row.published else "",
                edgecolor="white",
                label=label,
            )
            top = cell.score
            if cell.low is not None and cell.high is not None:
                reach = [[max(0.0, cell.score - cell.low)], [max(0.0, cell.high - cell.score)]]
                axis.errorbar(at, cell.score, yerr=reach, color="#1a1e24", capsize=2, lw=1)
                top = cell.high
            axis.annotate(
                score(cell, column),
                (at, top),
                (0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=7,
            )
    names = [
        _short(column.title, LONGEST_TICK)
        + (SIMULATED if any(c.simulated for r in bars if (c := r.cells.get(column.key))) else "")
        for column in columns
    ]
    axis.set_xticks(range(len(columns)), names, rotation=15 if len(columns) > 2 else 0)
    axis.set_ylim(0, 112)
    axis.set_yticks(range(0, 101, 25))
    axis.set_ylabel(what)
    axis.spines[["top", "right"]].set_visible(False)
