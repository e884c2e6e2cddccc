"""What a build will ask and probably cost, stage by stage, said before it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vlsbench.building._recipe import Recipe
from vlsbench.building._run import begin_b, drafts_of
from vlsbench.models import BATCH_PRICE, Usage, image_tokens

PASSES_LEAK_FILTER = 0.75
"""Share of drafts that keep a candidate. Assumed, like all shares here: the drafts decide."""
PASSES_DRAW = 0.95
PASSES_FINAL_FILTER = 0.75
TRIED = 1.3
"""Candidates judged for each draft until one passes."""
ROUNDS = 1.6
"""Images drawn for each pair, where more are allowed."""
WRITE = (450, 120)
"""Tokens in and out of a writing task, prompt included."""
JUDGE = (400, 80)
_SERVED = re.compile(r"openai/|inspect/|.*@")
"""Specs of models on servers."""


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """One stage's calls to one model."""

    stage: str
    role: str
    model: str
    calls: int
    cost: float | None
    """US dollars; None where the price is unknown."""


@dataclass(frozen=True, slots=True)
class BuildEstimate:
    """Rough by nature: how many records pass a filter is assumed."""

    drafts: int
    """Begun on path A."""
    images: int
    """Begun on path B."""
    pairs: int
    """About how many pass all filters, before barriers and quota."""
    calls: int
    cost: float | None
    """In US dollars; None where a price is unknown."""
    stages: tuple[StageEstimate, ...]


def estimate_build(recipe: Recipe, limit: int | None, *, batch: bool = False) -> BuildEstimate:
    """Estimate a whole build, from nothing.

    Args:
        recipe: What is built.
        limit: Drafts and images at most.
        batch: Calls to servers go in batches; drawings do not.
    """
    drafts = sum(drafts_of(recipe, limit).values())
    images = sum(1 for _ in begin_b(recipe, limit))
    prices = recipe.known_prices()
    pairs = PASSES_FINAL_FILTER * PASSES_LEAK_FILTER * (PASSES_DRAW * drafts + images)
    if (most := recipe.quota.per_subcategory) is not None:
        pairs = min(pairs, most * len(recipe.taxonomy))
    rows = []
    for stage, role, calls, tokens in _calls(recipe, drafts, images, pairs):
        if count := round(calls):
            spec = recipe.spec(role)
            price = prices.get(spec)
            cost = price.cost(Usage(*(count * number for number in tokens))) if price else None
            if cost and batch and role != "painter" and _SERVED.match(spec):
                cost *= BATCH_PRICE
            rows.append(StageEstimate(stage, role, spec, count, cost))
    costs = [row.cost for row in rows]
    whole = None if None in costs else sum(cost or 0.0 for cost in costs)
    asked = sum(row.calls for row in rows)
    return BuildEstimate(drafts, images, round(pairs), asked, whole, tuple(rows))


def _calls(
    recipe: Recipe, drafts: int, images: int, pairs: float
) -> Iterator[tuple[str, str, float, tuple[int, int]]]:
    """Walk stage, role, calls, and tokens in and out of one call."""
    width, height = recipe.draw.size.split("x") if recipe.draw else ("1024", "1024")
    image = image_tokens(int(width), int(height))
    seen, painted = (JUDGE[0] + image, JUDGE[1]), (0, 1)
    begun = drafts + images
    cells = sum(1 for wanted in drafts_of(recipe, None).values() if wanted)
    yield "elements", "writer", min(cells, drafts), (WRITE[0], 8 * WRITE[1])
    yield "draft", "writer", drafts, WRITE
    yield "perceive", "eyes", images, (WRITE[0] + image, WRITE[1])
    if recipe.detoxify.candidates:
        yield "detoxify", "rewriter", begun, WRITE
    leak, final = recipe.leak_filter, recipe.final_filter
    asked = int(leak.text) + int(leak.meaning and recipe.detoxify.candidates > 0)
    yield "leak_filter", "judge", begun * TRIED * asked * leak.votes, JUDGE
    rounds = min(ROUNDS, recipe.draw.rounds) if recipe.draw else 0.0
    drawn = PASSES_LEAK_FILTER * drafts
    yield "draw", "painter", drawn * rounds, painted
    yield "draw", "eyes", drawn * rounds, seen
    last = PASSES_DRAW * drawn + PASSES_LEAK_FILTER * images
    questions = sum((final.matched, final.harmful, final.text, final.image))
    yield "final_filter", "checker", last * questions * final.votes, seen
    twins = pairs * recipe.twins.per_pair
    yield "twin", "writer", twins, WRITE
    yield "twin draw", "painter", twins * rounds, painted
    yield "twin draw", "eyes", twins * rounds, seen
    yield "twin_filter", "checker", 2 * twins * final.votes, seen
