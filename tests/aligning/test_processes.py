"""Training with two processes on the CPU, as a user launches them on several GPUs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.aligning.align_examples import prompt_rows, sft_rows

LAUNCH = ("-m", "accelerate.commands.launch", "--cpu", "--num_processes", "2")


def write(folder: Path, rows: Sequence[dict[str, Any]]) -> Path:
    lines = []
    for place, row in enumerate(rows):
        row["images"][0].save(folder / f"{place}.png")
        lines.append(json.dumps({**row, "images": [f"{place}.png"]}) + "\n")
    path = folder / "rows.jsonl"
    path.write_text("".join(lines))
    return path


REWARDS = """
from vlsbench.registry import reward

@reward("long")
def long(spec):
    return lambda rows, answers: [float(len(answer)) for answer in answers]

@reward("short")
def short(spec):
    return lambda rows, answers: [-float(len(answer)) for answer in answers]
"""


def train(
    method: str, tiny: Path, rows: Path, out: Path, batch: int, *launch: str, reward: str = ""
) -> str:
    """Train for two steps in processes of its own; returns what was printed."""
    plugin = rows.with_name("rewards.py")
    plugin.write_text(REWARDS)
    done = subprocess.run(
        [
            *(sys.executable, *launch, "-m", "vlsbench", "align", method, "--model", str(tiny)),
            *("--data", str(rows), "--out", str(out), "--max-steps", "2", "--lr", "0.01"),
            *("--batch-size", str(batch), "--json"),
            *(("--plugin", str(plugin), "--reward", reward) if reward else ()),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
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
    rows = write(tmp_path, sft_rows())
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


@pytest.mark.slow
def test_ppo_in_two_processes_of_one_answer_each_heeds_its_reward(
    tiny: Path, tmp_path: Path
) -> None:
    rows = write(tmp_path, prompt_rows())
    for reward in ("long", "short"):
        train("mm-ppo", tiny, rows, tmp_path / reward, 1, *LAUNCH, reward=reward)
    one, other = weights(tmp_path / "long"), weights(tmp_path / "short")
    assert any((one[name] != other[name]).any() for name in one)
