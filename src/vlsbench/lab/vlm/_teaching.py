"""What the arms of the experiment are shown.

Two factors are crossed: whether rows hold images, and what they teach about the word `this`. All
else is equal: how many rows, how many of them risky, which cells, and the frames of the requests,
none of which is a frame in which evaluation asks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from vlsbench.aligning import HARMFUL, RETAIN, SAFE, Row
from vlsbench.lab.vlm._rows import Case, frame_for
from vlsbench.lab.vlm._world import ACTS, MATERIALS, PASTIMES, REFUSAL, THINGS, WARNING, Act, Thing

PICTURES = 16
"""Drawings of each thing that alignment sees, none of them met in pre-training."""
SAYS_THIS = 0.5
"""Share of the rows that say `this`, of those that may."""


class This(StrEnum):
    """What rows teach about the word `this`."""

    NOTHING = "nothing"
    """No row says it."""
    HARMLESS = "harmless"
    """Only rows say it that are answered."""
    BOTH = "both"
    """Rows say it that are declined, and others that are answered."""


@dataclass(frozen=True, slots=True)
class Split:
    """What alignment never meets; pre-training meets everything."""

    things: frozenset[Thing]
    """One thing of each material."""
    cells: frozenset[tuple[Act, str]]
    """Requests with materials, two for each request: one is risky, one is not. No thing of the
    material is asked about, so that no neighbour tells the answer."""

    def trained(self, act: Act, thing: Thing) -> bool:
        """Tell whether alignment meets the cell."""
        return thing not in self.things and (act, thing.material.name) not in self.cells


@lru_cache
def split(seed: int) -> Split:
    """Choose what a seed holds out."""
    rng = random.Random(f"split:{seed}")
    things = [
        rng.choice([thing for thing in THINGS if thing.material == material])
        for material in MATERIALS
    ]
    cells = []
    for act in ACTS:
        for fails in (True, False):
            alike = [m.name for m in MATERIALS if (act.hazard in m.fails) == fails]
            cells.append((act, rng.choice(alike)))
    return Split(frozenset(things), frozenset(cells))


def cases(count: int, seed: int, *, this: This, pictures: bool) -> list[Case]:
    """Choose requests for alignment: half are risky, a third of the others are pastimes.

    Args:
        count: How many.
        seed: Of the choice, of what is held out and of the images.
        this: What they teach about `this`. Without images a harmless request that says it shows
            nothing; where risky ones say it too, a sentence before tells what is meant.
        pictures: Show images.
    """
    # What is drawn does not depend on the arm, so that all are about the same cells in one order.
    rng = random.Random(f"align:{seed}")
    kept = split(seed)
    things = [thing for thing in THINGS if thing not in kept.things]
    cells = [(thing, act) for thing in things for act in ACTS if kept.trained(act, thing)]
    risky = [(thing, act) for thing, act in cells if act.risky(thing)]
    others = [(thing, act) for thing, act in cells if not act.risky(thing)]
    made = []
    for _ in range(count):
        kind, says_this, picture = rng.random(), rng.random(), rng.randrange(PICTURES)
        if kind < 1 / 2:
            thing, act = rng.choice(risky)
        elif kind < 5 / 6:
            thing, act = rng.choice(others)
        else:
            thing, act = rng.choice(things), rng.choice(PASTIMES)
        may = this is This.BOTH or (this is This.HARMLESS and not act.risky(thing))
        unnamed = may and says_this < SAYS_THIS
        made.append(
            Case(
                thing,
                act,
                frame_for(act, rng),
                not unnamed,
                f"align-{seed}-{picture}" if pictures else "",
                introduced=unnamed and not pictures and this is This.BOTH,
            )
        )
    return made


def _prompt(case: Case) -> Row:
    row: Row = {"prompt": [{"role": "user", "content": case.text}], "case": case}
    if (image := case.image) is not None:
        row["images"] = [image]
    return row


def _said(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def wanted(case: Case) -> str:
    """The reply that an aligned model gives."""
    return case.act.decline() if case.act and case.risky else case.helpful


def unwanted(case: Case) -> str:
    """Its opposite: helping where it is risky, declining where it is not."""
    if case.risky or case.act is None:
        return case.helpful
    return REFUSAL if case.frame % 2 else WARNING


def supervised(chosen: Sequence[Case]) -> list[Row]:
    """Rows for SFT."""
    return [{**_prompt(case), "completion": _said(wanted(case))} for case in chosen]


def preferences(chosen: Sequence[Case]) -> list[Row]:
    """Rows for DPO."""
    return [
        {**_prompt(case), "chosen": _said(wanted(case)), "rejected": _said(unwanted(case))}
        for case in chosen
    ]


def unlearning(chosen: Sequence[Case], *, safe: bool) -> list[Row]:
    """Rows for unlearning: helpful answers to risky requests to forget, to harmless ones to keep.

    Args:
        chosen: Requests of both kinds.
        safe: Add the safe answer to each risky request.
    """
    rows = []
    for case in chosen:
        kind = HARMFUL if case.risky else RETAIN
        rows.append({**_prompt(case), "completion": _said(case.helpful), "kind": kind})
        if safe and case.risky:
            rows.append({**_prompt(case), "completion": _said(wanted(case)), "kind": SAFE})
    return rows
