"""Bars by benchmark, grouped like the paper's figure 1; published rows too."""

from __future__ import annotations

from pathlib import Path

from vlsbench.comparing._table import Cell, Compared, Kind
from vlsbench.pages import ENDINGS, SIMULATED, Bar, bars, drawing, label

KINDS = (Kind.SAFETY, Kind.OVER_REFUSAL)


def draw_compared(compared: Compared, path: Path) -> tuple[Path, ...]:
    """Draw safety rates and over-refusal as PNG, SVG and PDF; return the files, if any.

    `path` is their name without an ending. Raises `MissingExtra` without the extra `figures`.
    """
    own = [row for row in compared.rows if not row.published]
    drawn = {key for row in own for key, cell in row.cells.items() if cell.score is not None}
    columns = [one for one in compared.columns if one.key in drawn and one.kind in KINDS]
    keys = {column.key for column in columns}
    rows = [row for row in compared.rows if keys & row.cells.keys()]
    if not columns:
        return ()
    series = {}
    for row in rows:
        simulated = any(cell.simulated for cell in row.cells.values())
        name = row.name + " (published)" * row.published + " †" * simulated
        series[name] = [_bar(row.cells.get(one.key)) for one in columns]
    size = (max(4.0, len(columns) * (0.7 + 0.32 * len(rows))), 3.0 + 0.18 * len(rows))
    with drawing(path, size, SIMULATED if compared.simulated else "") as figure:
        axes = figure.subplots()
        bars(
            axes,
            [label(one.heading.replace(", %)", ")"), 60) for one in columns],
            series,
            unit="percent of pairs",
        )
        figure.legend(loc="outside upper left")
    return tuple(path.with_name(f"{path.name}.{ending}") for ending in ENDINGS)


def _bar(cell: Cell | None) -> Bar | None:
    return Bar(cell.score, cell.low, cell.high) if cell and cell.score is not None else None
