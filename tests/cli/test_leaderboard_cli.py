"""`vlsbench leaderboard` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.typed import Command


def _runs(vlsbench: Command, *views: str) -> list[str]:
    for model, view in zip(("blind", "careful"), views, strict=True):
        asked = ("eval", "lab/leakless?n=40", "--model", f"lab/{model}", "--judge", "lab", "-q")
        assert vlsbench(*asked, "--view", view, "--out", model).returncode == 0
    return ["blind", "careful"]


def test_runs_are_ranked_printed_and_written(vlsbench: Command, tmp_path: Path) -> None:
    runs = _runs(vlsbench, "full", "full")
    done = vlsbench("leaderboard", *runs, "-o", "board")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("lab/")]
    assert [line[:3] for line in lines[1:3]] == [["lab/careful", "†", "1"], ["lab/blind", "†", "2"]]
    assert "uncalibrated judge" in done.stdout
    assert "† simulated" in done.stdout
    assert {path.suffix for path in (tmp_path / "board").iterdir()} == {".html", ".json"}
    found = json.loads(vlsbench("leaderboard", *runs, "--json").stdout)
    assert [row["place"] for row in found["rows"]] == [1, 2]


def test_runs_that_differ_are_refused_with_a_line_for_each(vlsbench: Command) -> None:
    done = vlsbench("leaderboard", *_runs(vlsbench, "full", "text"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[1] == (
        "  careful: another view than blind (view: text, not full)"
    )


def test_a_folder_without_a_run_is_one_line(vlsbench: Command) -> None:
    done = vlsbench("leaderboard", "nowhere")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nowhere: no such run" in done.stderr
    assert vlsbench("leaderboard").returncode == 2
