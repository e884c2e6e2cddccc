"""RLOO and GRPO: sample several answers to a prompt, and reward the better ones. TRL's trainers.

RLOO: Ahmadian et al. 2024, arXiv 2402.14740. GRPO: Shao et al. 2024, arXiv 2402.03300. Both need
a model that already gives a rewarded answer now and then (a cold start by SFT): where all samples
of a prompt earn the same, nothing is learnt. TRL suppresses the image token while sampling.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from datasets import Dataset
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from vlsbench.aligning._rows import open_image, prompt_of
from vlsbench.aligning._settings import Reward, Row, Settings


def prompts(rows: Sequence[Row]) -> Dataset:
    """Return a data set that opens a row's pictures when it is looked at."""

    def look(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = [rows[place] for place in batch["row"]]
        return {
            "row": batch["row"],
            "prompt": [prompt_of(row) for row in chosen],
            "images": [[open_image(image) for image in row.get("images") or ()] for row in chosen],
        }

    return Dataset.from_dict({"row": list(range(len(rows)))}).with_transform(look)


def trl_reward(reward: Reward, rows: Sequence[Row]) -> Any:
    """Return the reward as TRL calls it."""

    def score(completions: list[Any], row: list[int], **_: Any) -> list[float]:
        texts = [messages[-1]["content"] for messages in completions]
        return list(reward([rows[place] for place in row], texts))

    return score


def trainer(
    model: Any,
    processor: Any,
    rows: Sequence[Row],
    reward: Reward,
    arguments: dict[str, Any],
    settings: Settings,
    *,
    group_relative: bool,
    kl: float,
    **options: Any,
) -> RLOOTrainer | GRPOTrainer:
    """Make a trainer.

    Args:
        model: To be trained, as loaded from its path: the reference is loaded from there again.
        processor: Of the model; must pad on the left.
        rows: Prompts and pictures.
        reward: Of sampled answers.
        arguments: Of `TrainingArguments`.
        settings: Of the training.
        group_relative: GRPO rather than RLOO.
        kl: Weight of the divergence from the reference; 0 needs none.
        options: `peft_config`, `callbacks`.
    """
    online: dict[str, Any] = {
        **arguments,
        "num_generations": settings.num_generations,
        "max_completion_length": settings.max_new_tokens,
        "temperature": settings.temperature,
        "epsilon": settings.clip,
        "beta": kl,
    }
    parts: dict[str, Any] = {
        "model": model,
        "reward_funcs": trl_reward(reward, rows),
        "train_dataset": prompts(rows),
        "processing_class": processor,
        **options,
    }
    if group_relative:
        # TRL's default is another loss (DAPO): this is the one of the paper cited above.
        return GRPOTrainer(args=GRPOConfig(**online, loss_type="grpo"), **parts)
    return RLOOTrainer(args=RLOOConfig(**online), **parts)
