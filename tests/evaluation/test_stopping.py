"""Stopped in any way, a run goes on where it was: real processes, real signals."""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.evaluation.runs import calls_on_record, run
from vlsbench import lab
from vlsbench.engine import FILE
from vlsbench.errors import EXIT_INTERRUPTED, EXIT_STOPPED

PAIRS = 60
CONNECTIONS = 8


def command(url: str, out: Path, *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "vlsbench", "eval", f"lab/leaky?n={PAIRS}"),
        *("--model", f"careful@{url}", "--judge", f"judge@{url}", "--out", str(out)),
        *("--concurrency", str(CONNECTIONS), "--gallery", "0", "--no-probe", *more),
    ]


def wait_for_calls(out: Path, process: subprocess.Popen[str], least: int) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        if calls_on_record(out) >= least:
            return
        time.sleep(0.01)


def labels(out: Path) -> dict[str, str]:
    table = pq.read_table(out / "pairs.parquet", columns=["id", "label"]).to_pydict()
    return dict(zip(table["id"], table["label"], strict=True))


@pytest.mark.long
def test_killed_again_and_again_it_ends_with_the_same_labels(tmp_path: Path) -> None:
    chance = random.Random(11)
    with lab.running(latency=0.05) as url:
        asked = {"model": f"careful@{url}", "judge": f"judge@{url}", "concurrency": CONNECTIONS}
        run(f"lab/leaky?n={PAIRS}", tmp_path / "whole" / "r", **asked)
        whole = lab.stats(url)["paid"]
        out = tmp_path / "killed" / "r"
        kills = 0
        for _ in range(4):
            with subprocess.Popen(
                command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            ) as process:
                wait_for_calls(out, process, calls_on_record(out) + chance.randrange(1, 20))
                if process.poll() is None:
                    process.kill()
                    kills += 1
        subprocess.run(command(url, out), check=True, capture_output=True)
        assert kills >= 3
        assert labels(out) == labels(tmp_path / "whole" / "r")
        # Both runs ask the same questions, so what the second paid twice shows in the total.
        again = lab.stats(url)["paid"] - 2 * whole
        assert 0 <= again <= kills * CONNECTIONS


def test_no_more_is_asked_than_in_flight_while_the_disk_is_slow(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(latency=0.02) as url:
        with subprocess.Popen(
            command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        ) as process:
            wait_for_calls(out, process, 10)
            # Whoever holds the database keeps every reply from the disk.
            with contextlib.closing(sqlite3.connect(out / FILE, isolation_level=None)) as disk:
                disk.execute("BEGIN IMMEDIATE")
                time.sleep(1)
                lost_by_a_kill = lab.stats(url)["paid"] - calls_on_record(out)
            process.wait()
        assert 0 < lost_by_a_kill <= CONNECTIONS
        assert lab.stats(url)["paid"] == 2 * PAIRS


def interrupted(url: str, out: Path, number: int, times: int) -> tuple[int, str]:
    process = subprocess.Popen(
        command(url, out), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for_calls(out, process, 10)
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.1)
    said, _ = process.communicate(timeout=30)
    return process.returncode, said


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_drains_and_says_how_to_go_on(tmp_path: Path, number: int) -> None:
    out = tmp_path / "r"
    with lab.running(latency=0.1) as url:
        code, said = interrupted(url, out, number, 1)
        assert code == EXIT_INTERRUPTED
        assert "the same command resumes from here" in said.replace("\n", " ")
        # Drained: whatever was asked was also recorded.
        assert calls_on_record(out) == lab.stats(url)["paid"]
        done = subprocess.run(command(url, out), capture_output=True, text=True)
        assert done.returncode == 0
        assert lab.stats(url)["paid"] == 2 * PAIRS
    assert len(labels(out)) == PAIRS


def test_a_second_interrupt_leaves_at_once(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(latency=0.05, faults={"hang": 0.3}) as url:
        began = time.monotonic()
        code, _ = interrupted(url, out, signal.SIGINT, 2)
        assert code == EXIT_INTERRUPTED
        assert time.monotonic() - began < 25  # a hanging request alone would take 60 s
    with lab.running() as url:
        assert calls_on_record(out) >= 10


@pytest.mark.long
def test_a_full_disk_keeps_what_was_paid_and_goes_on_later(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(latency=0.01) as url:
        full = subprocess.run(
            ["bash", "-c", 'ulimit -f 120; trap "" XFSZ; exec "$@"', "-", *command(url, out)],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        )
        assert full.returncode == EXIT_STOPPED, full.stderr
        assert "everything recorded before is safe" in full.stderr.replace("\n", " ")
        kept = calls_on_record(out)
        assert 0 < kept < 2 * PAIRS
        before = lab.stats(url)["paid"]
        subprocess.run(command(url, out), check=True, capture_output=True)
        assert lab.stats(url)["paid"] - before == 2 * PAIRS - kept
    assert len(labels(out)) == PAIRS


def test_what_a_resumed_run_paid_is_said_though_no_pair_has_ended(tmp_path: Path) -> None:
    with lab.running() as url:
        for paid in (1, 2):  # of answers, none of which is judged yet
            done = run(
                "lab/leaky?n=4", tmp_path / "r", model=f"careful@{url}", judge=f"judge@{url}",
                max_calls=1, no_probe=False,
            )  # fmt: skip
            assert sum(row.calls for row in done.summary.spend) == paid
