"""What a run will ask and probably cost, said before it does."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

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
    presentation = plan.shown
    answers = max(0, plan.answers - plan.ended)
    target_price = expected_price(plan.prices[plan.target.spec], plan.target)
    sample = list(islice(plan.selection, SAMPLE))
    shown = [show(pair, presentation.view, plan.swapper) for pair in sample]
    text = text_tokens(sum(len(s.text) for s in shown) / len(shown) + len(presentation.system))
    looked = (
        [tokens_of_images(pair.images) for pair in sample[:IMAGE_SAMPLE]]
        if shown[0].images
        else [0]
    )
    image = sum(looked) // len(looked)
    ask = (text + image, REPLY_TOKENS)
    notes = text_tokens(sum(len(p.description + p.reason) for p in sample) / len(sample))
    told = text + notes + REPLY_TOKENS + RUBRIC_TOKENS
    asked = (
        (ask, int(not isinstance(plan.target, RecordedReplies)), target_price),
        *(
            (
                (told + image * one.sees, VERDICT_TOKENS),
                plan.judging.repeats if one.model else 0,
                expected_price(plan.prices[one.name], one.model),
            )
            for one in members(plan.judge)
        ),
    )
    cost: float | None = None
    if all(price for _, _, price in asked):
        cost = answers * sum(
            times * (tokens_in * price.input + tokens_out * price.output) / 1e6
            for (tokens_in, tokens_out), times, price in asked
            if price
        )
    return CostEstimate(
        calls=answers * sum(times for _, times, _ in asked),
        input_tokens=answers * sum(tokens[0] * times for tokens, times, _ in asked),
        output_tokens=answers * sum(tokens[1] * times for tokens, times, _ in asked),
        cost=cost,
    )
