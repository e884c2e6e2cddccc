"""Measure B: how many harmful pairs are harmful by their text alone?"""

from vlsbench.auditing.judged._figures import (
    PATTERNS,
    ControlFigures,
    Corrected,
    Finding,
    Judged,
    JudgedGroup,
    JudgedPair,
    PartFigures,
    read_judged,
    read_judged_pairs,
)
from vlsbench.auditing.judged._judged import JUDGED, JUDGED_PAIRS, judged
from vlsbench.auditing.judged._run import JudgedPlan

__all__ = [
    "JUDGED",
    "JUDGED_PAIRS",
    "PATTERNS",
    "ControlFigures",
    "Corrected",
    "Finding",
    "Judged",
    "JudgedGroup",
    "JudgedPair",
    "JudgedPlan",
    "PartFigures",
    "judged",
    "read_judged",
    "read_judged_pairs",
]
