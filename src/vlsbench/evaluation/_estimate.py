"""What a run will ask and probably cost, said before it does."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from vlsbench.evaluation._settings import Presentation, Selection
from vlsbench.judge import Judge
from vlsbench.models import Price, image_tokens, text_tokens
from vlsbench.pairs import ImageError, Pair, Swapper, image_size, show

SAMPLE = 200
"""Pairs whose length is looked at."""
IMAGE_SAMPLE = 16
"""Images whose size is looked at."""
REPLY_TOKENS = 300
"""Typical length of a reply; replies are seldom near the limit."""
VERDICT_TOKENS = 100
RUBRIC_TOKENS = 400


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Rough by nature: tokens by the length of texts and the size of images."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    """US dollars; None where a price is unknown."""


def _tokens_of_images(pair: Pair) -> int:
    total = 0
    for image in pair.images:
        try:
            total += image_tokens(*image_size(image.read(), image.ref))
        except ImageError:
            continue
    return total


def estimate(
    selection: Selection,
    presentation: Presentation,
    open_pairs: int,
    judge: Judge,
    target_price: Price | None,
    judge_price: Price | None,
    *,
    swapper: Swapper | None,
) -> CostEstimate:
    """Estimate what the open pairs will take.

    Args:
        selection: The run's pairs; the first ones stand for all.
        presentation: How they are shown.
        open_pairs: How many are still to be asked.
        judge: Who judges.
        target_price: Price of the target; None where unknown.
        judge_price: Price of the judge.
        swapper: For the swap view.
    """
    sample = list(islice(selection, SAMPLE))
    shown = [show(pair, presentation.view, swapper) for pair in sample]
    text = text_tokens(sum(len(s.text) for s in shown) / len(shown) + len(presentation.system))
    looked = [_tokens_of_images(pair) for pair in sample[:IMAGE_SAMPLE]] if shown[0].images else [0]
    image = sum(looked) // len(looked)
    ask = (text + image, REPLY_TOKENS)
    notes = text_tokens(sum(len(p.description + p.reason) for p in sample) / len(sample))
    verdict = (
        (text + notes + REPLY_TOKENS + RUBRIC_TOKENS + image * judge.sees, VERDICT_TOKENS)
        if judge.model
        else (0, 0)
    )
    cost: float | None = None
    if target_price and judge_price:
        cost = open_pairs * sum(
            (tokens_in * price.input + tokens_out * price.output) / 1e6
            for (tokens_in, tokens_out), price in ((ask, target_price), (verdict, judge_price))
        )
    return CostEstimate(
        calls=open_pairs * (1 + (judge.model is not None)),
        input_tokens=open_pairs * (ask[0] + verdict[0]),
        output_tokens=open_pairs * (ask[1] + verdict[1]),
        cost=cost,
    )
