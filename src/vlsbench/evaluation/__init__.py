"""Evaluate: from a pair to a verdict, and from verdicts to rates."""

from vlsbench.evaluation._compare import Comparison, Soundness, compare_runs, verify_run
from vlsbench.evaluation._estimate import Estimate, estimate
from vlsbench.evaluation._files import (
    PAIRS,
    REPORT,
    SUMMARY,
    read_summary,
    whole_file,
    write_json,
)
from vlsbench.evaluation._progress import progress_bar
from vlsbench.evaluation._published import published_results
from vlsbench.evaluation._rows import PairRow, pair_rows
from vlsbench.evaluation._run import (
    Plan,
    conclude,
    execute,
    reopen_unscored,
)
from vlsbench.evaluation._settings import (
    Selection,
    Settings,
    default_context,
    identity_of,
    run_id,
)
from vlsbench.evaluation._summarise import spend_by_role
from vlsbench.evaluation._summary_types import Group, Published, Rate, Spend, Summary

__all__ = [
    "PAIRS",
    "REPORT",
    "SUMMARY",
    "Comparison",
    "Estimate",
    "Group",
    "PairRow",
    "Plan",
    "Published",
    "Rate",
    "Selection",
    "Settings",
    "Soundness",
    "Spend",
    "Summary",
    "compare_runs",
    "conclude",
    "default_context",
    "estimate",
    "execute",
    "identity_of",
    "pair_rows",
    "progress_bar",
    "published_results",
    "read_summary",
    "reopen_unscored",
    "run_id",
    "spend_by_role",
    "verify_run",
    "whole_file",
    "write_json",
]
