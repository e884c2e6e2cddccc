"""SFT: learn the given answers by heart. TRL's trainer, our batches."""

from __future__ import annotations

from typing import Any

from trl import SFTConfig, SFTTrainer

from vlsbench.aligning._arguments import places
from vlsbench.aligning._encode import Collator, Encoder


def trainer(model: Any, encoder: Encoder, arguments: dict[str, Any], **options: Any) -> SFTTrainer:
    """Make a trainer whose loss is the likelihood of each row's last answer.

    Args:
        model: To be trained.
        encoder: Its data.
        arguments: Of `TrainingArguments`.
        options: `peft_config`, `callbacks`.
    """
    return SFTTrainer(
        model=model,
        args=SFTConfig(**arguments, max_length=None),
        data_collator=Collator(encoder),
        train_dataset=places(encoder, lengths="length_column_name" in arguments),
        processing_class=encoder.processor,
        **options,
    )
