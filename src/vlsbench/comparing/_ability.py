"""General ability and other scores of models, from a CSV that the user writes."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path

from vlsbench.comparing._table import Cell, Column, Kind
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import read_csv

ROW = "row"
ABILITIES = {
    "mme_perception": Column("mme_perception", "MME perception", Kind.ABILITY, "points"),
    "mme_cognition": Column("mme_cognition", "MME cognition", Kind.ABILITY, "points"),
    "mmmu": Column("mmmu", "MMMU", Kind.ABILITY, "%"),
    "mmstar": Column("mmstar", "MMStar", Kind.ABILITY, "%"),
    "mmvet": Column("mmvet", "MMVet", Kind.ABILITY, "%"),
}
"""The columns of the paper's table, in its order. MME sums accuracy and pair accuracy over 10 and
4 subtasks of 200 points each (Fu et al. 2023, arXiv 2306.13394)."""


def read_abilities(
    path: Path, rows: Collection[str]
) -> tuple[list[Column], dict[str, dict[str, Cell]]]:
    """Read scores: a column `row`, and one for each measure, called as the paper's or otherwise.

    Args:
        path: The CSV; an empty cell is a score that is not known.
        rows: Names of the rows there are.

    Returns:
        The columns of the measures, and row → key of a column → score.

    Raises:
        VlsbenchError: The file is no such table, a row is unknown or a score is not a number.
    """
    columns: dict[str, Column] = {}
    found: dict[str, dict[str, Cell]] = {}
    for number, line in read_csv(path, ROW):
        where = f"{path}, row {number}"
        if not isinstance(line, Mapping):
            raise VlsbenchError(f"{where}: {line}")
        if (name := str(line[ROW]).strip()) not in rows:
            raise VlsbenchError(f"{where}: no row is named {name!r}; choose {', '.join(rows)}")
        for head, said in line.items():
            if head == ROW or not (text := str(said).strip()):
                continue
            try:
                score = float(text)
            except ValueError:
                score = math.nan
            if not math.isfinite(score):
                raise VlsbenchError(f"{where}: {head} is {text[:40]!r}; write a number")
            column = _column(head)
            columns[column.key] = column
            found.setdefault(name, {})[column.key] = Cell(score, source=str(path))
    return list(columns.values()), found


def _column(head: str) -> Column:
    for column in ABILITIES.values():
        if head.casefold() in (column.key, column.title.casefold()):
            return column
    return Column(head, head, Kind.ABILITY, "")
