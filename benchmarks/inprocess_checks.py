"""Does a model in process say the same at any batch size, and survive a small device?"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from align_shapes import SHAPES, write
from inprocess_parts import (
    NOTHING,
    SMALL,
    Timed,
    agreement,
    ask_all,
    build,
    device_of,
    pairs_of,
    wait,
    with_params,
)
from vlsbench.models import HfChat, Loading, LocalModel, Request


def asked(chat: HfChat, requests: Sequence[Request]) -> list[str]:
    replies, _ = asyncio.run(ask_all(chat, requests))
    return [replies[place] for place in range(len(requests))]


def checks(options: argparse.Namespace) -> dict[str, Any]:
    """Does it say the same at any batch size; does it survive a device that is too small?"""
    import torch

    device, found = device_of(options), {}
    types = {"float32": torch.float32}
    if device != NOTHING:
        types |= {"bfloat16": torch.bfloat16, "float16": torch.float16}
    requests = with_params(pairs_of(32, 168, 30), 16)
    for name in SMALL:
        texts = {}
        for dtype, kind in types.items():
            model, processor = build(name, device, kind)
            sharpen(model)
            local = LocalModel.of(model, processor)
            one, many = (
                asked(HfChat(f"hf/{name}", Loading(batch_size=size), local), requests)
                for size in (1, 8)
            )
            texts[dtype] = one
            equal = sum(a == b for a, b in zip(one, many, strict=True))
            words = agreement(list(zip(one, many, strict=True)))
            found[f"{name} {dtype}: equal replies of 32, batch 1 and 8"] = equal
            found[f"{name} {dtype}: words before the first difference"] = round(words, 3)
        found[f"{name}: different replies"] = len(set(texts["float32"]))
    for check in (windows, loaded, crowded):
        try:
            found |= check(device)
        except Exception as error:  # the others count all the same
            found[check.__name__] = f"failed: {error!r}"
            traceback.print_exc()
    return {"case": "checks", "device": device, **found}


def sharpen(model: Any) -> None:
    """Make weights so large that what is seen and read decides what is written."""
    for part in model.parameters():
        if part.dim() > 1:
            part.data.mul_(4)


def windows(device: str) -> dict[str, Any]:
    """Is packed attention the towers' own, and how fast is it?"""
    import torch

    kind = torch.float32 if device == NOTHING else torch.bfloat16
    model, processor = build("tiny-qwen2.5-vl", device, kind)
    image = pairs_of(1, 504)[0].images[0]
    from PIL import Image

    seen = processor.image_processor(
        [Image.open(io.BytesIO(image.data))] * 8, return_tensors="pt"
    ).to(device)
    tower = model.model.visual

    def look() -> tuple[Any, float]:
        with torch.inference_mode():
            tower(seen["pixel_values"].to(kind), grid_thw=seen["image_grid_thw"])
            wait(model)
            began = time.perf_counter()
            made = tower(seen["pixel_values"].to(kind), grid_thw=seen["image_grid_thw"])
            wait(model)
        return made.pooler_output.float(), time.perf_counter() - began

    own, slow = look()
    LocalModel.of(model, processor)
    packed, fast = look()
    gap = float((own - packed).abs().max() / own.abs().max())
    return {"windows: largest difference": gap, "windows: times": slow / fast}


def loaded(device: str) -> dict[str, Any]:
    """A folder, loaded as a user would."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), SHAPES["tiny"])
        requests = with_params(pairs_of(4, 64, 20), 4)
        for dtype in ("auto", "bfloat16", "float16", "float32"):
            chat = HfChat(f"hf/{folder}", Loading(dtype=dtype))
            said = asked(chat, requests)
            where = str(chat._local.model.device)
            found[f"loaded {dtype}"] = f"{len(said)} replies, {chat.identity['dtype']} on {where}"
    return found


def crowded(device: str) -> dict[str, Any]:
    """Ask for more than a device holds: every question is answered all the same."""
    import torch

    if device == NOTHING:
        return {}
    model, processor = build("mid", "cuda", torch.float32)
    requests = with_params(pairs_of(256, 84, 400), 16)
    local: Any = Timed.of(model, processor)
    local.begin()
    torch.cuda.reset_peak_memory_stats()
    rest = torch.cuda.memory_allocated()
    chat = HfChat("hf/mid", local=local)
    prepared = [chat._prepare(one) for one in requests]
    torch.cuda.reset_peak_memory_stats()
    local.generate(prepared, local.collate(prepared), requests[0].params, range(256))
    peak = torch.cuda.max_memory_allocated()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((rest + 0.3 * (peak - rest)) / total)
    local.batches.clear()
    local.spent.clear()
    chat = HfChat("hf/mid", local=local)
    said = asked(chat, requests)
    first = local.spent["failed"]
    asked(chat, requests)
    torch.cuda.set_per_process_memory_fraction(1.0)
    return {
        "crowded: answered of 256": len(said),
        "crowded: out of memory, first time": first,
        "crowded: out of memory, second time": local.spent["failed"] - first,
        "crowded: batches": [rows for rows, _, _ in local.batches],
        "crowded: peak of the whole batch, GiB": round((peak - rest) / 2**30, 2),
    }
