"""Bars by benchmark, grouped like the paper's figure 1; published rows too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from vlsbench.comparing._table import Cell, Column, Compared, Kind
from vlsbench.pages import ENDINGS, SIMULATED, Bar, bars, drawing, label

UNITS = {Kind.SAFETY: "safety rate, %", Kind.OVER_REFUSAL: "over-refusal, %"}
"""What is drawn, in this order."""


def draw_compared(compared: Compared, path: Path) -> tuple[Path, ...]:
    """Draw the rates of a comparison as PNG, SVG and PDF.

    Args:
        compared: The comparison.
        path: The files' name, without an ending.

    Returns:
        The files; none where there is nothing to draw.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    own = [row for row in compared.rows if not row.published]
    drawn = {key for row in own for key, cell in row.cells.items() if cell.score is not None}
    charts = {
        kind: [one for one in compared.columns if one.kind is kind and one.key in drawn]
        for kind in UNITS
    }
    charts = {kind: columns for kind, columns in charts.items() if columns}
    if not charts:
        return ()
    keys = {column.key for columns in charts.values() for column in columns}
    rows = {
        row.name + " (published)" * row.published: row.cells
        for row in compared.rows
        if keys & row.cells.keys()
    }
    widths = [len(columns) for columns in charts.values()]
    size = (max(4.0, sum(widths) * (0.7 + 0.32 * len(rows))), 3.0 + 0.18 * len(rows))
    with drawing(path, size, SIMULATED if compared.simulated else "") as figure:
        axes = figure.subplots(1, len(charts), squeeze=False, width_ratios=widths)[0]
        for one, (kind, columns) in zip(axes, charts.items(), strict=True):
            titles = [label(column.title, 26) + _mark(column, rows) for column in columns]
            series = {
                name: [_bar(cells.get(column.key)) for column in columns]
                for name, cells in rows.items()
            }
            bars(one, titles, series, unit=UNITS[kind])
        figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper left")
    return tuple(path.with_name(f"{path.name}.{ending}") for ending in ENDINGS)


def _mark(column: Column, rows: Mapping[str, Mapping[str, Cell]]) -> str:
    cells: Sequence[Cell | None] = [row.get(column.key) for row in rows.values()]
    return "†" * any(cell.simulated for cell in cells if cell)


def _bar(cell: Cell | None) -> Bar | None:
    return Bar(cell.score, cell.low, cell.high) if cell and cell.score is not None else None
