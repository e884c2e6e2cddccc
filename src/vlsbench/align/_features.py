"""What a frozen vision tower sees, worked out once per picture rather than once per step."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.modeling_outputs import BaseModelOutputWithPooling

from vlsbench.align._model import use_bf16
from vlsbench.align._types import Settings
from vlsbench.errors import VlsbenchError

FEATURE_BYTES = 16 << 30
"""Main memory for features: 14,000 pictures of LLaVA-1.5 in bfloat16. The rest is seen anew."""


class Looker:
    """Turns pixels into what the tower makes of them, and the tower into one that knows it.

    A batch then carries features (pictures × patches × width) in place of pixels (pictures ×
    channels × height × width), and the tower passes them through. What the projector, which
    learns, makes of them is worked out anew each time.
    """

    def __init__(self, model: Any, settings: Settings) -> None:
        """Patch the tower of `model`.

        Raises:
            VlsbenchError: The tower learns, or the model is not of LLaVA's build.
        """
        self.tower: Any = getattr(model.model, "vision_tower", None)
        self.layer = getattr(model.config, "vision_feature_layer", None)
        if self.tower is None or not isinstance(self.layer, int):
            raise VlsbenchError(
                f"--cache-features knows LLaVA-class models, not {model.config.model_type}"
            )
        if not settings.freeze_vision:
            raise VlsbenchError("--cache-features needs a frozen vision tower (--freeze-vision)")
        if settings.workers:
            raise VlsbenchError("--cache-features works in one process: leave workers at 0")
        self.bf16 = use_bf16(settings)
        self.seen: dict[str, Tensor] = {}
        self._room = FEATURE_BYTES
        original = self.tower.forward

        def forward(pixel_values: Tensor, **options: Any) -> Any:
            if pixel_values.ndim == 4:
                return original(pixel_values, **options)
            # A mapping that is asked for one layer, as the list of all layers would be.
            known: Any = {self.layer: pixel_values}
            return BaseModelOutputWithPooling(hidden_states=known)

        self.tower.forward = forward

    def __call__(self, pixels: Tensor, images: Sequence[object]) -> Tensor:
        """Return what the tower makes of the pictures of a row, on the CPU."""
        return torch.stack([self._one(p, image) for p, image in zip(pixels, images, strict=True)])

    @torch.no_grad()
    def _one(self, pixels: Tensor, image: object) -> Tensor:
        key = _key(image, pixels)
        if key in self.seen:
            return self.seen[key]
        parameter = next(self.tower.parameters())
        moved = pixels.unsqueeze(0).to(parameter.device, parameter.dtype)
        with torch.autocast(parameter.device.type, torch.bfloat16, enabled=self.bf16):
            layers = self.tower(moved, output_hidden_states=True, return_dict=True).hidden_states
        features: Tensor = layers[self.layer][0].cpu()
        if self._room > features.nbytes:
            self._room -= features.nbytes
            self.seen[key] = features
        return features


def _key(image: object, pixels: Tensor) -> str:
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    return hashlib.sha256(pixels.numpy().tobytes()).hexdigest()
