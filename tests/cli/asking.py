"""What tests of the command share that ask scripted servers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.typed import Command


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "VLSBENCH_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    rows = [
        {"id": f"p{n}", "query": f"About pair {n}: is it hot?", "harmful": True} for n in range(6)
    ]
    (tmp_path / "set.jsonl").write_text("\n".join(map(json.dumps, rows)))


def evaluate(vlsbench: Command, model: str, *more: str) -> CompletedProcess[str]:
    judge = () if "--judge" in more else ("--judge", "offline")
    what = ("--model", model, *judge, "--out", "r", "--retries", "0", *more)
    return vlsbench("eval", "set.jsonl", *what)


def one_line(done: CompletedProcess[str]) -> str:
    assert "Traceback" not in done.stderr
    return re.sub(r"\s+", " ", done.stderr)
