"""Evaluate: from a pair to a verdict, and from verdicts to rates."""

from vlsbench.evaluation._compare import Comparison, Soundness, compare_runs, verify_run
from vlsbench.evaluation._estimate import CostEstimate, estimate
from vlsbench.evaluation._evaluate import RUNS, Evaluation, evaluate, execute, plan
from vlsbench.evaluation._page import write_report
from vlsbench.evaluation._page_row import ReportRow
from vlsbench.evaluation._published import Published, published_results
from vlsbench.evaluation._rows import (
    PAIRS,
    Ended,
    Key,
    PairRow,
    pair_rows,
    read_pairs,
    shared_pairs,
)
from vlsbench.evaluation._run import (
    NO_BENIGN_NOTE,
    EvaluationPlan,
    conclude,
    reopen_unscored,
    tag_of,
)
from vlsbench.evaluation._sampled import Sampled, Variance
from vlsbench.evaluation._settings import (
    EvalConfig,
    Output,
    Presentation,
    Selection,
    default_context,
    identity_of,
    run_id,
)
from vlsbench.evaluation._size import Size, plan_size
from vlsbench.evaluation._summary import (
    REPORT,
    SUMMARY,
    Group,
    Spend,
    Summary,
    read_summary,
    spend_by_role,
)

__all__ = [
    "NO_BENIGN_NOTE",
    "PAIRS",
    "REPORT",
    "RUNS",
    "SUMMARY",
    "Comparison",
    "CostEstimate",
    "Ended",
    "EvalConfig",
    "Evaluation",
    "EvaluationPlan",
    "Group",
    "Key",
    "Output",
    "PairRow",
    "Presentation",
    "Published",
    "ReportRow",
    "Sampled",
    "Selection",
    "Size",
    "Soundness",
    "Spend",
    "Summary",
    "Variance",
    "compare_runs",
    "conclude",
    "default_context",
    "estimate",
    "evaluate",
    "execute",
    "identity_of",
    "pair_rows",
    "plan",
    "plan_size",
    "published_results",
    "read_pairs",
    "read_summary",
    "reopen_unscored",
    "run_id",
    "shared_pairs",
    "spend_by_role",
    "tag_of",
    "verify_run",
    "write_report",
]
