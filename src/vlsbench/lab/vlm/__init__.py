"""A real vision-language model that is small enough to be trained while one waits, and the paper's
experiment with it.

Needs the extra `align`.
"""

from vlsbench.lab.vlm._design import FIRST_SEED, Arm, Design, arms_of
from vlsbench.lab.vlm._experiment import Cell, run
from vlsbench.lab.vlm._make import make_model
from vlsbench.lab.vlm._pretrain import Pretraining, pretrain
from vlsbench.lab.vlm._reproduce import (
    ARMS,
    EXPERIMENT,
    QUICK,
    QUICK_DESIGN,
    Reproduction,
    as_json,
    reproduce,
)
from vlsbench.lab.vlm._sets import CELLS as HELD_OUT
from vlsbench.lab.vlm._table import HEADINGS, Mean, note, percent, rows_of, say

__all__ = [
    "ARMS",
    "EXPERIMENT",
    "FIRST_SEED",
    "HEADINGS",
    "HELD_OUT",
    "QUICK",
    "QUICK_DESIGN",
    "Arm",
    "Cell",
    "Design",
    "Mean",
    "Pretraining",
    "Reproduction",
    "arms_of",
    "as_json",
    "make_model",
    "note",
    "percent",
    "pretrain",
    "reproduce",
    "rows_of",
    "run",
    "say",
]
