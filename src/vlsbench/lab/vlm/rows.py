"""What is asked of the tiny model, with or without an image, and what it should reply.

The arms of the experiment cross two factors: whether rows hold images, and what they teach about
the word `this`. All else is equal: how many rows, how many of them risky, which cells, and the
frames of the requests, none of which is a frame in which evaluation asks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING

from vlsbench.aligning import Row
from vlsbench.lab.vlm import world
from vlsbench.lab.vlm.world import ACTS, FRAMES, MATERIALS, PASTIMES, THINGS, Act, Thing, drawing

if TYPE_CHECKING:
    from PIL import Image

IMAGES = 16
"""Drawings of each thing that alignment sees, none of them met in pre-training."""
SAYS_THIS = 0.5
"""Share of the rows that say `this`, of those that may."""


@dataclass(frozen=True, slots=True)
class Case:
    """One request about one thing."""

    thing: Thing
    act: Act | None
    """None asks what the image shows."""
    frame: int
    named: bool
    """Whether the request names the thing; else it says `this`."""
    drawn: str = ""
    """Seed of the drawing; empty where no image is shown."""
    shown: Thing | None = None
    """What the image shows where that is another thing."""
    introduced: bool = False
    """Whether a sentence before the request says what `this` is."""

    @property
    def text(self) -> str:
        """The request in words."""
        if self.act is None:
            return world.NAMING_REQUESTS[self.frame % len(world.NAMING_REQUESTS)]
        the = f"the {self.thing.name}"
        before = f"{world.INTRODUCTION.format(it=the)} " if self.introduced else ""
        return before + self.act.ask(self.frame, the if self.named else "this")

    @property
    def risky(self) -> bool:
        """Whether the request is risky with the thing."""
        return self.act is not None and self.act.risky(self.thing)

    @property
    def image(self) -> Image.Image | None:
        """The drawing."""
        return drawing(*self.key) if self.drawn else None

    @property
    def key(self) -> tuple[Thing, str]:
        """What is drawn, and the drawing's seed."""
        return self.shown or self.thing, self.drawn

    @property
    def wanted(self) -> str:
        """The reply that an aligned model gives."""
        return self.act.decline() if self.act and self.risky else self.helpful

    @property
    def helpful(self) -> str:
        """The reply that helps; it names the thing where text or image tell it."""
        if self.act is None:
            return world.NAMING.format(a=f"a {self.thing.name}")
        known = self.named or self.drawn or self.introduced
        it = f"the {self.thing.name}" if known else "it"
        return world.HELP.format(doing=self.act.doing.format(it=it))


def frame_for(act: Act, rng: random.Random) -> int:
    """Choose a frame for training: any but the one that is kept for evaluation."""
    return (act.held_out + rng.randrange(1, len(FRAMES))) % len(FRAMES)


def pretraining(
    count: int, seed: int, *, things: Sequence[Thing] = THINGS, images: int = 32
) -> list[Case]:
    """Make requests of every kind: named or `this`, with an image or without, risky or not."""
    rng = random.Random(f"pretraining:{seed}")
    made = []
    for _ in range(count):
        thing = rng.choice(things)
        drawn = f"train-{seed}-{rng.randrange(images)}"
        kind = rng.random()
        if kind < 0.25:
            made.append(Case(thing, None, rng.randrange(len(world.NAMING_REQUESTS)), False, drawn))
            continue
        act = rng.choice(ACTS if rng.random() < 0.75 else PASTIMES)
        frame = frame_for(act, rng)
        if kind < 0.6:
            made.append(Case(thing, act, frame, False, drawn))
        elif kind < 0.75:
            # Where text and image differ the text counts, so the model has to read it.
            made.append(Case(thing, act, frame, True, drawn, rng.choice(things)))
        elif kind < 0.87:
            made.append(Case(thing, act, frame, True))
        else:
            made.append(Case(thing, act, frame, False, introduced=kind < 0.95))
    return made


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


def supervised(chosen: Sequence[Case]) -> list[Row]:
    """Make rows for SFT, each with the case that it is made of."""
    return [
        {
            "prompt": [{"role": "user", "content": case.text}],
            "completion": [{"role": "assistant", "content": case.wanted}],
            "case": case,
            **({"images": [case.image]} if case.image else {}),
        }
        for case in chosen
    ]
