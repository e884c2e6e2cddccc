"""Measure C: does hiding the image change what a model does?"""

from vlsbench.auditing.behaviour._behaviour import behaviour
from vlsbench.auditing.behaviour._figures import (
    Behaviour,
    CategoryBehaviour,
    Difference,
    NotRun,
    ViewChange,
    ViewFigures,
    ViewRun,
)

__all__ = [
    "Behaviour",
    "CategoryBehaviour",
    "Difference",
    "NotRun",
    "ViewChange",
    "ViewFigures",
    "ViewRun",
    "behaviour",
]
