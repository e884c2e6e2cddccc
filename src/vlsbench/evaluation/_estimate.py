"""What a run will ask and probably cost, said before it does."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice

from vlsbench.evaluation._settings import Selection, Settings
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
class Estimate:
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
    settings: Settings,
    open_pairs: int,
    target: Price | None,
    judge: Price | None,
    *,
    judged_by_model: bool,
    judge_sees_images: bool,
    swapper: Swapper | None,
) -> Estimate:
    """Estimate what the open pairs will take.

    Args:
        selection: The run's pairs; the first ones stand for all.
        settings: How they are shown.
        open_pairs: How many are still to be asked.
        target: Price of the target; None where unknown.
        judge: Price of the judge.
        judged_by_model: False for rules.
        judge_sees_images: Whether images go to the judge too.
        swapper: For the swap view.
    """
    sample = list(islice(selection, SAMPLE))
    shown = [show(pair, settings.view, swapper) for pair in sample]
    text = text_tokens(sum(len(s.text) for s in shown) / len(shown) + len(settings.system))
    looked = [_tokens_of_images(pair) for pair in sample[:IMAGE_SAMPLE]] if shown[0].images else [0]
    image = sum(looked) // len(looked)
    ask = (text + image, REPLY_TOKENS)
    notes = text_tokens(sum(len(p.description + p.reason) for p in sample) / len(sample))
    verdict = (
        (text + notes + REPLY_TOKENS + RUBRIC_TOKENS + image * judge_sees_images, VERDICT_TOKENS)
        if judged_by_model
        else (0, 0)
    )
    cost: float | None = None
    if target and judge:
        cost = open_pairs * sum(
            (tokens_in * price.input + tokens_out * price.output) / 1e6
            for (tokens_in, tokens_out), price in ((ask, target), (verdict, judge))
        )
    return Estimate(
        calls=open_pairs * (1 + judged_by_model),
        input_tokens=open_pairs * (ask[0] + verdict[0]),
        output_tokens=open_pairs * (ask[1] + verdict[1]),
        cost=cost,
    )
