"""`vlsbench leaderboard` as it is typed, of runs and of audits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

from tests.cli.typed import Command
from tests.pages import card_examples
from vlsbench.auditing.card import CARD_JSON
from vlsbench.files import write_json


def _runs(vlsbench: Command, *views: str) -> list[str]:
    for model, view in zip(("blind", "careful"), views, strict=True):
        asked = ("eval", "lab/leakless?n=40", "--model", f"lab/{model}", "--judge", "lab", "-q")
        assert vlsbench(*asked, "--view", view, "--out", model).returncode == 0
    return ["blind", "careful"]


def _audit(folder: Path, bench: str) -> str:
    folder.mkdir()
    write_json(replace(card_examples.card(), bench=bench), folder / CARD_JSON)
    return str(folder)


def test_runs_are_ranked_printed_and_written(vlsbench: Command, tmp_path: Path) -> None:
    runs = _runs(vlsbench, "full", "full")
    done = vlsbench("leaderboard", *runs, "-o", "board")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines() if line.startswith("lab/")]
    assert [line[:3] for line in lines[1:3]] == [["lab/careful", "†", "1"], ["lab/blind", "†", "2"]]
    assert "uncalibrated judge" in done.stdout
    assert "† simulated" in done.stdout
    assert {path.suffix for path in (tmp_path / "board").iterdir()} == {".html", ".csv", ".json"}
    found = json.loads(vlsbench("leaderboard", *runs, "--json").stdout)
    assert [row["place"] for row in found["rows"]] == [1, 2]


def test_runs_that_differ_are_refused_with_a_line_for_each(vlsbench: Command) -> None:
    done = vlsbench("leaderboard", *_runs(vlsbench, "full", "text"))
    assert done.returncode == 1
    assert done.stderr.splitlines()[1] == (
        "  careful: another view than blind (view: text, not full)"
    )


def test_audits_are_ranked_by_leakage_and_not_mixed_with_runs(
    vlsbench: Command, tmp_path: Path
) -> None:
    audits = [_audit(tmp_path / name, name) for name in ("one", "other")]
    done = vlsbench("leaderboard", *audits, "-o", "leakage")
    assert done.returncode == 0, done.stderr
    assert "leak, most first" in done.stdout
    page = (tmp_path / "leakage" / "leaderboard.html").read_text("utf-8")
    assert 'href="../one/card.html"' in page
    mixed = vlsbench("leaderboard", audits[0], *_runs(vlsbench, "full", "full"))
    assert mixed.returncode == 1
    assert "is an audit and blind is not" in mixed.stderr


def test_a_folder_without_a_run_is_one_line(vlsbench: Command) -> None:
    done = vlsbench("leaderboard", "nowhere")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "nowhere: no such run" in done.stderr
    assert vlsbench("leaderboard").returncode == 2
