"""What calls cost, by one dated table; and what they probably will."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

from vlsbench import registry
from vlsbench.errors import VlsbenchError
from vlsbench.models._chat import Usage
from vlsbench.registry import Kind
from vlsbench.schemas import convert

CHARS_PER_TOKEN = 4
"""Rule of thumb for English; used for estimates before a run, never for what it cost."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars per million tokens."""

    input: float
    output: float

    def cost(self, usage: Usage) -> float | None:
        """Price a call; None where it costs something and the server did not count its tokens."""
        if not self.input and not self.output:
            return 0.0
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        return (usage.input_tokens * self.input + usage.output_tokens * self.output) / 1e6

    @classmethod
    def parse(cls, text: str) -> Price:
        """Read `INPUT,OUTPUT`, both in US dollars per million tokens."""
        try:
            price_in, price_out = (float(part) for part in text.split(","))
        except ValueError:
            raise VlsbenchError(
                f"price {text!r}: expected INPUT,OUTPUT in dollars per million tokens, as 2.5,10"
            ) from None
        if not (0 <= price_in < float("inf") and 0 <= price_out < float("inf")):
            raise VlsbenchError(f"price {text!r}: both must be finite and non-negative")
        return cls(price_in, price_out)


@dataclass(frozen=True, slots=True)
class PriceTable:
    """The shipped table with the date and source of its figures."""

    as_of: str
    source: str
    models: dict[str, Price]


@lru_cache(maxsize=1)
def price_table() -> PriceTable:
    """Read `prices.toml`."""
    text = files("vlsbench.models").joinpath("prices.toml").read_text("utf-8")
    return convert(tomllib.loads(text), PriceTable, "prices.toml")


def price_of(spec: str) -> Price | None:
    """Look a model spec up; None where the price is unknown. What runs here costs nothing."""
    name = spec.partition("@")[0].partition("/")[0]
    for kind in (Kind.MODEL, Kind.JUDGE):
        entry = registry.find(kind, name, announced=True)
        if entry and entry.declaration.get("free"):
            return Price(0.0, 0.0)
    return price_table().models.get(spec.removeprefix("inspect/"))


def image_tokens(width: int, height: int) -> int:
    """Estimate what one image costs in tokens, by the tile rule published for GPT-4o.

    Fit into 2,048 square, then the short side to 768; 85 tokens and 170 for each tile of 512.
    Source: OpenAI API documentation, "Images and vision".
    """
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    tiles = -(-int(width * scale) // 512) * -(-int(height * scale) // 512)
    return 85 + 170 * tiles


def text_tokens(chars: float) -> int:
    """Estimate tokens from characters."""
    return int(chars / CHARS_PER_TOKEN) + 1
