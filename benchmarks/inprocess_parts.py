"""What the measurements of models in process share: models of random weights, and pairs."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from align_shapes import LLAVA_SPECIAL, QWEN_SPECIAL, SHAPES, WORDS, tokenizer
from vlsbench.models import HfChat, LocalModel, Params, Request
from vlsbench.pairs import ImageData

SMALL = ("tiny", "tiny-qwen2.5-vl")
NOTHING = "cpu"


def device_of(options: argparse.Namespace) -> str:
    import torch

    return "cuda" if torch.cuda.is_available() and not options.cpu else NOTHING


def build(name: str, device: str, dtype: Any = None) -> tuple[Any, Any]:
    """Make a model with random weights where it will run, and its processor."""
    import torch
    from transformers import AutoModelForImageTextToText

    shape = SHAPES[name]
    config, processor = shape.config(), shape.processor()
    special = QWEN_SPECIAL if "qwen" in name else LLAVA_SPECIAL
    words = config.get_text_config().vocab_size - len(special)
    if words != WORDS:  # what it writes must be words, or replies could not be compared
        processor.tokenizer = tokenizer(special, words)
    dtype = dtype or (torch.float32 if device == NOTHING else torch.bfloat16)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype)
    return model.eval(), processor


def pairs_of(count: int, side: int, most_words: int = 60) -> list[Request]:
    """Make pairs of different images and questions of 10 to 60 words."""
    import numpy as np
    from PIL import Image

    def picture(seed: int) -> ImageData:
        rough = np.random.default_rng(seed).integers(0, 255, (side // 16, side // 16, 3), np.uint8)
        out = io.BytesIO()
        Image.fromarray(rough).resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG")
        return ImageData.of(out.getvalue(), f"{seed}.jpg")

    draw = random.Random(0)
    texts = [
        " ".join(f"w{draw.randrange(WORDS)}" for _ in range(draw.randint(10, most_words)))
        for _ in range(count)
    ]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        images = list(pool.map(picture, range(count)))
    return [Request(text, (image,)) for text, image in zip(texts, images, strict=True)]


class Timed(LocalModel):
    """A model that keeps how long it took for what."""

    spent: Counter[str]
    batches: list[tuple[int, int, float]]
    peaks: list[int]
    writing: list[tuple[float, float]]
    """When tokens after the first were written."""

    def begin(self) -> None:
        object.__setattr__(self, "spent", Counter())
        object.__setattr__(self, "batches", [])
        object.__setattr__(self, "peaks", [0])
        object.__setattr__(self, "writing", [])
        self.model.register_forward_pre_hook(self._before, with_kwargs=True)
        self.model.register_forward_hook(self._after, with_kwargs=True)

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.spent[what] += time.perf_counter() - began

    def _prefills(self, options: dict[str, Any]) -> bool:
        ids = options.get("input_ids")
        return ids is not None and ids.shape[1] > 1

    def _before(self, _: Any, __: Any, options: dict[str, Any]) -> None:
        if self._prefills(options):
            wait(self.model)
            self.spent["began"] = time.perf_counter()

    def _after(self, _: Any, __: Any, options: dict[str, Any], ___: Any) -> None:
        if self._prefills(options):
            wait(self.model)
            self.spent["over"] = time.perf_counter()
            self.spent["prefill"] += self.spent["over"] - self.spent["began"]

    def prepare(self, *given: Any, **options: Any) -> Any:
        with self.timed("prepare"):
            return super().prepare(*given, **options)

    def collate(self, *given: Any) -> Any:
        with self.timed("collate"):
            return super().collate(*given)

    def generate(self, questions: Any, inputs: Any, *rest: Any) -> Any:
        began = time.perf_counter()
        try:
            replies = super().generate(questions, inputs, *rest)
        except Exception:
            self.spent["failed"] += 1
            raise
        finally:
            self.peaks.append(peak_of(self.model))
            self.spent["generate"] += time.perf_counter() - began
        self.writing.append((self.spent["over"], time.perf_counter()))
        row = (len(questions), inputs["input_ids"].shape[1], time.perf_counter() - began)
        self.batches.append(row)
        print(f"batch of {row[0]}, {row[1]} tokens: {row[2]:.1f} s", file=sys.stderr, flush=True)
        return replies


def wait(model: Any) -> None:
    import torch

    if model.device.type == "cuda":
        torch.cuda.synchronize()


def peak_of(model: Any) -> int:
    import torch

    return int(torch.cuda.max_memory_allocated()) if model.device.type == "cuda" else 0


async def ask_all(
    chat: HfChat, requests: Sequence[Request], most_seconds: float | None = None
) -> tuple[dict[int, str], float]:
    """Ask like a run does, a bounded number at once; what is not there after so long is left."""
    began = last = time.perf_counter()
    replies: dict[int, str] = {}
    todo = iter(enumerate(requests))

    async def worker() -> None:
        nonlocal last
        for place, request in todo:
            replies[place] = (await chat.ask(request)).text
            last = time.perf_counter()

    workers = [asyncio.create_task(worker()) for _ in range(chat.in_flight + 8)]
    done, pending = await asyncio.wait(workers, timeout=most_seconds)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()
    return replies, last - began


def with_params(requests: Sequence[Request], new: int) -> list[Request]:
    params = Params(max_tokens=new, extra=(f"min_new_tokens={new}",))
    return [Request(one.text, one.images, params=params) for one in requests]


def agreement(texts: Sequence[tuple[str, str]]) -> float:
    """Mean share of a reply's words before the first that differs."""
    shares = []
    for one, other in texts:
        a, b = one.split(), other.split()
        same = next(
            (n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
        )
        shares.append(same / max(1, len(b)))
    return sum(shares) / len(shares)
