"""Runs beside each other: paired differences, abilities, published rows; a page and files."""

from vlsbench.comparing._ability import ABILITIES, Ability, Score, read_abilities
from vlsbench.comparing._compare import compare_all
from vlsbench.comparing._front import compare
from vlsbench.comparing._index import write_index
from vlsbench.comparing._page import DifferencesTable, difference_tables, write_compared
from vlsbench.comparing._published import published_rows
from vlsbench.comparing._runs import Named, split_name
from vlsbench.comparing._text import LEGEND, bounds, heading, marks, points, probability, score
from vlsbench.comparing._types import Cell, Column, Compared, Difference, Kind, Measure, Row, Scope

__all__ = [
    "ABILITIES",
    "LEGEND",
    "Ability",
    "Cell",
    "Column",
    "Compared",
    "Difference",
    "DifferencesTable",
    "Kind",
    "Measure",
    "Named",
    "Row",
    "Scope",
    "Score",
    "bounds",
    "compare",
    "compare_all",
    "difference_tables",
    "heading",
    "marks",
    "points",
    "probability",
    "published_rows",
    "read_abilities",
    "score",
    "split_name",
    "write_compared",
    "write_index",
]
