"""`vlsbench build` as a user types it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.building.build_examples import PLAIN, Builder, contents, lines, served
from vlsbench import lab
from vlsbench.cli import runs
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import verify_run

SETS = [part for override in PLAIN for part in ("--set", override)]


def vlsbench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vlsbench", *arguments], capture_output=True, text=True, timeout=120
    )


@pytest.mark.long
def test_a_build_from_the_shell_with_exit_codes(tmp_path: Path) -> None:
    command = ["build", "lab", *SETS, "--out", str(tmp_path), "--limit", "2", "--json"]
    stopped = vlsbench(*command, "--max-calls", "20")
    assert stopped.returncode == 3
    assert "the same command resumes" in stopped.stderr
    done = vlsbench(*command)
    assert done.returncode == 0
    assert re.search(r"\b(\d+) of \1 pairs", done.stderr)
    summary = json.loads(done.stdout)
    assert summary["schema"] == "vlsbench.build/1"
    assert summary["pairs"] == sum(
        row["ended"] == "released" and not row["twin_of"]
        for row in lines(tmp_path / "provenance.jsonl")
    )
    assert vlsbench("runs", "verify", str(tmp_path / "run")).returncode == 0


def test_runs_know_builds(lab_build: Builder, capsys: pytest.CaptureFixture[str]) -> None:
    done = lab_build("whole", limit=6)
    stopped = lab_build("part", limit=6, max_calls=20)
    runs.list_runs(lab_build.root, as_json=True)
    rows = {row["run"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(rows) == {"whole", "part"}
    assert rows["whole"]["complete"]
    assert not rows["part"]["complete"]
    assert (rows["part"]["view"], rows["part"]["calls"]) == ("build", 20)
    runs.show(done.folder, as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["summary"] == json.loads((done.folder / "summary.json").read_text("utf-8"))
    assert [event["kind"] for event in shown["events"]] == ["started", "finished"]
    runs.show(stopped.folder / "run")
    said = capsys.readouterr().out
    assert "20 calls" in said
    assert "final_filter" not in said
    assert "The build stopped before its end" in said
    runs.verify(stopped.folder)
    assert "sound" in capsys.readouterr().out
    (done.folder / "summary.json").write_text('{"schema": "vlsbench.build/1", "stages": 3}')
    with pytest.raises(VlsbenchError, match=r"summary\.json: stages: must be a list"):
        runs.show(done.folder)


@pytest.mark.long
def test_a_plan_asks_nothing_and_names_placeholders(tmp_path: Path) -> None:
    plan = vlsbench("build", "custom", "--plan", "--json")
    assert plan.returncode == 1
    found = json.loads(plan.stdout)
    assert found["drafts"] == 40
    roles = ("writer", "rewriter", "eyes", "judge", "checker", "painter")
    assert found["placeholders"] == [f"models.{role}" for role in roles]
    known = vlsbench("build", "lab", "--plan", "--json")
    assert known.returncode == 0
    assert json.loads(known.stdout)["cost"] == 0
    with lab.running() as url:
        sets = [part for override in served((), url) for part in ("--set", override)]
        assert vlsbench("build", "lab", *sets, "--plan").returncode == 0
        assert lab.stats(url)["requests"] == 0


def test_errors_are_one_line(tmp_path: Path) -> None:
    wrong = vlsbench("build", "lab", "--set", "draw.rounds=0", "--out", str(tmp_path))
    assert wrong.returncode == 1
    assert wrong.stderr.strip() == "error: lab.toml: draw.rounds: must be at least 1, not 0"


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_build_comes_to_the_same_set(
    tmp_path: Path, lab_build: Builder, number: signal.Signals
) -> None:
    lab_build("whole", limit=5)
    with lab.running(latency=0.02) as url:
        sets = [part for one in (*PLAIN, *served(PLAIN, url)) for part in ("--set", one)]
        command = ["build", "lab", *sets, "--limit", "5", "-c", "4", "--quiet"]
        parts = [sys.executable, "-m", "vlsbench", *command, "--out", str(tmp_path / "parts")]
        process = subprocess.Popen(parts, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while lab.stats(url)["paid"] < 40 and process.poll() is None:
            time.sleep(0.02)
        os.kill(process.pid, number)
        code = process.wait(60)
        assert code == (-signal.SIGKILL if number == signal.SIGKILL else 130)
        again = vlsbench(*command, "--out", str(tmp_path / "parts"))
        assert again.returncode == 0, again.stderr
        # At most what was in flight: four connections.
        assert lab.stats(url)["paid_again"] <= (4 if number == signal.SIGKILL else 0)
    assert contents(tmp_path / "whole" / "pairs") == contents(tmp_path / "parts" / "pairs")
    assert verify_run(tmp_path / "parts" / "run").problems == ()
