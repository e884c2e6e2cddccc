"""What a frozen vision tower sees, worked out once per picture rather than once per step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from vlsbench.aligning._model import use_bf16
from vlsbench.aligning._settings import Settings
from vlsbench.errors import VlsbenchError

FEATURE_BYTES = 16 << 30
"""Main memory for features: 14,000 pictures of LLaVA-1.5 in bfloat16. The rest is seen anew."""

See = Callable[[Mapping[str, Tensor]], Tensor]
"""From what the processor says of one picture to what the tower makes of it."""


class Looker:
    """Turns pixels into what the tower makes of them, and the tower into one that knows it.

    A batch then carries features in place of pixels, and the tower passes them through. What the
    projector, which learns, makes of them is worked out anew each time.
    """

    def __init__(self, model: Any, settings: Settings) -> None:
        """Patch the tower of `model`.

        Raises:
            VlsbenchError: The tower learns, or the model is of neither LLaVA's nor Qwen's build.
        """
        if isinstance(getattr(model.config, "vision_feature_layer", None), int):
            self.tower: Any = model.model.vision_tower
            self._see = _know_llava(self.tower, model.config.vision_feature_layer)
        elif model.config.model_type in ("qwen2_vl", "qwen2_5_vl"):
            self.tower = model.model.visual
            self._see = _know_qwen(self.tower)
        else:
            raise VlsbenchError(
                "--cache-features knows LLaVA, Qwen2-VL and Qwen2.5-VL, not "
                f"{model.config.model_type}"
            )
        if not settings.freeze_vision:
            raise VlsbenchError("--cache-features needs a frozen vision tower (--freeze-vision)")
        if settings.workers:
            raise VlsbenchError("--cache-features works in one process: leave workers at 0")
        self.bf16 = use_bf16(settings)
        self.seen: dict[str, Tensor] = {}
        self._room = FEATURE_BYTES

    def __call__(self, pictures: Mapping[str, Tensor], images: Sequence[object]) -> Tensor:
        """Return what the tower makes of the pictures of a row, on the CPU.

        Args:
            pictures: What the processor says of them (`pixel_values`, `image_grid_thw`, …).
            images: They themselves, or their paths.
        """
        parts = zip(_each(pictures), images, strict=True)
        return torch.cat([self._one(picture, image) for picture, image in parts])

    @torch.no_grad()
    def _one(self, picture: Mapping[str, Tensor], image: object) -> Tensor:
        key = _key(image, picture["pixel_values"])
        if key in self.seen:
            return self.seen[key]
        parameter = next(self.tower.parameters())
        moved = {name: value.to(parameter.device) for name, value in picture.items()}
        moved["pixel_values"] = moved["pixel_values"].to(parameter.dtype)
        with torch.autocast(parameter.device.type, torch.bfloat16, enabled=self.bf16):
            features = self._see(moved).cpu()
        if self._room > features.nbytes:
            self._room -= features.nbytes
            self.seen[key] = features
        return features


def _know_llava(tower: Any, layer: int) -> See:
    """Let a LLaVA's tower take features: pictures × patches × width."""
    original = tower.forward

    def forward(pixel_values: Tensor, **options: Any) -> Any:
        if pixel_values.ndim == 4:
            return original(pixel_values, **options)
        # A mapping that is asked for one layer, as the list of all layers would be.
        known: Any = {layer: pixel_values}
        return BaseModelOutputWithPooling(hidden_states=known)

    def see(picture: Mapping[str, Tensor]) -> Tensor:
        pixels = picture["pixel_values"]
        layers = original(pixels, output_hidden_states=True, return_dict=True).hidden_states
        found: Tensor = layers[layer]
        return found

    tower.forward = forward
    return see


def _know_qwen(tower: Any) -> See:
    """Let a Qwen's tower take features: tokens × patches of a token × width.

    Its projector, the merger, is part of the tower and works on the patches of a token alone. The
    features are what it would be given, in the order in which the tower returns tokens.
    """
    original, merger = tower.forward, tower.merger

    def forward(hidden_states: Tensor, *arguments: Any, **options: Any) -> Any:
        if hidden_states.ndim == 2:
            return original(hidden_states, *arguments, **options)
        merged = merger(hidden_states.flatten(0, 1))
        return BaseModelOutputWithPooling(pooler_output=merged)

    def see(picture: Mapping[str, Tensor]) -> Tensor:
        merge = merger.forward
        merger.forward = lambda patches: patches.unflatten(0, (-1, tower.spatial_merge_size**2))
        try:
            found: Tensor = original(picture["pixel_values"], picture["image_grid_thw"])[1]
        finally:
            merger.forward = merge
        return found

    tower.forward = forward
    return see


def _each(pictures: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """Take what is said of several pictures apart."""
    pixels = pictures["pixel_values"]
    grid = pictures.get("image_grid_thw")
    if grid is None:
        return [{"pixel_values": one} for one in torch.split(pixels, 1)]
    patches = torch.split(pixels, grid.prod(1).tolist())
    return [
        {"pixel_values": one, "image_grid_thw": size}
        for one, size in zip(patches, torch.split(grid, 1), strict=True)
    ]


def _key(image: object, pixels: Tensor) -> str:
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
