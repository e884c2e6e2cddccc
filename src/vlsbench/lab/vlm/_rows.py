"""What is asked of the tiny model, with or without a picture, and what it should reply."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from vlsbench.lab._draw import IMAGE_SIDE, paint, pose
from vlsbench.lab._world import Act, Thing
from vlsbench.lab.vlm._words import (
    KNOWN,
    NAMING_REQUESTS,
    PASTIMES,
    REQUESTS,
    help_with,
    name,
)

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Case:
    """One request about one thing."""

    thing: Thing
    act: Act | None
    """None asks what the picture shows."""
    phrasing: int
    named: bool
    """Whether the text names the thing; else it says `this`."""
    picture: str = ""
    """Seed of the drawing; empty where no picture is shown."""
    shown: Thing | None = None
    """What the picture shows where that is another thing."""

    @property
    def text(self) -> str:
        """The request in words."""
        if self.act is None:
            return NAMING_REQUESTS[self.phrasing % len(NAMING_REQUESTS)]
        return self.act.ask(self.phrasing, f"the {self.thing.name}" if self.named else "this")

    @property
    def risky(self) -> bool:
        """Whether the request is risky with the thing."""
        return self.act is not None and self.act.risk(self.thing) is not None

    @property
    def image(self) -> Image.Image | None:
        """The drawing."""
        return drawing(*self.key) if self.picture else None

    @property
    def key(self) -> tuple[str, str]:
        """What is drawn, and the drawing's seed."""
        return (self.shown or self.thing).name, self.picture

    @property
    def helpful(self) -> str:
        """The reply that helps; it names the thing where text or picture tell it."""
        if self.act is None:
            return name(self.thing)
        known = self.named or self.picture
        return help_with(self.act, f"the {self.thing.name}" if known else "it")


@lru_cache(maxsize=8192)
def drawing(thing: str, seed: str) -> Image.Image:
    """Draw a thing as the lab's benchmarks do, at their size."""
    return paint(thing, pose(f"{thing}:{seed}"), IMAGE_SIDE)


def pretraining(
    count: int, seed: int, *, things: Sequence[Thing] = KNOWN, pictures: int = 32
) -> list[Case]:
    """Make requests of every kind: named or `this`, with a picture or without, risky or not.

    Args:
        count: Cases.
        seed: Of the choice, and of the pictures.
        things: What they are about.
        pictures: Drawings of each thing.
    """
    rng = random.Random(f"pretraining:{seed}")
    made = []
    for _ in range(count):
        thing = rng.choice(things)
        picture = f"train-{seed}-{rng.randrange(pictures)}"
        kind = rng.random()
        if kind < 0.25:
            made.append(Case(thing, None, rng.randrange(len(NAMING_REQUESTS)), False, picture))
            continue
        act = rng.choice(REQUESTS if rng.random() < 0.75 else PASTIMES)
        phrasing = rng.randrange(len(act.phrasings))
        if kind < 0.6:
            made.append(Case(thing, act, phrasing, False, picture))
        elif kind < 0.78:
            # Where text and picture differ the text counts, so the model has to read it.
            made.append(Case(thing, act, phrasing, True, picture, rng.choice(things)))
        elif kind < 0.95:
            made.append(Case(thing, act, phrasing, True))
        else:
            made.append(Case(thing, act, phrasing, False))
    return made
