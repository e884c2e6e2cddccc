"""What trainers are told: settings with the method's own where none are given, and their data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.aligning._settings import Method, Reward, TrainingSettings
from vlsbench.aligning.model import LARGE, has_bf16, open_model, weights_dtype
from vlsbench.errors import VlsbenchError

if TYPE_CHECKING:
    from datasets import Dataset

    from vlsbench.aligning.encode import Encoder


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings of a method where none are given, and where they come from."""

    learning_rate: float
    source: str
    beta: float = 0.1
    kl: float = 0.0


_DEFAULTS = {
    Method.SFT: Defaults(2e-5, "LLaVA-1.5 (arXiv 2310.03744), as VLGuard's authors use it"),
    Method.T_SFT: Defaults(2e-5, "as MM-SFT; the paper does not report it"),
    Method.MM_SFT: Defaults(2e-5, "LLaVA-1.5 (arXiv 2310.03744), as VLGuard's authors do"),
    Method.T_DPO: Defaults(1e-6, "as MM-DPO; the paper does not report it"),
    Method.MM_DPO: Defaults(1e-6, "SPA-VL (arXiv 2406.12030), run script"),
    Method.T_UNLEARNING: Defaults(2e-5, "as safe unlearning; the paper does not report it"),
    Method.T_SAFE_UNLEARNING: Defaults(
        2e-5, "Zhang et al. 2024 (arXiv 2407.02855), run script", beta=1.0
    ),
    Method.MM_PPO: Defaults(5e-7, "SPA-VL (arXiv 2406.12030), run script", kl=0.1),
    Method.MM_GRPO: Defaults(1e-6, "TRL's defaults", kl=0.0),
}


def method_defaults(method: Method, *, lora: bool = False) -> Defaults:
    """Return the learning rate and coefficients of a method.

    Adapters want larger steps than whole models: SPA-VL's scripts take 1e-6 for PPO with LoRA;
    elsewhere it is 2e-4 (LLaVA-1.5's LoRA script) for supervised training and 2e-5 for the rest.
    """
    base = _DEFAULTS[method]
    if not lora:
        return base
    rate = 1e-6 if method is Method.MM_PPO else 2e-4 if method.form == "sft" else 2e-5
    return replace(base, learning_rate=rate)


def filled(method: Method, settings: TrainingSettings) -> TrainingSettings:
    """Return the settings with the method's own in place of what is not given."""
    defaults = method_defaults(method, lora=settings.lora is not None)
    own = {name: getattr(defaults, name) for name in ("learning_rate", "beta", "kl")}
    own["bf16"] = has_bf16()
    missing = {name: value for name, value in own.items() if getattr(settings, name) is None}
    return replace(settings, **missing)


def recomputes(settings: TrainingSettings, parameters: int) -> bool:
    """Say whether activations are recomputed rather than kept."""
    chosen = settings.gradient_checkpointing
    return parameters >= LARGE if chosen is None else chosen


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
    reward: Reward | None = None
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

        rows = range(len(self.encoder))
        columns: dict[str, list[Any]] = {"row": list(rows), "images": [[] for _ in rows]}
        if "length_column_name" in self.arguments:
            columns["length"] = [self.encoder.length(place) for place in rows]
        return Dataset.from_dict(columns)

    def reference(self) -> Any:
        """Open the model before training again; None under LoRA, which takes the adapter off."""
        if self.lora:
            return None
        return open_model(self.path, dtype=weights_dtype(self.settings))


def common_arguments(
    method: Method, settings: TrainingSettings, out: Path, parameters: int
) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments` for any method.

    TRL's own defaults turn bfloat16 and gradient checkpointing on everywhere; here both follow
    the device and the model's size.
    """
    _check_reports(settings.report_to)
    by_length = settings.by_length and method.form in ("sft", "preference")
    return {
        "output_dir": str(out),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps if settings.max_steps is not None else -1,
        "learning_rate": settings.learning_rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "bf16": settings.bf16,
        "activation_checkpointing": recomputes(settings, parameters),
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
        **(
            {"train_sampling_strategy": "group_by_length", "length_column_name": "length"}
            if by_length
            else {}
        ),
    }


def _check_reports(names: Sequence[str]) -> None:
    from transformers.integrations.integration_utils import get_available_reporting_integrations

    there = get_available_reporting_integrations()
    if missing := [name for name in names if name not in there]:
        raise VlsbenchError(
            f"--report-to {', '.join(missing)}: not installed (pip install {' '.join(missing)}); "
            f"there is {', '.join(sorted(there)) or 'none'}, and metrics.jsonl always"
        )
