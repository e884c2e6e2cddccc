"""The programs that sets are exported for load them: VLMEvalKit (ms-vlmeval) and lmms-eval.

`EXCHANGE_PYTHON` names a Python that has them and their many requirements.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.grouped import grouped
from vlsbench.evaluation import Replies
from vlsbench.exchange import export
from vlsbench.tables import read_rows

PYTHON = os.environ.get("EXCHANGE_PYTHON", sys.executable)
VLMEVALKIT = """
import json, sys
from vlmeval.dataset import build_dataset
data = build_dataset(sys.argv[1])
print(json.dumps([data.build_prompt(number) for number in range(len(data))]))
"""
LMMS_EVAL = """
import sys
from lmms_eval.__main__ import cli_evaluate  # what it needs is there
from lmms_eval.api.model import lmms
from lmms_eval.evaluator import simple_evaluate
from lmms_eval.tasks import TaskManager
import json

class Model(lmms):
    def generate_until(self, requests):
        for context, how, visual, doc, task, split in (one.args for one in requests):
            assert how["until"] == [] and visual(self.task_dict[task][split][doc])
        return ["No.\\n\\nKeep it away from toddlers."] * len(requests)

    def loglikelihood(self, requests): ...
    def generate_until_multi_round(self, requests): ...

folder, name = sys.argv[1:]
tasks = TaskManager(include_path=folder)
found = simple_evaluate(model=Model(), tasks=[name], task_manager=tasks, log_samples=True)
print(json.dumps(found["samples"][name], default=str))
"""


@dataclass(frozen=True, slots=True)
class Answered:
    """What is read of a run's rows."""

    reply: str


def _said(script: str, *arguments: str, **environment: str) -> Any:
    program = script.split("from ")[1].split(".")[0]
    if subprocess.run([PYTHON, "-c", f"import {program}"], capture_output=True).returncode:
        pytest.skip(f"{PYTHON} has no {program}")
    settings = {**os.environ, **environment}
    command = [PYTHON, "-c", script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=settings, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_vlmevalkit_shows_every_pair(tmp_path: Path) -> None:
    pairs = vlsbench.load("lab/leakless?n=4")
    done = export(pairs, "vlmevalkit", tmp_path / "data")
    prompts = _said(VLMEVALKIT, done.name, LMUData=str(done.file.parent))
    assert [prompt[-1]["value"] for prompt in prompts] == [pair.query for pair in pairs]
    assert all(Path(prompt[0]["value"]).is_file() for prompt in prompts)


@pytest.mark.slow
def test_lmms_eval_asks_every_pair_and_its_log_is_judged(tmp_path: Path) -> None:
    pairs = vlsbench.load("lab/leakless?n=4")
    done = export(pairs, "lmms-eval", tmp_path / "tasks")
    samples = _said(LMMS_EVAL, str(done.file), done.name)
    log = tmp_path / "samples.jsonl"
    log.write_text("".join(json.dumps(sample) + "\n" for sample in samples), "utf-8")
    flat = grouped(out=tmp_path / "run", progress=False)
    run = vlsbench.evaluate(pairs, judge="lab", replies=Replies(files=(log,)), **flat)
    assert run.summary.groups[0].scored == 4
    replies = {row.reply for row in read_rows(run.pairs, Answered, remedy="")}
    assert replies == {"No.\n\nKeep it away from toddlers."}
