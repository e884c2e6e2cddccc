"""The engine of every job: the ledger, `ctx.call`, stages, budgets and the local executor."""

from vlsbench.engine._blobs import bad_blobs, count_blobs, get_blob, has_blob, put_blob
from vlsbench.engine._context import Budget, Context, Halted, StopSignal, Tally
from vlsbench.engine._job import SLACK, Barrier, CostBudget, Flow, Job, Step, watch
from vlsbench.engine._ledger import FILE, Call, Ledger, Outcome
from vlsbench.engine._local import run_local
from vlsbench.engine._progress import progress_bar
from vlsbench.engine._session import (
    INTERRUPTED,
    check_same_run,
    handle_sigint,
    open_siblings,
    run_async,
    worth_taking,
)
from vlsbench.engine._stage import Children, Drop, Keep, Quarantine, Record, Result, Stage
from vlsbench.engine._writer import LedgerError, Statement

__all__ = [
    "FILE",
    "INTERRUPTED",
    "SLACK",
    "Barrier",
    "Budget",
    "Call",
    "Children",
    "Context",
    "CostBudget",
    "Drop",
    "Flow",
    "Halted",
    "Job",
    "Keep",
    "Ledger",
    "LedgerError",
    "Outcome",
    "Quarantine",
    "Record",
    "Result",
    "Stage",
    "Statement",
    "Step",
    "StopSignal",
    "Tally",
    "bad_blobs",
    "check_same_run",
    "count_blobs",
    "get_blob",
    "handle_sigint",
    "has_blob",
    "open_siblings",
    "progress_bar",
    "put_blob",
    "run_async",
    "run_local",
    "watch",
    "worth_taking",
]
