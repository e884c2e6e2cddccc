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

from vlsbench.aligning._arguments import Setup
from vlsbench.aligning._rows import open_image, prompt_of
from vlsbench.aligning._settings import Method, Row


def prompts(rows: Sequence[Row]) -> Dataset:
    """Return a data set that opens a row's images when it is looked at."""

    def look(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        chosen = [rows[place] for place in batch["row"]]
        return {
            "row": batch["row"],
            "prompt": [prompt_of(row) for row in chosen],
            "images": [[open_image(image) for image in row.get("images") or ()] for row in chosen],
        }

    return Dataset.from_dict({"row": list(range(len(rows)))}).with_transform(look)


def trainer(setup: Setup) -> RLOOTrainer | GRPOTrainer:
    """Make a trainer. The reference is loaded again from where the model came from."""

    def score(completions: list[Any], row: list[int], **_: Any) -> list[float]:
        return setup.rewards(row, [messages[-1]["content"] for messages in completions])

    settings = setup.settings
    arguments: dict[str, Any] = {
        **setup.arguments,
        "num_generations": settings.num_generations,
        "max_completion_length": settings.max_new_tokens,
        "temperature": settings.temperature,
        "epsilon": settings.clip,
        "beta": settings.kl,
    }
    parts: dict[str, Any] = {
        **setup.options,
        "reward_funcs": score,
        "train_dataset": prompts(setup.encoder.rows),
    }
    if setup.method is Method.MM_GRPO:
        # TRL's default is another loss (DAPO): this is the one of the paper cited above.
        return GRPOTrainer(args=GRPOConfig(**arguments, loss_type="grpo"), **parts)
    return RLOOTrainer(args=RLOOConfig(**arguments), **parts)
