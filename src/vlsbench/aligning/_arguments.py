"""What all trainers are told alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.aligning._model import LARGE, use_bf16
from vlsbench.aligning._settings import Method, Settings, method_defaults
from vlsbench.errors import VlsbenchError

if TYPE_CHECKING:
    from datasets import Dataset

    from vlsbench.aligning._encode import Encoder


def common_arguments(
    method: Method, settings: Settings, out: Path, parameters: int
) -> dict[str, Any]:
    """Return keyword arguments of `TrainingArguments` for any method.

    TRL's own defaults turn bfloat16 and gradient checkpointing on everywhere; here both follow
    the device and the model's size.

    Args:
        method: What is trained.
        settings: How.
        out: Where checkpoints go.
        parameters: Of the model.

    Raises:
        VlsbenchError: Metrics are to go where nothing is installed.
    """
    _check_reports(settings.report_to)
    rate = settings.learning_rate
    if rate is None:
        rate = method_defaults(method, lora=settings.lora is not None).learning_rate
    checkpointing = settings.gradient_checkpointing
    if checkpointing is None:
        checkpointing = parameters >= LARGE
    return {
        "output_dir": str(out),
        "num_train_epochs": settings.epochs,
        "max_steps": settings.max_steps if settings.max_steps is not None else -1,
        "learning_rate": rate,
        "lr_scheduler_type": settings.scheduler,
        "warmup_steps": settings.warmup,
        "weight_decay": settings.weight_decay,
        "max_grad_norm": settings.max_grad_norm,
        "per_device_train_batch_size": settings.batch_size,
        "gradient_accumulation_steps": settings.gradient_accumulation,
        "bf16": use_bf16(settings),
        "activation_checkpointing": checkpointing,
        "seed": settings.seed,
        "dataloader_num_workers": settings.workers,
        "dataloader_pin_memory": use_bf16(settings),
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
            if settings.by_length and not method.online and not method.unlearning
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


def places(encoder: Encoder, *, lengths: bool = False) -> Dataset:
    """Return a data set of row numbers: trainers shuffle these, collators look the rows up.

    The empty `images` column tells TRL to leave preparing the data to the collator.

    Args:
        encoder: Of the rows.
        lengths: Say how long each is, so that rows of like length make a batch.
    """
    from datasets import Dataset

    rows = range(len(encoder))
    columns: dict[str, list[Any]] = {"row": list(rows), "images": [[] for _ in rows]}
    if lengths:
        columns["length"] = [encoder.length(place) for place in rows]
    return Dataset.from_dict(columns)
