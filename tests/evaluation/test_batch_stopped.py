"""A run in batches that is stopped, at any moment and in any way, pays for none twice."""

from __future__ import annotations

import json
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.evaluation.batching import (
    BENCH,
    PAIRS,
    QUICK,
    batches,
    command,
    direct,
    wait_for_a_batch,
)
from tests.evaluation.runs import labels, run
from tests.scripted import Asked, Said, answer, refuse, scripted
from vlsbench import lab
from vlsbench.engine import FILE, BatchRow, Ledger
from vlsbench.errors import EXIT_INTERRUPTED


@pytest.mark.long
@pytest.mark.parametrize("faults", [{}, {"batch_lost": 0.4, "batch_poll": 0.2}], ids=["", "faults"])
def test_killed_at_any_moment_nothing_is_paid_twice(
    tmp_path: Path, faults: dict[str, float]
) -> None:
    chance = random.Random(5)
    with lab.running(batch_s=0.4) as url:
        expected = labels(direct(url, tmp_path / "a" / "r"))
    out, kills = tmp_path / "b" / "r", 0
    with lab.running(batch_s=0.6, faults=faults) as url:
        for _ in range(4):
            with subprocess.Popen(
                command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            ) as process:
                wait_for_a_batch(out, process)
                time.sleep(chance.uniform(0, 0.5))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
        done = subprocess.run(command(url, out), capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        counts = lab.stats(url)
    assert kills >= 3
    assert (counts["paid"], counts["paid_again"]) == (2 * PAIRS, 0)
    table = pq.read_table(out / "pairs.parquet", columns=["id", "label"]).to_pydict()
    assert dict(zip(table["id"], table["label"], strict=True)) == expected


@pytest.mark.long
def test_an_interrupt_leaves_batches_to_the_provider_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=4.0) as url:
        with subprocess.Popen(
            command(url, out, "offline"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            wait_for_a_batch(out, process, requests=PAIRS)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate()
        assert process.returncode == EXIT_INTERRUPTED
        said = " ".join(said.split())
        sent = batches(out)  # 4, or more where the machine is slow to ask
        assert (sum(row.requests for row in sent), max(row.requests for row in sent)) == (PAIRS, 7)
        assert f"{len(sent)} batches at the provider: 0 of {PAIRS} requests answered" in said
        assert "they go on, and nothing is lost" in said
        assert "the same command resumes from here" in said
        shown = subprocess.run(
            [sys.executable, "-m", "vlsbench", "runs", "show", str(out)],
            capture_output=True,
            text=True,
        )
        assert "in_progress" in shown.stdout
        subprocess.run(command(url, out, "offline"), check=True, capture_output=True)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"]) == (PAIRS, 0)


def test_without_batch_a_resumed_run_still_merges_what_was_submitted(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=2.0) as url:
        with subprocess.Popen(
            command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        ) as process:
            wait_for_a_batch(out, process, requests=PAIRS)
            process.send_signal(signal.SIGKILL)
        direct(url, out)
        counts = lab.stats(url)
    assert counts["batched"] == PAIRS
    assert (counts["paid"], counts["paid_again"]) == (2 * PAIRS, 0)


class Late:
    """A server whose first batch is created without an answer, and listed some looks later."""

    def __init__(self, looks: int) -> None:
        self.left = looks
        self.made: list[dict[str, Any]] = []

    def __call__(self, asked: Asked) -> Said:
        if asked.path.endswith("/files"):
            return Said({"id": "f"})
        if asked.path.endswith("/batches"):
            self.made.append({"id": "b", "status": "completed", **asked.body})
            return refuse(502, "Bad Gateway")
        if "/batches?" in asked.path:
            self.left -= 1
            return Said({"data": [] if self.left >= 0 else self.made})
        return Said(self.made[0]) if "/batches/" in asked.path else answer(asked)


def test_a_batch_that_is_listed_late_is_not_created_twice(tmp_path: Path) -> None:
    with scripted(late := Late(looks=4)) as played:
        run(BENCH, tmp_path / "r", model=f"m@{played.url}", judge="offline", batch=True, **QUICK)
    assert len(late.made) == 1
    assert [row.remote for row in batches(tmp_path / "r")] == ["b"]


def test_a_killed_run_finds_a_batch_that_is_listed_late(tmp_path: Path) -> None:
    out, late = tmp_path / "r", Late(looks=4)
    with scripted(late) as played:
        asked = {"model": f"m@{played.url}", "judge": "offline", "batch": True, **QUICK}
        # As the record stands when the process dies before it hears of the creation.
        late.made.append({"id": "b", "status": "completed", "metadata": {"vlsbench": "ours"}})
        row = BatchRow("ours", f"m@{played.url}", "uploaded", 0, file="f", at=time.time())
        with Ledger.write(out), sqlite3.connect(out / FILE) as ledger:
            for statement in row.statements():
                ledger.execute(*statement)
        run(BENCH, out, **asked, max_calls=0)
    assert [(row.name, row.remote) for row in batches(out)] == [("ours", "b")]


def test_an_unfinished_run_shows_its_batches(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=60) as url:
        with subprocess.Popen(
            command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        ) as process:
            wait_for_a_batch(out, process, requests=PAIRS)
            process.send_signal(signal.SIGKILL)
        show = [sys.executable, "-m", "vlsbench", "runs", "show", str(out)]
        said = subprocess.run(show, capture_output=True, text=True, check=True)
        told = subprocess.run([*show, "--json"], capture_output=True, text=True, check=True)
    assert "killed: 0 of 24 ended" in said.stdout
    assert "in_progress" in said.stdout
    found = json.loads(told.stdout)
    assert found["summary"] is None
    assert found["state"] == "killed"
    assert {row["state"] for row in found["batches"]} == {"in_progress"}
    assert sum(row["requests"] for row in found["batches"]) == PAIRS
