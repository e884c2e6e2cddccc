"""The trainer of a method: TRL's with our batches, or one of ours where TRL has none."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, TrainerCallback, set_seed

from vlsbench.aligning._arguments import common_arguments, method_defaults, places
from vlsbench.aligning._encode import CACHE_BYTES, Collator, Encoder, PreferenceCollator
from vlsbench.aligning._features import FEATURE_BYTES, Looker
from vlsbench.aligning._model import (
    Parameters,
    count,
    freeze,
    lora_config,
    open_model,
    open_processor,
    weights_dtype,
)
from vlsbench.aligning._settings import Method, Progress, Reward, Row, Settings


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
    settings: Settings,
    reward: Reward | None,
    notes: Notes,
    out: Path,
) -> tuple[Any, Parameters]:
    """Open the model and make the method's trainer."""
    set_seed(settings.seed)
    processor = open_processor(path)
    dtype = weights_dtype(settings)
    model = open_model(path, dtype=dtype)
    parameters = freeze(model, settings)
    arguments = common_arguments(method, settings, out, parameters.total)
    defaults = method_defaults(method, lora=settings.lora is not None)
    lora = lora_config(model, settings.lora) if settings.lora else None
    options: dict[str, Any] = {"callbacks": [notes]}
    kl = defaults.kl if settings.kl is None else settings.kl
    beta = defaults.beta if settings.beta is None else settings.beta
    see, room = None, 0 if settings.workers else CACHE_BYTES
    if settings.cache_features and method.supervised:
        see, room = Looker(model, settings), FEATURE_BYTES
    encoder = Encoder(processor, rows, max_length=settings.max_length, cache_bytes=room, see=see)
    encoder.check("rows")
    made: Any
    if not method.online:
        options["peft_config"] = lora
        reference = open_model(path, dtype=dtype) if method.preference and not lora else None
        made = _offline(method, model, reference, encoder, arguments, settings, beta, **options)
    elif method is Method.MM_PPO:
        from vlsbench.aligning import _ppo

        reference = None if lora else open_model(path, dtype=dtype)
        if lora:
            from peft import get_peft_model

            model = get_peft_model(model, lora)
        assert reward is not None
        made = _ppo.PPOTrainer(
            policy=model,
            reference=reference,
            encoder=encoder,
            rows=rows,
            reward=reward,
            settings=settings,
            kl=kl,
            arguments=arguments,
            **options,
        )
    else:
        from vlsbench.aligning import _online

        assert reward is not None
        made = _online.trainer(
            model,
            processor,
            rows,
            reward,
            arguments,
            settings,
            group_relative=method is Method.MM_GRPO,
            kl=kl,
            peft_config=lora,
            **options,
        )
    # It prints every log entry; `Notes` keeps them.
    made.remove_callback(PrinterCallback)
    return made, count(made.model, parameters.frozen_vision)


def _offline(
    method: Method,
    model: Any,
    reference: Any,
    encoder: Encoder,
    arguments: dict[str, Any],
    settings: Settings,
    beta: float,
    **options: Any,
) -> Any:
    """Make the trainer for unlearning, SFT or DPO (Rafailov et al. 2023, arXiv 2305.18290).

    DPO adds the likelihood of the chosen answer to the loss (as in RPO, Pang et al. 2024, arXiv
    2404.19733): on a model that never refused, DPO alone pushes both answers down until neither
    is left. Its reference is None under LoRA, which takes the adapter off.
    """
    if method.unlearning:
        from vlsbench.aligning import _unlearning

        made = _unlearning.trainer(
            model,
            encoder,
            arguments,
            safe=method is Method.T_SAFE_UNLEARNING,
            bound=settings.bound,
            alpha=settings.alpha,
            beta=beta,
            theta=settings.theta,
            **options,
        )
        made.remember_reference()
        return made
    options |= {
        "model": model,
        "train_dataset": places(encoder, lengths="length_column_name" in arguments),
        "processing_class": encoder.processor,
    }
    if method.supervised:
        from trl import SFTConfig, SFTTrainer

        config = SFTConfig(**arguments, max_length=None)
        return SFTTrainer(args=config, data_collator=Collator(encoder), **options)
    from trl import DPOConfig, DPOTrainer

    both = settings.sft_weight > 0
    return DPOTrainer(
        ref_model=reference,
        args=DPOConfig(
            **arguments,
            beta=beta,
            loss_type=["sigmoid", "sft"] if both else ["sigmoid"],
            loss_weights=[1.0, settings.sft_weight] if both else None,
            max_length=None,
        ),
        data_collator=PreferenceCollator(encoder),
        **options,
    )
