"""What tests of batches share."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from tests.evaluation.runs import run
from vlsbench.engine import FILE, OVER, BatchRow, Ledger, read_batches
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation

PAIRS = 24
BENCH = f"lab/leaky?n={PAIRS}"
PROBES = 2
"""Harmless questions that target and judge are asked beforehand, as ordinary calls."""
PRICED = {"price": "1,2", "judge_price": "1,2"}
QUICK = {"batch_poll_s": 0.3}


def batched(url: str, out: Path, **more: Any) -> Evaluation:
    asked = {"model": f"careful@{url}", "judge": f"judge@{url}", "batch": True, "no_probe": False}
    return run(BENCH, out, **{**asked, **QUICK, **PRICED, **more})


def direct(url: str, out: Path) -> Evaluation:
    return run(BENCH, out, model=f"careful@{url}", judge=f"judge@{url}", **PRICED)


def batches(out: Path) -> list[BatchRow]:
    with Ledger.read(out) as ledger:
        return read_batches(ledger)


def costs(out: Path) -> dict[bool, float]:
    """What was paid, in batches and beside them."""
    found = {True: 0.0, False: 0.0}
    with Ledger.read(out) as ledger:
        for call in ledger.calls():
            found["batch" in call.reply.extra] += call.cost or 0.0
    return found


def aged(out: Path) -> None:
    """Let what stands on record of batches be of more than an hour ago."""
    with contextlib.closing(sqlite3.connect(out / FILE)) as ledger, ledger:
        ledger.execute("UPDATE batches SET at = at - 4000")


def command(url: str, out: Path, judge: str = "") -> list[str]:
    return [
        *(sys.executable, "-m", "vlsbench", "eval", BENCH, "--out", str(out), "--batch"),
        *("--model", f"careful@{url}", "--judge", judge or f"judge@{url}", "--batch-requests", "7"),
        *("--gallery", "0", "--no-probe", "--batch-poll", "0.6"),
    ]


def wait_for_a_batch(out: Path, process: subprocess.Popen[str], requests: int = 0) -> None:
    """Wait until a batch is on its way, with so many requests submitted."""
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(VlsbenchError):  # no record yet
            rows = [row for row in batches(out) if row.state not in OVER]
            if rows and sum(row.requests for row in rows if row.remote) >= requests:
                return
        time.sleep(0.02)
