"""The barriers: what of the pairs that passed the filters goes into the set.

A barrier needs to know what survived before a pair, so it walks all pairs in the order of their
ids. Its decisions follow from what is on record alone; they are made anew by every invocation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vlsbench.building import _contamination, _near_duplicates, _quota
from vlsbench.building._items import Item
from vlsbench.building._near_duplicates import Embed
from vlsbench.building._recipe import Recipe
from vlsbench.engine import Ledger, Outcome
from vlsbench.pairs import PairSet

PREFIX = "select/"
"""Before a pair's id: the ledger's record of what the barriers decided about it."""
TWIN = "/twin-"
"""In the id of a twin."""
DUPLICATE = "duplicate"
RELEASE = "release"
"""Stage of a pair that no barrier dropped."""

Items = Iterable[tuple[str, Item]]
Barrier = Callable[[Items], Iterator[tuple[str, str | None]]]


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of a pair at the barriers."""

    stage: str
    reason: str
    """Empty where it is in the set."""
    detail: str = ""
    """Of a duplicate, the pair that it repeats."""


def kept_items(ledger: Ledger, *, twins: bool) -> Iterator[tuple[str, Item]]:
    """Walk what passed all stages, in the order of the ids."""
    for outcome in ledger.outcomes():
        name = outcome.record
        kept = outcome.kind == "keep" and not name.startswith(PREFIX)
        if kept and (TWIN in name) == twins:
            yield name, Item.read(outcome.value)


def decide(
    recipe: Recipe,
    ledger: Ledger,
    others: Sequence[PairSet],
    embed: Embed | None,
    *,
    twins: bool = False,
    among: set[str] | None = None,
) -> dict[str, Decision]:
    """Take the pairs through the barriers.

    Args:
        recipe: Says which barriers there are.
        ledger: The run.
        others: Benchmarks that the recipe names against contamination.
        embed: Texts → unit vectors; None where the recipe compares none.
        twins: Take the twins, which repeat each other alone: neither quota nor contamination of
            their queries says anything new about them.
        among: Of twins, the pairs whose twins count.

    Returns:
        Id → decision, for every pair that passed the stages.
    """
    run = ledger.folder
    decisions: dict[str, Decision] = {}

    def left() -> Items:
        for name, item in kept_items(ledger, twins=twins):
            if name not in decisions and (among is None or item.twin_of in among):
                yield name, item

    for stage, barrier in _barriers(recipe, others, embed, run, twins=twins):
        # Not `update` within the walk: `left` looks at what is decided.
        found = [(name, why) for name, why in barrier(left()) if why]
        for name, why in found:
            of_pair = stage == _near_duplicates.NAME
            decisions[name] = Decision(stage, DUPLICATE, why) if of_pair else Decision(stage, why)
    decisions.update({name: Decision(RELEASE, "") for name, _ in left()})
    return decisions


def _barriers(
    recipe: Recipe, others: Sequence[PairSet], embed: Embed | None, run: Path, *, twins: bool
) -> Iterator[tuple[str, Barrier]]:
    if near := recipe.near_duplicates:
        by_meaning = embed if near.similarity is not None else None
        yield (
            _near_duplicates.NAME,
            lambda items: _near_duplicates.near_duplicates(items, near, by_meaning, run),
        )
    if twins:
        return
    if others:
        settings = recipe.contamination
        meant = embed if settings.similarity is not None else None
        yield (
            _contamination.NAME,
            lambda items: _contamination.contaminated(items, settings, others, meant, run),
        )
    yield _quota.NAME, lambda items: _quota.over_quota(items, recipe.quota)


async def record(ledger: Ledger, decisions: dict[str, Decision], *, twins: bool) -> None:
    """Put the decisions on record, in place of those that an earlier invocation made."""
    old = [n for n in ledger.ended() if n.startswith(PREFIX) and (TWIN in n) is twins]
    made = (
        Outcome(
            PREFIX + name,
            one.stage,
            "drop" if one.reason else "keep",
            one.reason,
            {"pair": name, "detail": one.detail},
        )
        for name, one in decisions.items()
    )
    await ledger.replace_outcomes(old, made)


def recorded(ledger: Ledger, name: str) -> Decision | None:
    """Return what the barriers decided about a record; None where none did."""
    found = ledger.outcome(PREFIX + name)
    return Decision(found.stage, found.reason, found.value["detail"]) if found else None
