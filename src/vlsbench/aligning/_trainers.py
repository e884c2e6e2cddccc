"""The trainer of a method: TRL's with our batches, or one of ours where TRL has none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback, set_seed

from vlsbench.aligning._arguments import TrainerParts, common_arguments, filled
from vlsbench.aligning._settings import Method, Progress, Reward, Row, TrainingSettings
from vlsbench.aligning.encode import CACHE_BYTES, Collator, Encoder, PreferenceCollator
from vlsbench.aligning.model import (
    Parameters,
    count,
    freeze,
    lora_config,
    open_model,
    open_processor,
    weights_dtype,
)
from vlsbench.aligning.rows import open_image, prompt_of


class Notes(TrainerCallback):
    """Appends what is logged to `metrics.jsonl`, and tells how far the training is."""

    def __init__(self, path: Path, progress: Progress | None) -> None:
        self.path = path
        self.progress = progress

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Write one line."""
        if state.is_world_process_zero and logs:
            numbers = {k: v for k, v in logs.items() if isinstance(v, int | float)}
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(json.dumps({"step": state.global_step, **numbers}) + "\n")

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say so; the last step is logged whatever `log_steps` says."""
        if state.global_step >= state.max_steps:
            control.should_log = True
        if self.progress and state.is_world_process_zero:
            self.progress(state.global_step, state.max_steps)


def open_trainer(
    method: Method,
    path: str,
    rows: Sequence[Row],
    settings: TrainingSettings,
    reward: Reward | None,
    notes: Notes,
    out: Path,
) -> tuple[Any, Parameters]:
    """Open the model and make the method's trainer."""
    set_seed(settings.seed)
    settings = filled(method, settings)
    model = open_model(path, dtype=weights_dtype(settings))
    parameters = freeze(model, settings)
    encoder = Encoder(
        open_processor(path),
        rows,
        max_length=settings.max_length,
        cache_bytes=0 if settings.workers else CACHE_BYTES,
    )
    encoder.check("rows")
    parts = TrainerParts(
        method=method,
        model=model,
        path=path,
        encoder=encoder,
        settings=settings,
        arguments=common_arguments(method, settings, out, parameters.total),
        lora=lora_config(model, settings.lora) if settings.lora else None,
        callbacks=[notes],
        reward=reward,
    )
    made = _made(parts)
    # It prints every log entry; `Notes` keeps them.
    made.remove_callback(PrinterCallback)
    return made, count(made.model, parameters.frozen_vision)


def _made(parts: TrainerParts) -> Any:
    """Make the trainer of a method, importing no other."""
    if parts.method is Method.MM_GRPO:
        return _grpo(parts)
    if parts.method.online:
        from vlsbench.aligning._ppo import PPOTrainer

        return PPOTrainer(parts)
    if parts.method.form == "unlearning":
        from vlsbench.aligning.unlearning import UnlearningTrainer

        return UnlearningTrainer(parts)
    if parts.method.preference:
        return _dpo(parts)
    from trl import SFTConfig, SFTTrainer

    config = SFTConfig(**parts.arguments, max_length=None)
    return SFTTrainer(args=config, data_collator=Collator(parts.encoder), **parts.options)


def _dpo(parts: TrainerParts) -> Any:
    """Make the trainer for DPO (Rafailov et al. 2023, arXiv 2305.18290).

    It adds the likelihood of the chosen answer to the loss (as in RPO, Pang et al. 2024, arXiv
    2404.19733): on a model that never refused, DPO alone pushes both answers down until neither
    is left.
    """
    from trl import DPOConfig, DPOTrainer

    both = parts.settings.sft_weight > 0
    return DPOTrainer(
        ref_model=parts.reference(),
        args=DPOConfig(
            **parts.arguments,
            beta=parts.settings.beta or 0.0,
            loss_type=["sigmoid", "sft"] if both else ["sigmoid"],
            loss_weights=[1.0, parts.settings.sft_weight] if both else None,
            max_length=None,
        ),
        data_collator=PreferenceCollator(parts.encoder),
        **parts.options,
    )


def _grpo(parts: TrainerParts) -> Any:
    """Make the trainer for GRPO (Shao et al. 2024, arXiv 2402.03300): the better samples pay.

    It needs a model that already gives a rewarded answer now and then (a cold start by SFT): where
    all samples of a prompt earn the same, nothing is learnt.
    """
    from trl import GRPOConfig, GRPOTrainer

    rows, settings, reward = parts.encoder.rows, parts.settings, parts.reward
    assert reward is not None

    def score(completions: list[Any], row: list[int], **_: Any) -> list[float | None]:
        answers = [messages[-1]["content"] for messages in completions]
        return list(reward([rows[place] for place in row], answers))

    def look(batch: dict[str, list[int]]) -> dict[str, list[Any]]:
        """Open the images of rows when they are looked at."""
        chosen = [rows[place] for place in batch["row"]]
        return {
            "row": batch["row"],
            "prompt": [prompt_of(row) for row in chosen],
            "images": [[open_image(image) for image in row.get("images") or ()] for row in chosen],
        }

    arguments = GRPOConfig(
        **parts.arguments,
        loss_type="grpo",  # TRL's default is another loss (DAPO): this is the one cited above
        num_generations=settings.num_generations,
        max_completion_length=settings.max_new_tokens,
        temperature=settings.temperature,
        epsilon=settings.clip,
        beta=settings.kl or 0.0,
    )
    prompts = parts.places().select_columns("row").with_transform(look)
    options = {**parts.options, "train_dataset": prompts}
    return GRPOTrainer(args=arguments, reward_funcs=score, **options)
