"""Batches for Qwen2-VL: pictures as patches of any number, with their grid and token types.

Its processor needs torchvision, so what it says of a row is written out by hand here.
"""

from __future__ import annotations

import pytest
import torch
from align_examples import tiny_processor

from vlsbench.align._encode import Collator, Encoded, Encoder

PATCH_VALUES = 3 * 2 * 4 * 4
"""Colours, frames, and the pixels of a patch."""


def tiny_qwen() -> torch.nn.Module:
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    config = Qwen2VLConfig(
        text_config={
            "vocab_size": 64,
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_attention_heads": 2,
            "num_key_value_heads": 2,
            "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3]},
            "bos_token_id": None,
            "eos_token_id": 4,
            "pad_token_id": 3,
        },
        vision_config={
            "depth": 1,
            "embed_dim": 16,
            "hidden_size": 32,
            "num_heads": 2,
            "patch_size": 4,
            "mlp_ratio": 2,
        },
        image_token_id=0,
        video_token_id=63,
        vision_start_token_id=1,
        vision_end_token_id=2,
    )
    torch.manual_seed(0)
    return Qwen2VLForConditionalGeneration(config).eval()


def row(height: int, width: int) -> Encoded:
    """A prompt with one picture of so many patches; four of them make a token."""
    tokens = height * width // 4
    prompt = [1, *[0] * tokens, 2, 10, 11]
    torch.manual_seed(height * width)
    return Encoded(
        prompt=prompt,
        answers=[[12, 13, 4]],
        kind="",
        per_token={"mm_token_type_ids": [int(token == 0) for token in prompt]},
        pictures={
            "pixel_values": torch.randn(height * width, PATCH_VALUES),
            "image_grid_thw": torch.tensor([[1, height, width]]),
        },
    )


def test_a_row_costs_the_same_alone_and_among_others() -> None:
    model, collator = tiny_qwen(), Collator(Encoder(tiny_processor(), []))
    text = Encoded([10, 11, 14], [[12, 4]], "")
    rows = [row(2, 2), row(4, 6), text]

    def likelihoods(batch: dict[str, torch.Tensor]) -> torch.Tensor:
        labels = batch.pop("labels")
        with torch.no_grad():
            spread = model(**batch).logits.log_softmax(-1)[:, :-1]
        kept = labels[:, 1:] != -100
        chosen = spread.gather(-1, labels[:, 1:].clamp(min=0).unsqueeze(-1)).squeeze(-1)
        return (chosen * kept).sum(1)

    together = likelihoods(collator.batch([(one, one.answers[0]) for one in rows]))
    alone = [likelihoods(collator.batch([(one, one.answers[0])]))[0].item() for one in rows]
    assert together.tolist() == pytest.approx(alone, abs=1e-4)
