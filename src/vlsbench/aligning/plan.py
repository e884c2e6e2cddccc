"""What a training would be, before it costs anything: no weights are opened or fetched."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlsbench.aligning._arguments import filled, method_defaults
from vlsbench.aligning._settings import Method, Row, TrainingSettings
from vlsbench.aligning.model import (
    Parameters,
    count,
    empty_model,
    freeze,
    lora_config,
    need_extra,
    open_processor,
)
from vlsbench.aligning.rows import check_rows, kinds_of

SAMPLED = 32
"""Rows that are tokenised to tell how long rows are."""


@dataclass(frozen=True)
class TrainingPlan:
    """What would be trained."""

    method: Method
    model: str
    rows: int
    kinds: Mapping[str, int]
    """Kind, and whether there is an image → rows."""
    mean_tokens: float
    """Of a row, images included, over a sample."""
    longest_tokens: int
    """In the sample."""
    steps: int
    parameters: Parameters
    lora_layers: int
    """Linear layers with an adapter."""
    learning_rate: float
    source: str
    """Where the settings come from that were not given."""

    @property
    def tokens(self) -> int:
        """In one pass over all rows, about."""
        return round(self.rows * self.mean_tokens)

    def json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        return {**asdict(self), "tokens": self.tokens}


def plan_training(
    method: Method | str,
    *,
    model: str | Path,
    rows: Sequence[Row],
    settings: TrainingSettings | None = None,
    name: str = "rows",
    processes: int = 1,
) -> TrainingPlan:
    """Say what `train` with the same arguments, on so many `processes`, would be.

    Of the model, configuration and processor are read, never the weights.

    Raises:
        BadRows: Some rows do not fit the method.
        VlsbenchError: The configuration cannot be read, or no layer has a name that LoRA targets.
    """
    method = Method(method)
    settings = filled(method, settings or TrainingSettings())
    check_rows(method, rows, settings, name)
    need_extra()
    empty = empty_model(model)
    parameters, layers = learning(empty, settings)
    lengths = _lengths(open_processor(model), rows, settings)
    return TrainingPlan(
        method=method,
        model=str(model),
        rows=len(rows),
        kinds=kinds_of(rows),
        mean_tokens=round(statistics.fmean(lengths), 1),
        longest_tokens=max(lengths),
        steps=steps(method, len(rows), settings, processes),
        parameters=parameters,
        lora_layers=layers,
        learning_rate=settings.learning_rate or 0.0,
        source=method_defaults(method).source,
    )


def learning(empty: Any, settings: TrainingSettings) -> tuple[Parameters, int]:
    """Count what learns in a model on the meta device, and the layers that LoRA adapts."""
    import torch

    parameters = freeze(empty, settings)
    if settings.lora is None:
        return parameters, 0
    from peft import get_peft_model

    config = lora_config(empty, settings.lora)
    layers = len(config.target_modules)
    with torch.device("meta"):
        adapted = get_peft_model(empty, config)
    return count(adapted, parameters.frozen_vision), layers


def steps(method: Method, rows: int, settings: TrainingSettings, processes: int = 1) -> int:
    """Return the optimiser's steps."""
    if settings.max_steps is not None:
        return settings.max_steps
    together = settings.batch_size * settings.gradient_accumulation * processes
    if method is Method.MM_PPO:
        per_epoch = max(1, rows // together) * settings.inner_epochs
    elif method.online:
        per_epoch = rows * settings.num_generations // together
    else:
        per_epoch = math.ceil(rows / together)
    return max(1, math.ceil(per_epoch * settings.epochs))


def _lengths(processor: Any, rows: Sequence[Row], settings: TrainingSettings) -> list[int]:
    from vlsbench.aligning.encode import Encoder

    every = max(1, len(rows) // SAMPLED)
    sample = list(rows[::every][:SAMPLED])
    encoder = Encoder(processor, sample, max_length=settings.max_length, cache_bytes=0)
    encoder.check("rows")
    found = (encoder[place] for place in range(len(sample)))
    return [len(row.prompt) + max(map(len, row.answers), default=0) for row in found]
