"""What calls cost, by a dated table; and what they probably will."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from vlsbench import registry
from vlsbench.errors import VlsbenchError
from vlsbench.models._chat import Request, Usage
from vlsbench.registry import Kind

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


@cache
def prices_known() -> str:
    """Name the table of prices, with the day of its latest change."""
    from genai_prices import __version__
    from genai_prices.data_snapshot import get_snapshot

    today = datetime.now(UTC).date()
    models = (model for provider in get_snapshot().providers for model in provider.models)
    prices = (one for model in models if isinstance(model.prices, list) for one in model.prices)
    begun = (getattr(one.constraint, "start_date", None) for one in prices)
    latest = max(day for day in begun if day and day <= today)
    return f"genai-prices {__version__}, latest change {latest}"


def price_of(spec: str) -> Price | None:
    """Look a model spec up; None where the price is unknown. What runs here costs nothing.

    The table is that of the package genai-prices. `NAME@URL` is priced by the address of the
    provider, so that a server that nobody lists has no price, whatever its model is called.
    """
    name = spec.partition("@")[0].partition("/")[0]
    for kind in (Kind.MODEL, Kind.JUDGE):
        entry = registry.find(kind, name, announced=True)
        if entry and entry.declaration.get("free"):
            return Price(0.0, 0.0)
    at = re.fullmatch(r"(.+?)@([a-z]+://.*)", spec)
    if at and urlsplit(at[2]).hostname in ("localhost", "127.0.0.1", "::1"):
        return None  # nobody lists it, and reading the table takes a while
    from genai_prices.data_snapshot import get_snapshot

    provider, _, model = spec.removeprefix("inspect/").partition("/")
    where = (at[1], None, None, at[2]) if at else (model, None, provider, None)
    try:
        found = get_snapshot().find_provider_model(*where)[1].get_prices(datetime.now(UTC))
    except LookupError:
        return None
    if found.input_image_mtok or found.input_mtok is None or found.output_mtok is None:
        return None  # it draws, at a price for each image, or it does not write
    # Long prompts, which ours are not, may cost more than the base.
    prices: list[Any] = [found.input_mtok, found.output_mtok]
    read, wrote = (getattr(price, "base", price) for price in prices)
    return Price(float(read), float(wrote))


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


def most_tokens(request: Request) -> tuple[int, int]:
    """Estimate the most tokens of a request, and those of its reply."""
    asked = text_tokens(2 * len(request.text + request.system))
    return asked + image_tokens(2048, 2048) * len(request.images), request.params.most_tokens
