"""`vlsbench bench new`: what it writes works as it stands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

Done = subprocess.CompletedProcess[str]


def run(folder: Path, *command: str) -> Done:
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        timeout=120,
    )


@pytest.mark.long
def test_the_scaffolded_test_passes_and_the_source_is_found(tmp_path: Path) -> None:
    done = run(tmp_path, "vlsbench", "bench", "new", "kitchen-safety")
    assert done.returncode == 0, done.stderr
    assert "Next: pytest kitchen-safety/test_kitchen_safety.py" in done.stdout
    tested = run(tmp_path, "pytest", "-q", "-p", "no:xdist", "kitchen-safety")
    assert tested.returncode == 0, tested.stdout
    assert "2 passed" in tested.stdout
    (tmp_path / "sets").mkdir()
    row = {"id": 1, "question": "Why?", "image": "a.png", "category": "k", "label": "safe"}
    (tmp_path / "sets/kitchen-safety.jsonl").write_text(json.dumps(row))
    plugin = ("--plugin", "kitchen-safety/kitchen_safety.py", "--data", "sets")
    shown = run(tmp_path, "vlsbench", "bench", "show", "kitchen-safety", *plugin, "--json")
    assert json.loads(shown.stdout)["benign"] == 1
    lint = run(tmp_path, "ruff", "check", "--isolated", "--select", "E,F", "kitchen-safety")
    assert lint.returncode == 0, lint.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Kitchen", "cannot be the name of a benchmark"),
        ("../kitchen", "cannot be the name of a benchmark"),
        ("figstep", "is a benchmark already (vlsbench)"),
        ("there", "is there already: give another --dest"),
    ],
)
def test_a_name_that_cannot_be_is_one_line(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "there").mkdir()
    done = run(tmp_path, "vlsbench", "bench", "new", name)
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert said in line
