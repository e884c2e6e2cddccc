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
    command = [sys.executable, str(SCRIPT), "--shape", "tiny", "--steps", "4", "--rows", "8"]
    command += ["--methods", "mm-sft,mm-dpo,t-safe-unlearning,mm-ppo", "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    found = {(case["method"], case["who"]): case for case in json.loads(out.read_text())["figures"]}
    assert set(found) == {
        ("mm-sft", "plain TRL"),
        ("mm-sft", "ours"),
        ("mm-dpo", "plain TRL"),
        ("mm-dpo", "ours"),
        ("t-safe-unlearning", "ours"),
        ("mm-ppo", "ours"),
    }
    assert not any(case.get("failed") for case in found.values())
    # Both count the tokens of the same rows.
    sft = [found["mm-sft", who] for who in ("plain TRL", "ours")]
    assert all(case["tokens_per_second"] > 0 for case in sft)


@pytest.mark.slow
def test_a_dry_run_counts_at_full_size_and_makes_no_weight() -> None:
    command = [sys.executable, str(SCRIPT), "--dry-run", "--shape", "qwen2.5-vl-7b", "--full"]
    command += ["--rows", "2", "--methods", "mm-sft,mm-ppo"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["mm-sft", "mm-ppo"]
    assert all("of 8,292,166,656 learn" in line for line in lines)


def test_without_a_gpu_it_says_what_it_needs() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = subprocess.run(
        [sys.executable, str(SCRIPT)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "needs a GPU" in done.stderr
