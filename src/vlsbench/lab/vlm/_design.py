"""The design of the experiment: its arms, and how long everything is trained.

Chosen on seeds 100 and 101 and fixed before fresh seeds were run; the figures that count come from
five seeds from `FIRST_SEED` on. A change here is another design: cells of an earlier one are run
again, and on other seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from vlsbench.aligning import Method, Row, TrainingSettings
from vlsbench.lab.vlm._pretrain import Pretraining
from vlsbench.lab.vlm._rows import Case
from vlsbench.lab.vlm._teaching import This, cases, preferences, supervised, unlearning

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


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to align a vanilla model."""

    name: str
    method: Method
    this: This
    make: Callable[[list[Case]], list[Row]]
    settings: TrainingSettings
    count: int
    """Rows before the method adds any."""
    grounded: bool = False
    """Whether pre-training taught the risks of what an image shows, too."""

    @property
    def start(self) -> str:
        """The vanilla model it starts from."""
        return GROUNDED + VANILLA if self.grounded else VANILLA

    def rows(self, seed: int) -> list[Row]:
        """Make the data from a seed."""
        pictures = not self.method.textual
        return self.make(cases(self.count, seed, this=self.this, pictures=pictures))

    @property
    def work(self) -> float:
        """About how long it takes, in steps of text-only SFT."""
        cost = 3.0 if self.method.preference else 1.0
        return cost * (self.settings.max_steps or 1) * (1.0 if self.method.textual else 1.7)

    def settings_for(self, seed: int) -> TrainingSettings:
        """Return its settings with a seed."""
        return replace(self.settings, seed=seed)


TEXTUAL = {this: f"t-sft-{this}" for this in This}
MULTIMODAL = {this: f"mm-sft-{this}" for this in This}
HEADLINE = (TEXTUAL[This.HARMLESS], MULTIMODAL[This.BOTH])
"""What text-only and multimodal safety sets are like: whoever labels a text alone finds no risk in
one that says `this`; whoever labels it with its image finds risk in some."""
FACTORIAL = (*TEXTUAL.values(), *MULTIMODAL.values())


def arms_of(design: Design) -> dict[str, Arm]:
    """Return every arm by name: the factorial twice, then further methods on its rows."""
    sft = TrainingSettings(
        max_steps=design.steps,
        learning_rate=design.rate,
        batch_size=design.batch,
        warmup=0.1,
        log_steps=50,
    )

    def arm(name: str, method: Method, make: Callable[[list[Case]], list[Row]], this: This) -> Arm:
        settings = sft if method.textual else replace(sft, freeze_vision=True)
        return Arm(name, method, this, make, settings, design.rows)

    factorial = [
        *(arm(name, Method.T_SFT, supervised, this) for this, name in TEXTUAL.items()),
        *(arm(name, Method.MM_SFT, supervised, this) for this, name in MULTIMODAL.items()),
    ]
    grounded = [replace(one, name=GROUNDED + one.name, grounded=True) for one in factorial]
    forget, renounce = partial(unlearning, safe=False), partial(unlearning, safe=True)
    further = [
        arm("t-dpo", Method.T_DPO, preferences, This.HARMLESS),
        arm("mm-dpo", Method.MM_DPO, preferences, This.BOTH),
        arm("t-unlearning", Method.T_UNLEARNING, forget, This.HARMLESS),
        arm("t-safe-unlearning", Method.T_SAFE_UNLEARNING, renounce, This.HARMLESS),
    ]
    return {one.name: one for one in (*factorial, *grounded, *further)}
