"""`vlsbench runs watch`: how a run of another process stands."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
            *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=36", "--out", str(out)),
            *("--model", f"careful@{url}", "--judge", f"judge@{url}", "--no-probe"),
            *("--price", "1,2", "--judge-price", "1,2", "--concurrency", "4"),
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            while process.poll() is None and calls(out) < 24:
                time.sleep(0.05)
            shown = json.loads(vlsbench("runs", "show", "r", "--json").stdout)
            assert (shown["state"], shown["summary"]) == ("running", None)
            during = vlsbench("runs", "watch", "r")
            process.communicate()
    assert during.stdout == "finished\n"
    said = " ".join(during.stderr.split())
    assert "36 of 36 records" in said
    assert re.search(r" [1-9][0-9.]* calls/s · \$0\.\d+ · [1-9]\d* unscored", said)
    assert "judge_refused" in said


@pytest.mark.long
def test_the_time_left_is_told_where_there_is_no_terminal(
    vlsbench: Command, tmp_path: Path
) -> None:
    out = tmp_path / "r"
    with lab.running() as url:
        command = [
            *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=26", "--out", str(out)),
            *("--model", f"careful@{url}", "--judge", "offline", "--no-probe", "--rpm", "60"),
        ]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and calls(out) < 2:
                time.sleep(0.05)
            said = vlsbench("runs", "watch", "r").stderr
            process.wait()
    assert re.search(r"\d of 26 records .* · 0:00:[01]\d left", " ".join(said.split()))


def test_a_killed_run_is_said_to_be_killed(vlsbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(latency=0.2) as url:
        command = [
            *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=60", "--out", str(out)),
            *("--model", f"careful@{url}", "--judge", "offline", "--no-probe", "-c", "2"),
        ]
        with subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            while process.poll() is None and calls(out) < 4:
                time.sleep(0.05)
            process.kill()
    said = vlsbench("runs", "watch", "r")
    assert said.returncode == 0
    assert said.stdout == "killed\n"


def test_a_build_is_watched(vlsbench: Command) -> None:
    plain = ("--set", "leak_filter.overlap=false", "--set", "near_duplicates.similarity=false")
    vlsbench("build", "lab", *plain, "--limit", "1", "--out", "built", "--quiet")
    assert vlsbench("runs", "watch", "built").stdout == "finished\n"


def test_a_folder_without_a_run_is_said_to_hold_none(vlsbench: Command, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    found = vlsbench("runs", "watch", "r")
    assert found.returncode == 1
    assert "no run found" in found.stderr
