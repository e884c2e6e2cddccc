"""The design of the experiment: how long everything is trained. Fixed before fresh seeds are run.

Chosen on seeds 100 and up; the figures that count come from five seeds from `FIRST_SEED` on. A
change here is another design: cells of an earlier one are run again, and on other seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from vlsbench.aligning import Method, Row, TrainingSettings
from vlsbench.lab._world import Thing
from vlsbench.lab.vlm._pretrain import Pretraining
from vlsbench.lab.vlm._rows import Case
from vlsbench.lab.vlm._teaching import (
    UNSEEN,
    cases,
    preferences,
    prompts,
    supervised,
    unlearning,
)
from vlsbench.lab.vlm._words import KNOWN

DESIGN_VERSION = "2"
"""Changes whenever texts, rows or sets change."""
FIRST_SEED = 10
"""Moved on with every design, so that none is judged by seeds that were looked at before it."""


@dataclass(frozen=True, slots=True)
class Design:
    """What the experiment costs: optimiser steps, and rows of data for each arm."""

    pretraining: Pretraining = field(default_factory=Pretraining)
    rows: int = 4800
    batch: int = 32
    rate: float = 2e-3
    sft_steps: int = 200
    dpo_steps: int = 150
    unlearning_steps: int = 100
    online_steps: int = 60
    cold_steps: int = 40

    @property
    def pretraining_work(self) -> float:
        """Work of pre-training, in the unit of `Arm.work`."""
        return 1.2 * self.pretraining.total


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to align the vanilla model."""

    name: str
    method: Method
    rows: Callable[[int], list[Row]]
    """Makes the data from a seed."""
    settings: TrainingSettings
    after: str = ""
    """The arm whose model this one starts from; empty starts from vanilla."""
    ablation: bool = False

    @property
    def work(self) -> float:
        """About how long it takes, in steps of text-only SFT."""
        cost = 5.0 if self.method.online else 3.0 if self.method.preference else 1.0
        return cost * (self.settings.max_steps or 1) * (1 if self.method.textual else 2)

    def settings_for(self, seed: int) -> TrainingSettings:
        """Return its settings with a seed."""
        return replace(self.settings, seed=seed)


TEXTUAL = ("t-sft", "t-dpo", "t-unlearning", "t-safe-unlearning")
MULTIMODAL = ("mm-sft", "mm-dpo", "mm-ppo", "mm-rloo")


def arms_of(design: Design) -> list[Arm]:
    """Return every arm; one that starts from another comes after it."""

    def arm(
        method: Method,
        make: Callable[[list[Case]], list[Row]],
        settings: TrainingSettings,
        *,
        name: str = "",
        after: str = "",
        risky: float = 0.5,
        things: Sequence[Thing] = KNOWN,
    ) -> Arm:
        def rows(seed: int) -> list[Row]:
            pictures = not method.textual
            return make(cases(design.rows, seed, risky=risky, pictures=pictures, things=things))

        return Arm(name or str(method), method, rows, settings, after, ablation=bool(name))

    sft = TrainingSettings(
        max_steps=design.sft_steps,
        learning_rate=design.rate,
        batch_size=design.batch,
        warmup=0.1,
        log_steps=50,
        max_new_tokens=13,
    )
    dpo = replace(sft, max_steps=design.dpo_steps)
    forgetting = replace(sft, max_steps=design.unlearning_steps)
    cold = replace(sft, max_steps=design.cold_steps)
    ppo = replace(
        sft,
        max_steps=design.online_steps,
        learning_rate=design.rate / 4,
        batch_size=2 * design.batch,
        kl=0.02,
    )
    # Without a value head to steady it, its gradient is rougher than PPO's.
    rloo = replace(ppo, learning_rate=design.rate / 8, num_generations=8)
    forget, renounce = partial(unlearning, safe=False), partial(unlearning, safe=True)
    seen = [thing for thing in KNOWN if thing not in UNSEEN]
    start = "cold-start"  # MM-SFT broken off early
    return [
        arm(Method.T_SFT, supervised, sft),
        arm(Method.T_DPO, preferences, dpo),
        arm(Method.T_UNLEARNING, forget, forgetting),
        arm(Method.T_SAFE_UNLEARNING, renounce, sft),
        arm(Method.MM_SFT, supervised, sft),
        arm(Method.MM_DPO, preferences, dpo),
        arm(Method.MM_SFT, supervised, cold, name=start),
        arm(Method.MM_PPO, prompts, ppo, after=start),
        arm(Method.MM_RLOO, prompts, rloo, after=start),
        arm(Method.T_SFT, supervised, sft, name="t-sft-no-neutral", risky=1.0),
        arm(Method.MM_SFT, supervised, sft, name="mm-sft-unseen", things=seen),
    ]
