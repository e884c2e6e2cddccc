"""SIGKILL of workers and coordinators at random moments: nothing is lost, whatever the job."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

import json

from tests.building.build_examples import contents, served
from tests.evaluation.runs import calls_on_record
from vlsbench import lab
from vlsbench.engine import FILE, Ledger

pytestmark = pytest.mark.slow

KILLS = 5
MARK = "VLSBENCH_TEST_OF_KILLS"
"""In the environment of everything that a command starts."""
VLSBENCH = [sys.executable, "-m", "vlsbench"]


def processes(mark: str, kind: str = "") -> list[int]:
    """Find processes by the mark in their environment and the beginning of their title."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            title, known = place.joinpath("cmdline"), place.joinpath("environ")
            if title.read_text().startswith(kind) and f"{MARK}={mark}" in known.read_text():
                found.append(int(place.name))
        except OSError:
            continue
    return found


def end_all(mark: str) -> None:
    for pid in processes(mark):
        os.kill(pid, signal.SIGKILL)


def recorded(out: Path) -> int:
    return sum(calls_on_record(file.parent) for file in out.rglob(FILE))


def killed_again_and_again(command: list[str], out: Path, chance: random.Random) -> tuple[int, int]:
    """Run a command on Ray to its end, through kills; return their number and its status."""
    kills, mark, said = 0, uuid.uuid4().hex, out.parent / "said"

    def start() -> subprocess.Popen[bytes]:
        there = [*command, "--executor", "ray", "--actors", "2"]
        with said.open("wb") as log:
            return subprocess.Popen(there, env={**os.environ, MARK: mark}, stdout=log, stderr=log)

    out.parent.mkdir()
    process = start()
    try:
        while kills < KILLS:
            wanted = recorded(out) + chance.randrange(1, 12)
            while process.poll() is None and recorded(out) < wanted:
                time.sleep(0.05)
            if process.poll() is not None:
                break
            workers = processes(mark, "ray::StageActor")
            kills += 1
            if workers and chance.random() < 0.5:
                os.kill(chance.choice(workers), signal.SIGKILL)
                continue
            end_all(mark)
            process.wait()
            process = start()
        status = process.wait()
        print(said.read_text())  # for whom it fails
    finally:
        end_all(mark)
    return kills, status


def of_an_evaluation(out: Path) -> Any:
    with Ledger.read(out) as ledger:
        return [*ledger.outcomes()]


def of_an_audit(out: Path) -> Any:
    return json.loads((out / "card.json").read_text())["judged"]["group"]


def of_a_build(out: Path) -> Any:
    return contents(out / "pairs")


JOBS: Mapping[str, tuple[Callable[[Path], Any], list[str]]] = {
    "eval": (
        of_an_evaluation,
        ["lab/leaky?n=40", "--model", "careful@{url}", "--judge", "judge@{url}", "--no-probe"],
    ),
    "audit": (
        of_an_audit,
        ["lab/leaky?n=30", "--measures", "judged", "--judge", "harm@{url}", "--controls",
         "lab/benign?n=30"],
    ),
    "build": (of_a_build, ["lab", "--limit", "8"]),
}  # fmt: skip


@pytest.mark.parametrize("job", JOBS)
def test_kills_at_random_moments_lose_nothing(job: str, tmp_path: Path) -> None:
    made, words = JOBS[job]
    chance = random.Random(job)
    with lab.running(latency=0.15) as url:
        asked = [*VLSBENCH, job, *(word.format(url=url) for word in words), "--concurrency", "4"]
        if job == "build":
            asked += (word for one in served((), url) for word in ("--set", one))
        here, out = tmp_path / "here" / "r", tmp_path / "there" / "r"
        subprocess.run([*asked, "--out", str(here)], check=True, capture_output=True)
        needed = lab.stats(url)["paid"]
        kills, status = killed_again_and_again([*asked, "--out", str(out)], out, chance)
        again = lab.stats(url)["paid"] - 2 * needed
    assert status == 0
    assert kills >= 3
    assert made(out) == made(here)
    # Only what was in flight when a coordinator was killed is paid for again.
    assert again <= 4 * kills
