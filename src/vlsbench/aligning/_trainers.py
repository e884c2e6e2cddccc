"""The trainer of a method: TRL's with our batches, or one of ours where TRL has none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from transformers import PrinterCallback, TrainerCallback, set_seed
from transformers.integrations.integration_utils import get_available_reporting_integrations

from vlsbench.aligning._settings import Method, Progress, Reward, Row, TrainingSettings
from vlsbench.aligning.encode import CACHE_BYTES, Collator, Encoder, PreferenceCollator
from vlsbench.aligning.model import (
    Parameters,
    count,
    filled,
    freeze,
    lora_config,
    open_model,
    open_processor,
    weights_dtype,
)
from vlsbench.aligning.rows import open_image, prompt_of
from vlsbench.errors import VlsbenchError

if TYPE_CHECKING:
    from datasets import Dataset

LARGE = 1_000_000_000
"""Parameters from which on activations are recomputed rather than kept, unless told otherwise."""


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


@dataclass(frozen=True)
class TrainerParts:
    """What every trainer is made of."""

    method: Method
    model: Any
    path: str
    """Where the model came from."""
    encoder: Encoder
    settings: TrainingSettings
    """As `filled` returns them."""
    arguments: dict[str, Any]
    """Of `TrainingArguments`."""
    lora: Any
    """PEFT's configuration; None trains all parameters."""
    callbacks: list[Any]
    reward: Reward | None
    """Of sampled answers; online methods have one."""

    @property
    def options(self) -> dict[str, Any]:
        """What every trainer of TRL takes."""
        return {
            "model": self.model,
            "processing_class": self.encoder.processor,
            "peft_config": self.lora,
            "callbacks": self.callbacks,
            "train_dataset": self.places(),
        }

    def places(self) -> Dataset:
        """Return a data set of row numbers: trainers shuffle these, collators look the rows up.

        The empty `images` column tells TRL to leave preparing the data to the collator.
        """
        from datasets import Dataset

        rows = range(len(self.encoder.rows))
        return Dataset.from_dict({"row": list(rows), "images": [[] for _ in rows]})

    def reference(self) -> Any:
        """Open the model before training again; None under LoRA, which takes the adapter off."""
        if self.lora:
            return None
        return open_model(self.path, dtype=weights_dtype(self.settings))


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
    made = _made(
        TrainerParts(
            method=method,
            model=model,
            path=path,
            encoder=encoder,
            settings=settings,
            arguments=_arguments(settings, out, parameters.total),
            lora=lora_config(model, settings.lora) if settings.lora else None,
            callbacks=[notes],
            reward=reward,
        )
    )
    # It prints every log entry; `Notes` keeps them.
    made.remove_callback(PrinterCallback)
    return made, count(made.model, parameters.frozen_vision)


def _arguments(settings: TrainingSettings, out: Path, parameters: int) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments` for any method.

    TRL's own defaults turn bfloat16 and gradient checkpointing on everywhere; here both follow
    the device and the model's size.
    """
    there = get_available_reporting_integrations()
    if missing := ", ".join(name for name in settings.report_to if name not in there):
        raise VlsbenchError(
            f"--report-to {missing}: not installed; there is {', '.join(there) or 'none'}, and "
            "metrics.jsonl always"
        )
    recomputes = settings.gradient_checkpointing
    return {
        "output_dir": str(out),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps if settings.max_steps is not None else -1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "bf16": settings.bf16,
        "activation_checkpointing": parameters >= LARGE if recomputes is None else recomputes,
        "seed": settings.seed,
        "dataloader_num_workers": settings.workers,
        "dataloader_pin_memory": settings.bf16,
        "remove_unused_columns": False,
        "report_to": list(settings.report_to) or "none",
        "logging_steps": settings.log_steps,
        "logging_first_step": True,
        "save_strategy": "steps" if settings.save_steps else "no",
        "save_steps": settings.save_steps or 500,
        "save_total_limit": 2,
        "disable_tqdm": True,
        # Text-only batches leave the projector without gradients.
        "ddp_find_unused_parameters": True,
    }


def _made(parts: TrainerParts) -> Any:
    """Make the trainer of a method, importing no other."""
    if parts.method is Method.MM_GRPO:
        return _grpo(parts)
    if parts.method is Method.MM_PPO:
        from vlsbench.aligning._ppo import PPOTrainer

        return PPOTrainer(parts)
    if parts.method.form == "unlearning":
        from vlsbench.aligning.unlearning import UnlearningTrainer

        return UnlearningTrainer(parts)
    if parts.method.form == "preference":
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

    return DPOTrainer(
        ref_model=parts.reference(),
        args=DPOConfig(
            **parts.arguments,
            beta=parts.settings.beta or 0.0,
            loss_type=["sigmoid", "sft"],
            loss_weights=[1.0, parts.settings.sft_weight],
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
