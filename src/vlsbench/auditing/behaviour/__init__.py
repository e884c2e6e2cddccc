"""Measure C: does hiding the image change what a model does?"""

from vlsbench.auditing.behaviour._behaviour import behaviour
from vlsbench.auditing.behaviour._figures import (
    Answers,
    Behaviour,
    CategoryBehaviour,
    Comprehension,
    Difference,
    NotRun,
    ViewChange,
    ViewFigures,
    ViewRun,
    change,
)
from vlsbench.auditing.behaviour._plan import VIEWS, Arm, plan_behaviour

__all__ = [
    "VIEWS",
    "Answers",
    "Arm",
    "Behaviour",
    "CategoryBehaviour",
    "Comprehension",
    "Difference",
    "NotRun",
    "ViewChange",
    "ViewFigures",
    "ViewRun",
    "behaviour",
    "change",
    "plan_behaviour",
]
