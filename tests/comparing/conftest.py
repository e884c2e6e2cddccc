"""Runs of the lab to compare: made once, read by every test."""

from __future__ import annotations

from pathlib import Path

import pytest

import vlsbench
from tests.grouped import grouped

N = 24


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs named `BENCH-MODEL`, `leakless-text-careful` and `leaky-rules`."""
    root = tmp_path_factory.mktemp("runs")
    for bench in ("leaky", "leakless", "benign"):
        for model in ("helpful", "blind", "careful"):
            _run(root / f"{bench}-{model}", bench, model)
    _run(root / "leakless-text-careful", "leakless", "careful", view="text")
    _run(root / "leaky-rules", "leaky", "blind", judge="offline")
    return root


@pytest.fixture(scope="session")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that its budget stopped, in a folder where it finds no answers to take over."""
    out = tmp_path_factory.mktemp("alone") / "open"
    _run(out, "leaky", "blind", max_calls=20, concurrency=1)
    return out


def _run(out: Path, bench: str, model: str, **options: object) -> None:
    options = {"judge": "lab", **options}
    vlsbench.evaluate(
        f"lab/{bench}?n={N}",
        model=f"lab/{model}",
        **grouped(out=out, progress=False, **options),
    )
