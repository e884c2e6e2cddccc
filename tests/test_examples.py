"""The examples run, offline, as they stand."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

import pytest

from vlsbench import build, evaluate, load, registry
from vlsbench.config import Sample
from vlsbench.evaluation import Output

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("minimal_eval.py", "lab/careful  lab/leakless  safe 100%"),
        ("own_source.py", "door-red What colour is this?"),
        ("own_judge.py", "all refused"),
        ("own_model.py", "calls 20"),
    ],
)
def test_scripts(script: str, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")
    assert said in capsys.readouterr().out


def test_the_smallest_evaluation_is_small() -> None:
    text = (EXAMPLES / "minimal_eval.py").read_text("utf-8")
    assert len(text.splitlines()) <= 80
    assert "._" not in text


def test_examples_are_plugins(tmp_path: Path) -> None:
    for name in ("own_source.py", "own_model.py", "own_judge.py"):
        # A copy: what a script of the same name registered above came from elsewhere.
        text = (EXAMPLES / name).read_text("utf-8")
        for known in ("doors", "echo", "no-thanks"):
            text = text.replace(f'("{known}"', f'("{known}-plugin"')
        (tmp_path / name).write_text(text, "utf-8")
        registry.load_plugin(str(tmp_path / name))
    output = Output(out=tmp_path / "run", progress=False)
    run = evaluate(
        "doors-plugin", model="echo-plugin/twice", judge="no-thanks-plugin", output=output
    )
    assert [group.answered.k for group in run.summary.groups if group.name == "all"] == [3]


def test_recipe(tmp_path: Path) -> None:
    done = build(EXAMPLES / "own_recipe.toml", out=tmp_path / "out", progress=False)
    assert done.stopped is None
    assert done.summary.pairs == len(load(done.pairs)) > 0


def test_notebook() -> None:
    book = json.loads((EXAMPLES / "notebook.ipynb").read_text("utf-8"))
    names: dict[str, Any] = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec("".join(cell["source"]), names)
    assert len(names["rows"]) == 20
    assert names["run"].stopped is None
    assert Sample(limit=20) == names["asked"]["sample"]
