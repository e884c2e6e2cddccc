"""What a training would be, before it costs anything: no weights are opened or fetched."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlsbench.aligning._settings import Method, Row, TrainingSettings
from vlsbench.aligning.model import (
    Parameters,
    empty_model,
    filled,
    learning,
    need_extra,
    open_processor,
)
from vlsbench.aligning.rows import check_rows, kinds_of


@dataclass(frozen=True)
class TrainingPlan:
    """What would be trained."""

    method: Method
    model: str
    rows: int
    kinds: Mapping[str, int]
    """Kind, and whether there is an image → rows."""
    steps: int
    parameters: Parameters
    lora_layers: int
    """Linear layers with an adapter."""
    learning_rate: float


def plan_training(
    method: Method | str,
    *,
    model: str | Path,
    rows: Sequence[Row],
    settings: TrainingSettings | None = None,
    name: str = "rows",
) -> TrainingPlan:
    """Say what `train` with the same arguments would be.

    Of the model, configuration and processor are read, never the weights.

    Raises:
        BadRows: Some rows do not fit the method.
        VlsbenchError: The configuration cannot be read, or no layer has a name that LoRA targets.
    """
    method = Method(method)
    need_extra()
    settings = filled(method, settings or TrainingSettings())
    check_rows(method, rows, settings, name)
    parameters, layers = learning(empty_model(model), settings)
    open_processor(model)  # says what is wrong with it
    return TrainingPlan(
        method=method,
        model=str(model),
        rows=len(rows),
        kinds=kinds_of(rows),
        steps=steps(method, len(rows), settings),
        parameters=parameters,
        lora_layers=layers,
        learning_rate=settings.learning_rate or 0.0,
    )


def steps(method: Method, rows: int, settings: TrainingSettings) -> int:
    """Return the optimiser's steps, over all processes that were launched."""
    if settings.max_steps is not None:
        return settings.max_steps
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    together = settings.batch_size * settings.gradient_accumulation * processes
    if method is Method.MM_PPO:
        per_epoch = max(1, rows // together) * settings.inner_epochs
    elif method.online:
        per_epoch = rows * settings.num_generations // together
    else:
        per_epoch = math.ceil(rows / together)
    return max(1, math.ceil(per_epoch * settings.epochs))
