"""What a run will ask and probably cost, said before it does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from statistics import fmean

from vlsbench.evaluation._run import CostEstimate, EvaluationPlan
from vlsbench.judge import members
from vlsbench.models import RecordedReplies, expected_price, image_tokens, text_tokens
from vlsbench.pairs import Image, ImageError, image_size, show

SAMPLE = 200
"""Pairs whose length is looked at."""
IMAGE_SAMPLE = 16
"""Images whose size is looked at."""
REPLY_TOKENS = 300
"""Typical length of a reply; replies are seldom near the limit."""
VERDICT_TOKENS = 100
RUBRIC_TOKENS = 400


def tokens_of_images(images: Iterable[Image]) -> int:
    """Say how many tokens images take; one that cannot be sent takes none."""
    total = 0
    for image in images:
        try:
            total += image_tokens(*image_size(image.read(), image.ref))
        except ImageError:
            continue
    return total


def estimate(plan: EvaluationPlan) -> CostEstimate:
    """Estimate what the open pairs will take; the first ones stand for all."""
    answers = max(0, plan.answers - plan.ended)
    sample = list(islice(plan.selection, SAMPLE))
    shown = [show(pair, plan.shown.view, plan.swapper) for pair in sample]
    text = text_tokens(fmean(len(one.text) for one in shown) + len(plan.shown.system))
    looked = sample[:IMAGE_SAMPLE] if shown[0].images else []
    image = sum(tokens_of_images(pair.images) for pair in looked) // max(1, len(looked))
    notes = text_tokens(fmean(len(pair.description + pair.reason) for pair in sample))
    told = text + notes + REPLY_TOKENS + RUBRIC_TOKENS
    given = isinstance(plan.target, RecordedReplies)
    price = expected_price(plan.prices[plan.target.spec], plan.target)
    # Tokens in and out of a call, calls for an answer, and the price.
    asked = [(text + image, REPLY_TOKENS, int(not given), price)]
    for one in members(plan.judge):
        price = expected_price(plan.prices[one.name], one.model)
        times = plan.judging.repeats if one.model else 0
        asked.append((told + image * one.sees, VERDICT_TOKENS, times, price))
    costs = [
        times * (tokens_in * price.input + tokens_out * price.output) / 1e6 if price else None
        for tokens_in, tokens_out, times, price in asked
    ]
    return CostEstimate(
        calls=answers * sum(times for _, _, times, _ in asked),
        input_tokens=answers * sum(tokens * times for tokens, _, times, _ in asked),
        output_tokens=answers * sum(tokens * times for _, tokens, times, _ in asked),
        cost=None if None in costs else answers * sum(cost or 0.0 for cost in costs),
    )
