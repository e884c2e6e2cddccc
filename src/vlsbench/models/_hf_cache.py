"""Keys and values of a batch, in memory that is taken once.

transformers' own cache grows by a copy of all that it holds, layer by layer, at every token: three
times the traffic of reading it, and an allocation of a size that was never asked for before.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

NAMES = ("cache", "past_key_values")
"""Of the argument, since transformers 5.23 and before."""


def cache_of(model: Any, tokens: int) -> dict[str, Any]:
    """Make an empty cache for a batch, under the name that `generate` knows it by.

    Args:
        model: As transformers made it.
        tokens: Of the longest question and its reply.

    Returns:
        A `DynamicCache` whose plain layers have room for so many tokens; nothing for a model that
        brings a cache of its own.
    """
    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    takes = inspect.signature(model.forward).parameters
    name = next((name for name in NAMES if name in takes), None)
    if name is None or not model._supports_default_dynamic_cache():
        return {}
    found: Any = DynamicCache(config=model.config.get_text_config(decoder=True))
    found.layers = [
        _roomy()(tokens) if type(layer) is DynamicLayer else layer for layer in found.layers
    ]
    return {name: found}


@cache
def _roomy() -> Any:
    import torch
    from transformers.cache_utils import DynamicLayer

    base: Any = DynamicLayer  # untyped in transformers

    class RoomyLayer(base):  # type: ignore[misc]
        """A layer's keys and values: views of what is written of two tensors of full length."""

        keys: Any
        values: Any

        def __init__(self, tokens: int) -> None:
            super().__init__()
            self._tokens = tokens
            self._room: Any = None
            self._seen: Any = None

        def update(self, key_states: Any, value_states: Any, *rest: Any, **options: Any) -> Any:
            """Add the newest tokens, and return all of them."""
            new = (key_states, value_states)
            begin = self.get_seq_length()
            end = begin + key_states.shape[-2]
            if begin == 0 and end <= self._tokens:
                self.lazy_initialization(key_states, value_states)
                self._room = [
                    torch.empty((*one.shape[:-2], self._tokens, one.shape[-1]), **_like(one))
                    for one in new
                ]
            elif self.keys is not self._seen or end > self._tokens:
                # Rows were chosen anew, as beams are, or there are more tokens than was said.
                return super().update(key_states, value_states, *rest, **options)
            for room, one in zip(self._room, new, strict=True):
                room[..., begin:end, :] = one
            self.keys, self.values = (room[..., :end, :] for room in self._room)
            self._seen = self.keys
            return new if begin == 0 else (self.keys, self.values)

    return RoomyLayer


def _like(tensor: Any) -> dict[str, Any]:
    return {"dtype": tensor.dtype, "device": tensor.device}
