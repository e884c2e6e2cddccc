"""A real vision-language model that is small enough to be trained while one waits, and the paper's
experiment with it.

Needs the extra `align`.
"""

from vlsbench.lab.vlm._design import FIRST_SEED, Arm, Design, arms_of
from vlsbench.lab.vlm._experiment import Cell, run
from vlsbench.lab.vlm._make import make_model
from vlsbench.lab.vlm._pretrain import Pretraining, pretrain
from vlsbench.lab.vlm._reproduce import ARMS, QUICK, Reproduction, as_json, reproduce
from vlsbench.lab.vlm._table import COLUMNS, Mean, percent

__all__ = [
    "ARMS",
    "COLUMNS",
    "FIRST_SEED",
    "QUICK",
    "Arm",
    "Cell",
    "Design",
    "Mean",
    "Pretraining",
    "Reproduction",
    "arms_of",
    "as_json",
    "make_model",
    "percent",
    "pretrain",
    "reproduce",
    "run",
]
