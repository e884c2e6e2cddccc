"""Attention that batches need, registered with transformers as implementations of their own.

Towers of the Qwen-VL and GLM-V families keep the patches of all images in one row and attend within
segments of it. Without FlashAttention, transformers asks for one segment at a time: hundreds of
calls a layer for each image. Here segments of one length are one call.

Language models whose query heads share keys and values get these repeated for every head, at every
token, where a batch is padded. Here the heads of a group are so many queries of one head.
"""

from __future__ import annotations

import inspect
from typing import Any

PACKED = "packed_flash"
"""transformers gives whole rows with their segments to implementations with `flash` in the name."""
GROUPED = "grouped_sdpa"
AT_ONCE = 1 << 18
"""Patches that one call takes, which bounds the memory of copies."""


def use_batched_attention(model: Any) -> None:
    """Let a model that attends as transformers does by default use what is here."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import sdpa_mask

    if model.config.get_text_config()._attn_implementation != "sdpa":
        return
    AttentionInterface.register(PACKED, packed_attention)
    AttentionInterface.register(GROUPED, grouped_attention)
    AttentionMaskInterface.register(GROUPED, sdpa_mask)
    parts = getattr(model.config, "sub_configs", {})
    if "text_config" not in parts:
        model.set_attn_implementation(GROUPED)
    elif "vision_config" in parts and any(map(_is_windowed, model.modules())):
        model.set_attn_implementation({"text_config": GROUPED, "vision_config": PACKED})
    else:
        model.set_attn_implementation({"text_config": GROUPED})


def _is_windowed(part: Any) -> bool:
    return hasattr(part, "qkv") and "cu_seqlens" in inspect.signature(part.forward).parameters


def grouped_attention(
    module: Any, query: Any, key: Any, value: Any, attention_mask: Any, **options: Any
) -> tuple[Any, None]:
    """Attend to keys and values that groups of heads share; a function of transformers."""
    from torch.nn.functional import scaled_dot_product_attention
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    rows, heads, tokens, width = query.shape
    if tokens > 1 or key.shape[1] == heads or attention_mask is None:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **options)
    found = scaled_dot_product_attention(
        query.reshape(rows, key.shape[1], -1, width),
        key,
        value,
        attn_mask=attention_mask,
        scale=options.get("scaling"),
    )
    return found.reshape(rows, 1, heads, width), None


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
    """Attend within segments that begin at `cu_seq_lens_q`; a function of transformers."""
    import torch
    from torch.nn.functional import scaled_dot_product_attention

    begins = cu_seq_lens_q[:-1].long()
    lengths = cu_seq_lens_q.diff()
    found = torch.empty_like(query.transpose(1, 2))
    for length in set(lengths.tolist()) - {0}:
        inside = torch.arange(length, device=begins.device)
        for some in begins[lengths == length].split(max(1, AT_ONCE // length)):
            places = some[:, None] + inside
            q, k, v = (tensor[0][:, places].transpose(0, 1) for tensor in (query, key, value))
            found[0, places] = scaled_dot_product_attention(q, k, v, scale=scaling).transpose(1, 2)
    return found, None
