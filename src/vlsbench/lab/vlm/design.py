"""The design of the experiment: its arms, and how long everything is trained.

Chosen on seeds 100 and 101 and fixed before fresh seeds were run; the figures that count come from
five seeds from `FIRST_SEED` on. A change here is another design: cells of an earlier one are run
again, and on other seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vlsbench.aligning import Method, Row, TrainingSettings
from vlsbench.lab.vlm._pretrain import Pretraining
from vlsbench.lab.vlm.rows import This, cases, supervised

DESIGN_VERSION = "3"
"""Changes whenever texts, rows or sets change."""
FIRST_SEED = 20
"""Moved on with every design, so that none is judged by seeds that were looked at before it."""
VANILLA = "vanilla"
GROUNDED = "grounded-"
"""Before the name of an arm whose pre-training also taught how risky `this` in an image is."""


@dataclass(frozen=True, slots=True)
class Design:
    """What the experiment costs: optimiser steps, and rows of data for each arm."""

    pretraining: Pretraining = field(default_factory=Pretraining)
    rows: int = 3200
    batch: int = 32
    rate: float = 3.5e-3
    steps: int = 300


FIXED = Design()
QUICK_DESIGN = Design(
    pretraining=Pretraining(tower_steps=120, text_steps=100, steps=190), steps=220, rows=1600
)
"""What the demo trains, and for how long: one seed of it takes a minute and a half."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to align a vanilla model."""

    images: bool
    """Whether its rows show images."""
    this: This
    grounded: bool = False
    """Whether pre-training taught the risks of what an image shows, too."""

    @property
    def name(self) -> str:
        """As tables show it, and `--methods` takes it."""
        return f"{GROUNDED * self.grounded}{self.method}-{self.this}"

    @property
    def method(self) -> Method:
        """How it is trained."""
        return Method.MM_SFT if self.images else Method.T_SFT

    @property
    def start(self) -> str:
        """The vanilla model it starts from."""
        return GROUNDED * self.grounded + VANILLA

    def rows(self, design: Design, seed: int) -> list[Row]:
        """Make its data."""
        return supervised(cases(design.rows, seed, this=self.this, images=self.images))

    def settings(self, design: Design, seed: int) -> TrainingSettings:
        """Return how it trains."""
        return TrainingSettings(
            max_steps=design.steps,
            learning_rate=design.rate,
            batch_size=design.batch,
            warmup=0.1,
            log_steps=50,
            seed=seed,
        )


ARMS = {
    arm.name: arm
    for grounded in (False, True)
    for images in (False, True)
    for this in This
    for arm in [Arm(images, this, grounded)]
}
"""The factorial, twice."""
HEADLINE = (Arm(False, This.HARMLESS), Arm(True, This.BOTH))
"""What text-only and multimodal safety sets are like: whoever labels a text alone finds no risk in
one that says `this`; whoever labels it with its image finds risk in some."""
QUICK = tuple(arm.name for arm in HEADLINE)
"""The arms that the demo trains."""
