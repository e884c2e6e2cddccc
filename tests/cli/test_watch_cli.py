"""`vlsbench runs watch`: how a run of another process stands."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from tests.cli.typed import Command
from vlsbench import lab
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError


def calls(out: Path) -> int:
    try:
        with Ledger.read(out) as ledger:
            return ledger.count_calls()
    except VlsbenchError:
        return 0  # no record yet


def test_a_run_of_another_process_is_watched(vlsbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(latency=0.2, faults={"judge_refusal": 0.5}) as url:
        command = [
            *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=60", "--out", str(out)),
            *("--model", f"careful@{url}", "--judge", f"judge@{url}", "--no-probe"),
            *("--price", "1,2", "--judge-price", "1,2", "--concurrency", "4"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None and calls(out) < 40:
                time.sleep(0.05)
            during = json.loads(vlsbench("runs", "watch", "r", "--once", "--json").stdout)
            assert during["state"] == "started"
            assert 0 < during["ended"] < during["expected"] == 60
            assert during["calls"] >= 40
            assert during["calls_per_s"] > 1
            assert during["cost"] > 0
            assert during["seconds_left"] > 0
            process.communicate()
    said = vlsbench("runs", "watch", "r").stdout
    assert "finished: 60 of 60 ended" in said
    assert "judge_refused" in said


def test_a_folder_without_a_run_is_said_to_hold_none(vlsbench: Command, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    found = vlsbench("runs", "watch", "r")
    assert found.returncode == 1
    assert "holds no run" in found.stderr
