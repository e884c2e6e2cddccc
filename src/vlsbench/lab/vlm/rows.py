"""What is asked of the tiny model, with or without an image, and what it should reply."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vlsbench.lab.vlm import world
from vlsbench.lab.vlm.world import ACTS, FRAMES, PASTIMES, THINGS, Act, Thing, drawing

if TYPE_CHECKING:
    from PIL import Image


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
