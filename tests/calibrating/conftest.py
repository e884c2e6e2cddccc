"""Runs that the lab judges, and the same replies judged by a judge that errs: made once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vlsbench
from tests.calibrating.runs import Truth, erring, truths
from tests.grouped import grouped


def _make(root: Path, pairs: int, *models: str) -> Path:
    """Make the runs `MODEL-lab` and `MODEL-erring`."""
    both = vlsbench.load(f"lab/leakless?n={pairs}", controls=[f"lab/benign?n={pairs // 4}"])
    for model in models:
        for judge in ("lab", "erring"):
            judged = judge if judge == "lab" else erring(truths(root / f"{model}-lab"))
            options = grouped(out=root / f"{model}-{judge}", progress=False, gallery=0)
            vlsbench.evaluate(both, model=f"lab/{model}", judge=judged, **options)
    return root


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(tmp_path_factory.mktemp("many"), 300, "shortsighted", "careful")


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _make(tmp_path_factory.mktemp("few"), 100, "shortsighted")


@pytest.fixture(scope="session")
def truth(made: Path) -> Truth:
    return truths(made / "shortsighted-lab")


@pytest.fixture
def run(made: Path, tmp_path: Path) -> Path:
    """A run whose judge errs, with nothing beside it."""
    return shutil.copytree(made / "shortsighted-erring", tmp_path / "run")
