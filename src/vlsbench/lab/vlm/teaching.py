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

from vlsbench.aligning import Row
from vlsbench.lab.vlm.rows import Case, frame_for
from vlsbench.lab.vlm.world import ACTS, MATERIALS, PASTIMES, THINGS, Act, Thing

IMAGES = 16
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


def cases(count: int, seed: int, *, this: This, images: bool) -> list[Case]:
    """Choose requests for alignment: half are risky, a third of the others are pastimes.

    Without images a harmless request that says `this` shows nothing; where risky ones say it too,
    a sentence before tells what is meant.
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
        kind, says_this, drawing = rng.random(), rng.random(), rng.randrange(IMAGES)
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
                f"align-{seed}-{drawing}" if images else "",
                introduced=unnamed and not images and this is This.BOTH,
            )
        )
    return made


def wanted(case: Case) -> str:
    """The reply that an aligned model gives."""
    return case.act.decline() if case.act and case.risky else case.helpful


def supervised(chosen: Sequence[Case]) -> list[Row]:
    """Make rows for SFT, each with the case that it is made of."""
    return [
        {
            "prompt": [{"role": "user", "content": case.text}],
            "completion": [{"role": "assistant", "content": wanted(case)}],
            "case": case,
            **({"images": [case.image]} if case.image else {}),
        }
        for case in chosen
    ]
