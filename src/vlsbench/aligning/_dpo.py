"""DPO: prefer the chosen answer to the rejected one. TRL's trainer, our batches.

Rafailov et al. 2023, arXiv 2305.18290. The likelihood of the chosen answer is added to the loss
(as in RPO, Pang et al. 2024, arXiv 2404.19733): on a model that never refused, DPO alone pushes
both answers down until neither is left.
"""

from __future__ import annotations

from typing import Any

from trl import DPOConfig, DPOTrainer

from vlsbench.aligning._arguments import places
from vlsbench.aligning._encode import Encoder, PreferenceCollator


def trainer(
    model: Any,
    reference: Any,
    encoder: Encoder,
    arguments: dict[str, Any],
    *,
    beta: float,
    sft_weight: float,
    **options: Any,
) -> DPOTrainer:
    """Make a trainer.

    Args:
        model: To be trained.
        reference: The model before training; None under LoRA, which takes the adapter off.
        encoder: The data.
        arguments: Of `TrainingArguments`.
        beta: Pull towards the reference.
        sft_weight: Of the likelihood of the chosen answer; 0 is plain DPO.
        options: `peft_config`, `callbacks`.
    """
    both = sft_weight > 0
    return DPOTrainer(
        model=model,
        ref_model=reference,
        args=DPOConfig(
            **arguments,
            beta=beta,
            loss_type=["sigmoid", "sft"] if both else ["sigmoid"],
            loss_weights=[1.0, sft_weight] if both else None,
            max_length=None,
        ),
        data_collator=PreferenceCollator(encoder),
        train_dataset=places(encoder, lengths="length_column_name" in arguments),
        processing_class=encoder.processor,
        **options,
    )
