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
from vlsbench.auditing.judged._judged import JUDGED, JUDGED_PAIRS, judged, plan_judged
from vlsbench.auditing.judged._prevalence import (
    AtMost,
    Bounds,
    Sample,
    Sensitivity,
    bounds,
    corrected_share,
    sensitivity,
)
from vlsbench.auditing.judged._run import JudgedPlan

__all__ = [
    "JUDGED",
    "JUDGED_PAIRS",
    "PATTERNS",
    "AtMost",
    "Bounds",
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
    "Sensitivity",
    "bounds",
    "corrected_share",
    "judged",
    "plan_judged",
    "read_judged",
    "read_judged_pairs",
    "sensitivity",
]
