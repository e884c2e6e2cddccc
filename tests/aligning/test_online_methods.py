"""PPO earns its reward, however a batch is split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.aligning.align_examples import (
    FAST,
    by_length,
    prompt_rows,
    says_no,
)
from vlsbench.aligning import TrainingSettings, train


@pytest.mark.parametrize("method", ["mm-ppo", "mm-grpo"])
def test_online_methods_earn_more_than_before(method: str, tiny: Path, tmp_path: Path) -> None:
    done = train(
        method,
        model=tiny,
        rows=prompt_rows(),
        out=tmp_path / "m",
        settings=TrainingSettings(
            max_steps=30, num_generations=4, max_new_tokens=4, kl=0.0, **FAST
        ),
        reward=says_no,
    )
    assert done.curve[-1]["reward"] > done.curve[0]["reward"]


def ppo_weights(tiny: Path, out: Path, reward: Any, **changed: Any) -> dict[str, Any]:
    from safetensors.torch import load_file

    fixed = {"max_new_tokens": 4, "max_steps": 4, "gae_lambda": 1.0, "value_weight": 0.0}
    settings = TrainingSettings(**(FAST | fixed | changed))
    train("mm-ppo", model=tiny, rows=prompt_rows(), out=out, settings=settings, reward=reward)
    return load_file(out / "model.safetensors")


@pytest.mark.parametrize(("batch", "parts"), [(1, 1), (1, 8), (2, 4), (8, 1)])
def test_ppo_sees_its_reward_however_a_batch_is_split(
    batch: int, parts: int, tiny: Path, tmp_path: Path
) -> None:
    def opposite(rows: Sequence[dict[str, Any]], answers: Sequence[str]) -> list[float]:
        return [-earned for earned in by_length(rows, answers)]

    split = {"batch_size": batch, "gradient_accumulation": parts}
    one = ppo_weights(tiny, tmp_path / "one", by_length, **split)
    other = ppo_weights(tiny, tmp_path / "other", opposite, **split)
    assert any((one[name] != other[name]).any() for name in one)


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "parts"), [(1, 1), (1, 8), (2, 4), (8, 1)])
@pytest.mark.parametrize("gae_lambda", [0.95, 1.0])
def test_ppo_earns_more_however_a_batch_is_split(
    batch: int, parts: int, gae_lambda: float, tiny: Path, tmp_path: Path
) -> None:
    gained = []
    for seed in range(3):
        done = train(
            "mm-ppo",
            model=tiny,
            rows=prompt_rows(),
            out=tmp_path / str(seed),
            settings=TrainingSettings(
                **(FAST | {"batch_size": batch, "log_steps": 1}),
                gradient_accumulation=parts,
                max_steps=300 if batch * parts == 1 else 80,
                gae_lambda=gae_lambda,
                max_new_tokens=4,
                kl=0.0,
                seed=seed,
            ),
            reward=says_no,
        )
        earned = [entry["reward"] for entry in done.curve if "reward" in entry]
        gained.append(sum(earned[-10:]) / 10 - sum(earned[:10]) / 10)
    assert sum(gained) / 3 > 0.3


def test_ppo_learns_the_same_from_the_same_samples_however_a_batch_is_split(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import LlavaForConditionalGeneration

    sample = LlavaForConditionalGeneration.generate

    def likeliest(self: Any, **options: Any) -> Any:
        return sample(self, **options | {"do_sample": False, "temperature": 1.0, "top_k": None})

    monkeypatch.setattr(LlavaForConditionalGeneration, "generate", likeliest)
    fixed = {"learning_rate": 1e-3, "kl": 0.1, "value_weight": 0.1}
    whole, split = (
        ppo_weights(
            tiny,
            tmp_path / str(batch),
            by_length,
            batch_size=batch,
            gradient_accumulation=8 // batch,
            **fixed,
        )
        for batch in (8, 1)
    )
    before = load_file(tiny / "model.safetensors")
    assert max(float((whole[name] - before[name]).abs().max()) for name in whole) > 1e-3
    for name, found in split.items():
        torch.testing.assert_close(found, whole[name], atol=1e-5, rtol=0)
