"""Training with two processes on the CPU, as a user launches them on several GPUs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from torch import accelerator

from tests.aligning.align_examples import NO, YES, prompt_rows, says, unlike_rows

LAUNCH = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
ON_CPU = {**os.environ, **({"ACCELERATE_USE_CPU": "true"} if accelerator.is_available() else {})}


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    lines = []
    for place, row in enumerate(rows):
        row["images"][0].save(folder / f"{place}.png")
        lines.append(json.dumps({**row, "images": [f"{place}.png"]}) + "\n")
    path = folder / "rows.jsonl"
    path.write_text("".join(lines))
    return path


def train(
    method: str, tiny: Path, rows: Path, out: Path, batch: int, *launch: str, reward: str = ""
) -> str:
    """Train for two steps in processes of its own; returns what was printed."""
    done = subprocess.run(
        [
            *(sys.executable, *launch, "-m", "vlsbench", "align", method, "--model", str(tiny)),
            *("--data", str(rows), "--out", str(out), "--max-steps", "2", "--lr", "0.01"),
            *("--batch-size", str(batch), "--json"),
            *(("--reward", reward) if reward else ()),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=ON_CPU,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def steps(folder: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [entry for entry in found if "loss" in entry]


@pytest.mark.slow
def test_two_processes_learn_what_one_with_both_their_rows_learns(
    tiny: Path, tmp_path: Path
) -> None:
    import torch

    # Eight, so that every step holds all of them: the order is another one.
    asked = unlike_rows()
    taught = [
        row["prompt"] + says(answer) for row, answer in zip(asked, [NO, YES] * 4, strict=True)
    ]
    rows = write(
        tmp_path,
        [
            {"messages": messages, "images": row["images"]}
            for row, messages in zip(asked, taught, strict=True)
        ],
    )
    printed = train("mm-sft", tiny, rows, tmp_path / "two", 4, *LAUNCH)
    # One of them speaks and writes.
    assert json.loads(printed)["steps"] == 2
    train("mm-sft", tiny, rows, tmp_path / "one", 8)
    assert [entry["step"] for entry in steps(tmp_path / "two")] == [1, 2]
    for two, one in zip(steps(tmp_path / "two"), steps(tmp_path / "one"), strict=True):
        assert two["loss"] == pytest.approx(one["loss"], abs=1e-4)
    alone = weights(tmp_path / "one")
    for name, found in weights(tmp_path / "two").items():
        torch.testing.assert_close(found, alone[name], atol=1e-4, rtol=0)
    record = json.loads((tmp_path / "two" / "align.json").read_text())
    assert (record["finished"], record["steps"]) == (True, 2)


@pytest.mark.slow
def test_ppo_in_two_processes_samples_and_writes_once(tiny: Path, tmp_path: Path) -> None:
    rows = write(tmp_path, prompt_rows())
    printed = train("mm-ppo", tiny, rows, tmp_path / "out", 2, *LAUNCH, reward="offline")
    assert json.loads(printed)["steps"] == 2
    first, second = steps(tmp_path / "out")
    assert -1 <= first["reward"] <= 1
    assert "reward" not in second
    assert json.loads((tmp_path / "out" / "align.json").read_text())["finished"]
    before, after = weights(tiny), weights(tmp_path / "out")
    assert any((before[name] != after[name]).any() for name in before)


def train_ppo(
    tiny: Path, out: Path, processes: int, batch: int, parts: int, **options: Any
) -> Path:
    """Train by PPO in processes of its own."""
    module = ("-m", "tests.aligning.ppo_in_processes")
    given = {"batch_size": batch, "gradient_accumulation": parts, **options}
    done = subprocess.run(
        [
            *(sys.executable, *((*LAUNCH, *module) if processes == 2 else module)),
            *(str(tiny), str(out), json.dumps(given)),
        ],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env=ON_CPU,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [str(processes)] * processes
    return out


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "parts"), [(1, 1), (1, 4), (4, 1)])
def test_ppo_in_two_processes_heeds_its_reward(
    tiny: Path, tmp_path: Path, batch: int, parts: int
) -> None:
    one, other = (
        weights(train_ppo(tiny, tmp_path / reward, 2, batch, parts, reward=reward, max_steps=2))
        for reward in ("by_length", "against_length")
    )
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "parts"), [(1, 4), (2, 2), (4, 1)])
def test_ppo_in_two_processes_earns_more_as_in_one(
    tiny: Path, tmp_path: Path, batch: int, parts: int
) -> None:
    out = tmp_path / "out"
    train_ppo(tiny, out, 2, batch, parts, reward="says_no", max_steps=80, kl=0.0)
    earned = [entry["reward"] for entry in steps(out) if "reward" in entry]
    assert sum(earned[-10:]) / 10 - sum(earned[:10]) / 10 > 0.3


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "parts"), [(1, 4), (4, 1)])
def test_ppo_in_two_processes_learns_from_the_same_samples_what_one_learns(
    tiny: Path, tmp_path: Path, batch: int, parts: int
) -> None:
    import torch

    fixed = {"reward": "by_length", "likeliest": True, "max_steps": 4, "learning_rate": 1e-3}
    fixed |= {"kl": 0.1, "value_weight": 0.1, "gae_lambda": 1.0}
    alone = weights(train_ppo(tiny, tmp_path / "one", 1, 8, 1, **fixed))
    two = weights(train_ppo(tiny, tmp_path / "two", 2, batch, parts, **fixed))
    before = weights(tiny)
    assert max(float((alone[name] - before[name]).abs().max()) for name in alone) > 1e-3
    for name, found in two.items():
        torch.testing.assert_close(found, alone[name], atol=1e-5, rtol=0)
