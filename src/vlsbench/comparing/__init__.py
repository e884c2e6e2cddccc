"""Runs beside each other: paired differences, abilities, published rows; a page and files."""

from vlsbench.comparing._ability import ABILITIES, read_abilities
from vlsbench.comparing._compare import compare
from vlsbench.comparing._page import DifferencesTable, difference_tables, write_compared
from vlsbench.comparing._paired import corrected
from vlsbench.comparing._published import published_rows
from vlsbench.comparing._table import Column, Compared, Difference, Kind, Measure, Scope
from vlsbench.comparing._text import bounds, heading, legend, marks, points, probability, score

__all__ = [
    "ABILITIES",
    "Column",
    "Compared",
    "Difference",
    "DifferencesTable",
    "Kind",
    "Measure",
    "Scope",
    "bounds",
    "compare",
    "corrected",
    "difference_tables",
    "heading",
    "legend",
    "marks",
    "points",
    "probability",
    "published_rows",
    "read_abilities",
    "score",
    "write_compared",
]
