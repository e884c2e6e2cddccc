"""What an earlier version wrote, and the command line run beside it.

Where a later version can no longer go on with something, its test's `old.json(…)` becomes
`old.refuses(…)`, and one line must say so and what to do.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ARCHIVE = Path(__file__).parents[1] / "fixtures" / "v0_1" / "v0_1.tar.xz"
NOTHING = ("--max-calls", "0")
"""Lets a command succeed only if all it needs is on record."""


def needs(*names: str) -> pytest.MarkDecorator:
    """Skip where an extra is not installed."""
    missing = ", ".join(name for name in names if find_spec(name) is None)
    return pytest.mark.skipif(bool(missing), reason=f"needs {missing}")


def assert_same(found: Any, before: Any) -> None:
    """Compare figures: numbers may differ in the last bits, nothing else may.

    The ends of intervals are computed in another way since, and new fields may stand beside old.
    """
    if isinstance(before, dict):
        assert found.keys() >= before.keys()
        for key in before.keys() - {"low", "high"}:
            assert_same(found[key], before[key])
    elif isinstance(before, list):
        assert len(found) == len(before)
        for one, other in zip(found, before, strict=True):
            assert_same(one, other)
    elif isinstance(before, float):
        assert found == pytest.approx(before, abs=1e-12)
    else:
        assert found == before


class Old:
    """A copy of the artefacts, and the command line run beside them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.command = [sys.executable, "-m", "vlsbench"]
        self.environment = {
            **os.environ,
            "COLUMNS": "200",
            "NO_COLOR": "1",
            "CUDA_VISIBLE_DEVICES": "",  # half precision would be another model
            "HF_HUB_OFFLINE": "1",
            "VLSBENCH_HOME": str(folder / "home"),
        }

    def run(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command; its exit code must be the one given."""
        done = subprocess.run(
            [*self.command, *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == code, done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with `--json`, and return what it prints."""
        return json.loads(self.run(*arguments, "--json", code=code).stdout)

    def refuses(self, *arguments: str, says: str) -> None:
        """Run a command that cannot go on: it says so in one line, which tells what to do."""
        done = self.run(*arguments, code=1)
        (line,) = done.stderr.strip().splitlines()
        assert re.search(says, line), line

    def calls(self, root: str) -> dict[str, int]:
        """Return the calls on record in each run of a folder."""
        return {run["run"]: run["calls"] for run in self.json("runs", "list", root)}


def unpack(folder: Path) -> Old:
    with tarfile.open(ARCHIVE) as archive:
        # Extraction filters came with Python 3.11.4; the archive is our own.
        safe: dict[str, Any] = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        archive.extractall(folder, **safe)
    return Old(folder)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def labels(run: Path) -> dict[str, str]:
    """Return id → label, as a run's table has it."""
    import pyarrow.parquet as pq

    table = pq.read_table(run / "pairs.parquet", columns=["id", "label"])
    return {row["id"]: row["label"] for row in table.to_pylist()}


def counts(summary: dict[str, Any]) -> dict[str, int]:
    (group,) = summary["groups"]
    return {name: group[name]["k"] for name in ("refusal", "warning", "unsafe")}


def spent(summary: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return role → calls that the run paid, and replies that it has from other runs."""
    return {row["role"]: (row["calls"], row["reused"]) for row in summary["spend"]}
