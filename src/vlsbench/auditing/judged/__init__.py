"""Measure B: how many harmful pairs are harmful by their text alone?"""

from vlsbench.auditing.judged._figures import (
    PATTERNS,
    ControlFigures,
    Controls,
    Corrected,
    Finding,
    Judged,
    JudgedGroup,
    JudgedPair,
    Labels,
    PartFigures,
    read_judged,
    read_judged_pairs,
)
from vlsbench.auditing.judged._judged import JUDGED, JUDGED_PAIRS, judged
from vlsbench.auditing.judged._prevalence import Sample, corrected_share
from vlsbench.auditing.judged._run import JudgedPlan

__all__ = [
    "JUDGED",
    "JUDGED_PAIRS",
    "PATTERNS",
    "ControlFigures",
    "Controls",
    "Corrected",
    "Finding",
    "Judged",
    "JudgedGroup",
    "JudgedPair",
    "JudgedPlan",
    "Labels",
    "PartFigures",
    "Sample",
    "corrected_share",
    "judged",
    "read_judged",
    "read_judged_pairs",
]
