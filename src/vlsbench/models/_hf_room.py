"""How many questions a device answers together, and images that several questions share."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache, partial
from typing import Any

from vlsbench.pairs import ImageData, decode

MOST_ON_CPU = 64
MOST_ON_GPU = 512
"""Questions answered together, at most; from here on the device has nothing to gain."""
SHARE = 0.85
"""Of the free memory, what a batch may take."""
TELLING = 0.05
"""Of the free memory; what a smaller batch takes says little about a large one."""
KEPT_IMAGES = 32
"""Prepared images that are kept for the next question about them."""


class Room:
    """How much is answered at once, in tokens: questions times their longest, reply included.

    A guess by the model's measures at first, then what batches were seen to take. What was too much
    once is never tried again.
    """

    def __init__(self, model: Any, batch_size: int | None) -> None:
        """Look at a model that is loaded."""
        import torch

        self._devices = {p.device for p in model.parameters() if p.device.type == "cuda"}
        self.most = batch_size or (MOST_ON_GPU if self._devices else MOST_ON_CPU)
        self.tokens = float("inf")
        self._ceiling = float("inf")
        if self._devices:
            self.tokens = SHARE * self._free() / _bytes_per_token(model)
            for device in self._devices:
                torch.cuda.reset_peak_memory_stats(device)

    def rows(self, tokens: int) -> int:
        """Return how many questions of so many tokens, replies included, are answered at once."""
        return int(max(1, min(self.most, self.tokens // tokens)))

    def worked(self, rows: int, tokens: int) -> None:
        """Learn from the memory that a batch took."""
        import torch

        if not self._devices:
            return
        taken = 0
        for device in self._devices:
            taken += torch.cuda.max_memory_allocated(device) - torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
        free = self._free()
        if taken > TELLING * free:
            self.tokens = min(self._ceiling, SHARE * free * rows * tokens / taken)

    def failed(self, rows: int, tokens: int) -> None:
        """Remember that memory did not hold a batch: half of it is the most from now on."""
        import torch

        self._ceiling = self.tokens = rows * tokens / 2
        if self._devices:
            torch.cuda.empty_cache()

    def _free(self) -> int:
        import torch

        return sum(
            torch.cuda.mem_get_info(device)[0]
            + torch.cuda.memory_reserved(device)
            - torch.cuda.memory_allocated(device)
            for device in self._devices
        )


def _bytes_per_token(model: Any) -> float:
    """Guess what a token of a batch takes: its keys and values, and its activations at first."""
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // heads
    kept = getattr(config, "num_key_value_heads", None) or heads
    cache = 2 * config.num_hidden_layers * kept * width
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    return float(model.dtype.itemsize * (cache + 3 * inner + 8 * config.hidden_size))


def is_out_of_memory(error: Exception) -> bool:
    """Tell whether a device, or this process, had no memory left."""
    import torch

    said = str(error).lower()
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError) and ("out of memory" in said or "allocate memory" in said)
    )


class SharedImages:
    """Images of questions: one that several ask about is decoded and prepared once.

    Safe to use from several threads; who comes second waits for the first.
    """

    def __init__(self, processor: Any) -> None:
        """Take a model's processor."""
        self._kept: Callable[[Hashable], tuple[threading.Lock, list[Any]]]
        self._kept = lru_cache(2 * KEPT_IMAGES)(lambda key: (threading.Lock(), []))
        self.processor = processor
        """Like the model's own, but for images that it has prepared before."""
        if hasattr(processor, "image_processor"):
            self.processor = copy.copy(processor)
            self.processor.image_processor = _Remembering(processor.image_processor, self.once)

    def decode(self, images: Sequence[ImageData]) -> list[Any]:
        """Decode images. Raises `ImageError`."""
        return [self.once(image.sha256, partial(decode, image)) for image in images]

    def once(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return what was made for a key before, or make it."""
        lock, made = self._kept(key)
        with lock:
            if not made:
                made.append(make())
        return made[0]


class _Remembering:
    """An image processor that prepares the same images once."""

    def __init__(self, whole: Any, once: Callable[[Hashable, Callable[[], Any]], Any]) -> None:
        self._whole = whole
        self._once = once

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def __call__(self, images: Any, *arguments: Any, **options: Any) -> Any:
        flat = images if isinstance(images, (list, tuple)) else [images]
        if len(flat) == 1 and isinstance(flat[0], (list, tuple)):
            flat = flat[0]
        # They are kept with what was made of them, so that no other image has the same `id`.
        key = ("prepared", *map(id, flat))
        _, found = self._once(key, lambda: (flat, self._whole(images, *arguments, **options)))
        return type(found)(dict(found))
