"""Running: stages, the calls they make, and the executor that takes records through them."""

from vlsbench.run._context import Budget, Context, Halted, StopSignal, Tally
from vlsbench.run._local import run_local
from vlsbench.run._session import (
    INTERRUPTED,
    check_same_run,
    heed_ctrl_c,
    in_a_loop,
    open_siblings,
    worth_taking,
)
from vlsbench.run._stage import Children, Drop, Keep, Quarantine, Record, Result, Stage

__all__ = [
    "INTERRUPTED",
    "Budget",
    "Children",
    "Context",
    "Drop",
    "Halted",
    "Keep",
    "Quarantine",
    "Record",
    "Result",
    "Stage",
    "StopSignal",
    "Tally",
    "check_same_run",
    "heed_ctrl_c",
    "in_a_loop",
    "open_siblings",
    "run_local",
    "worth_taking",
]
