"""The benchmark for GPUs, at toy size: does it measure every sort of case?"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "align_gpu.py"


@pytest.mark.slow
def test_every_sort_of_case_is_measured(tmp_path: Path) -> None:
    out = tmp_path / "figures.json"
    command = [sys.executable, str(SCRIPT), "--tiny", "--steps", "4", "--rows", "8"]
    command += ["--methods", "mm-sft,mm-dpo,t-safe-unlearning,mm-ppo", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = {(case["method"], case["who"]): case for case in json.loads(out.read_text())["figures"]}
    assert set(found) == {
        ("mm-sft", "plain TRL"),
        ("mm-sft", "ours"),
        ("mm-sft", "ours, cached features"),
        ("mm-dpo", "plain TRL"),
        ("mm-dpo", "ours"),
        ("t-safe-unlearning", "ours"),
        ("mm-ppo", "ours"),
    }
    assert not any(case.get("failed") for case in found.values())
    # Both count the tokens of the same rows.
    sft = [found["mm-sft", who] for who in ("plain TRL", "ours")]
    assert all(case["tokens_per_second"] > 0 for case in sft)


def test_without_a_gpu_it_says_what_it_needs() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "needs a GPU" in done.stderr
