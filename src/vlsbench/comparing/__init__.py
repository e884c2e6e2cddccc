"""Compare: runs side by side, their paired differences, abilities and published rows beside them.

Figures only; `report/` shows them.
"""

from vlsbench.comparing._ability import ABILITIES, Ability, Score, read_abilities
from vlsbench.comparing._compare import compare_all
from vlsbench.comparing._published import published_rows
from vlsbench.comparing._runs import Named, split_name
from vlsbench.comparing._types import (
    Cell,
    Column,
    Compared,
    Difference,
    Kind,
    Measure,
    Row,
    Scope,
)

__all__ = [
    "ABILITIES",
    "Ability",
    "Cell",
    "Column",
    "Compared",
    "Difference",
    "Kind",
    "Measure",
    "Named",
    "Row",
    "Scope",
    "Score",
    "compare_all",
    "published_rows",
    "read_abilities",
    "split_name",
]
