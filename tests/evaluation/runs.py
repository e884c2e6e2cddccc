"""What the tests of evaluation share: a run in a folder, and what it holds."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import vlsbench
from tests.grouped import grouped
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import (
    Evaluation,
    Group,
)

QUIET = {"progress": False, "gallery": 4, "no_probe": True}


def run(bench: Any, out: Path, **options: Any) -> Evaluation:
    return vlsbench.evaluate(bench, **grouped(out=out, **{**QUIET, **options}))


def only(done: Evaluation) -> Group:
    (group,) = done.summary.groups
    return group


def rows(done: Evaluation) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = pq.read_table(done.pairs).to_pylist()
    return listed


def labels(done: Evaluation) -> dict[str, str]:
    return {row["id"]: row["label"] for row in rows(done)}


def calls_on_record(out: Path) -> int:
    try:
        with Ledger.read(out) as ledger:
            return ledger.count_calls()
    except VlsbenchError:
        return 0  # not made yet
