"""Attention of vision towers that look through windows, window beside window.

Towers of the Qwen-VL and GLM-V families keep the patches of all images in one row and attend within
segments of it. Without FlashAttention, transformers asks for one segment at a time: hundreds of
calls a layer for each image. Here segments of one length are one call.
"""

from __future__ import annotations

import inspect
from typing import Any

NAME = "packed_flash"
"""transformers gives whole rows with their segments to implementations with `flash` in the name."""
AT_ONCE = 1 << 18
"""Patches that one call takes, which bounds the memory of copies."""


def pack_windows(model: Any) -> None:
    """Let the vision tower of a model, if it is of this kind, attend to its windows at once."""
    from transformers import AttentionInterface

    towers = [part for part in model.modules() if _is_windowed(part)]
    if towers and "vision_config" in getattr(model.config, "sub_configs", {}):
        AttentionInterface.register(NAME, packed_attention)
        model.set_attn_implementation({"vision_config": NAME})


def _is_windowed(part: Any) -> bool:
    return hasattr(part, "qkv") and "cu_seqlens" in inspect.signature(part.forward).parameters


def packed_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,
    *,
    scaling: float,
    cu_seq_lens_q: Any,
    **_: Any,
) -> tuple[Any, None]:
    """Attend within segments; an attention function of transformers.

    Args:
        module: Not used.
        query: `[1, heads, patches, width]`, as key and value.
        key: As the query.
        value: As the query.
        attention_mask: None: segments are all there is.
        scaling: Of the products of query and key.
        cu_seq_lens_q: `[segments + 1]`, where each segment begins, and the number of patches.

    Returns:
        `[1, patches, heads, width]`, and no weights.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    begins = cu_seq_lens_q[:-1].long()
    lengths = cu_seq_lens_q.diff()
    found = torch.empty_like(query.transpose(1, 2))
    for length in set(lengths.tolist()) - {0}:
        inside = torch.arange(length, device=begins.device)
        for some in begins[lengths == length].split(max(1, AT_ONCE // length)):
            places = some[:, None] + inside
            parts = (tensor[0][:, places].transpose(0, 1) for tensor in (query, key, value))
            found[0, places] = scaled_dot_product_attention(*parts, scale=scaling).transpose(1, 2)
    return found, None
