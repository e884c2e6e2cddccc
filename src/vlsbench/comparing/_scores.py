"""Figures of others beside the rates: scores from a CSV, and the paper's published rows."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from vlsbench.comparing._table import Cell, Column, Kind, Row
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import published_lines
from vlsbench.pairs import read_csv

ROW = "row"
ABILITIES = {
    "mme_perception": "MME perception",
    "mme_cognition": "MME cognition",
    "mmmu": "MMMU",
    "mmstar": "MMStar",
    "mmvet": "MMVet",
}
"""The measures of the paper's table, in its order. MME sums accuracy and pair accuracy over 10 and
4 subtasks of 200 points each (Fu et al. 2023, arXiv 2306.13394)."""
BENCHES = {
    "jailbreakv:raw": "JailbreakV, raw query",
    "jailbreakv:jailbreak": "JailbreakV, jailbreak",
    "figstep": "SafeBench (FigStep)",
    "vlsafe": "VLSafe",
    "vlsbench": "vlsbench",
}
"""Benchmark → title of its column; in the paper's order, VLSBench last."""
PAPER = "VLSBench, arXiv 2411.19939"
PAPER_NOTE = (
    f"Published rows are of {PAPER}: other samples of replies, judged by GPT-4o by the paper's own "
    "protocol (--rubric paper is nearest), no intervals; they are not part of any test, and stand "
    "beside runs of VLSBench alone. The paper prints 95.77 as T-SafeUnlearning's average on "
    "JailbreakV; the mean of its two parts is 94.47. It has the heads of MME's perception and "
    'cognition the other way round (its "cognition" of 1511 is above the 800 that cognition can '
    "reach); it is corrected here."
)


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
    keys = {title.casefold(): key for key, title in ABILITIES.items()}
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
            key = keys.get(str(head).casefold(), str(head))
            columns[key] = Column(key, ABILITIES.get(key, key), Kind.ABILITY)
            found.setdefault(name, {})[key] = Cell(score, source=str(path))
    return list(columns.values()), found


def published_rows(wanted: Sequence[str]) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Return the paper's rows of the models asked for, and the columns that they have.

    Args:
        wanted: Models as the paper calls them, in any case, or `all`.

    Raises:
        VlsbenchError: The paper has no such model.
    """
    columns = [Column(key, title, Kind.SAFETY) for key, title in BENCHES.items()]
    columns += [Column(key, title, Kind.ABILITY) for key, title in ABILITIES.items()]
    kept: dict[str, Row] = {}
    for name in wanted:
        given = name.casefold()
        lines = [
            line
            for line in published_lines()
            if given in ("all", line["model"].casefold(), line["row"].casefold())
        ]
        if not lines:
            models = ", ".join(dict.fromkeys(line["model"] for line in published_lines()))
            raise VlsbenchError(f"no published row of {name!r}; the paper has {models}, or `all`")
        for line in lines:
            there = [column.key for column in columns if line[column.key]]
            cells = {key: Cell(float(line[key]), source=PAPER) for key in there}
            kept[line["row"]] = Row(line["row"], cells, published=True)
    used = {key for row in kept.values() for key in row.cells}
    return tuple(column for column in columns if column.key in used), tuple(kept.values())
