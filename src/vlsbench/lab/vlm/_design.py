"""The design of the experiment: how long everything is trained. Fixed before fresh seeds are run.

Chosen on seeds 100 and up; the figures that count come from five seeds from `FIRST_SEED` on. A
change here is another design: cells of an earlier one are run again, and on other seeds.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from vlsbench.aligning import Method, Row, Settings
from vlsbench.lab.vlm._pretrain import Pretraining
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
    settings: Settings
    after: str = ""
    """The arm whose model this one starts from; empty starts from vanilla."""
    about: str = ""
    ablation: bool = False

    @property
    def work(self) -> float:
        """About how long it takes, in steps of text-only SFT."""
        cost = 5.0 if self.method.online else 3.0 if self.method.preference else 1.0
        return cost * (self.settings.max_steps or 1) * (1 if self.method.textual else 2)

    def settings_for(self, seed: int) -> Settings:
        """Return its settings with a seed."""
        return replace(self.settings, seed=seed)


TEXTUAL = ("t-sft", "t-dpo", "t-unlearning", "t-safe-unlearning")
MULTIMODAL = ("mm-sft", "mm-dpo", "mm-ppo", "mm-rloo")


def arms_of(design: Design) -> list[Arm]:
    """Return every arm; one that starts from another comes after it."""

    def shown(
        make: Callable[..., list[Row]], *, pictures: bool, risky: float = 0.5, **more: object
    ) -> Callable[[int], list[Row]]:
        return partial(_rows, make, design.rows, pictures, risky, more)

    def settings(steps: int, **more: object) -> Settings:
        base = Settings(
            max_steps=steps,
            learning_rate=design.rate,
            batch_size=design.batch,
            warmup=0.1,
            log_steps=50,
            max_new_tokens=13,
        )
        return replace(base, **more)  # type: ignore[arg-type]

    sft = settings(design.sft_steps)
    dpo = settings(design.dpo_steps)
    text, both = partial(shown, pictures=False), partial(shown, pictures=True)
    forget = partial(unlearning, safe=False)
    replace_them = partial(unlearning, safe=True)
    online = settings(
        design.online_steps,
        learning_rate=design.rate / 4,
        batch_size=2 * design.batch,
        kl=0.02,
    )
    # Without a value head to steady it, its gradient is rougher than PPO's.
    rloo = replace(online, learning_rate=design.rate / 8, num_generations=8)
    return [
        Arm("t-sft", Method.T_SFT, text(supervised), sft, about="text alone"),
        Arm("t-dpo", Method.T_DPO, text(preferences), dpo, about="text alone"),
        Arm(
            "t-unlearning",
            Method.T_UNLEARNING,
            text(forget),
            settings(design.unlearning_steps),
            about="text alone; forgets helping where it is risky",
        ),
        Arm(
            "t-safe-unlearning",
            Method.T_SAFE_UNLEARNING,
            text(replace_them),
            settings(design.sft_steps),
            about="text alone; forgets, and declines instead",
        ),
        Arm("mm-sft", Method.MM_SFT, both(supervised), sft, about="pictures and text"),
        Arm("mm-dpo", Method.MM_DPO, both(preferences), dpo, about="pictures and text"),
        Arm(
            "cold-start",
            Method.MM_SFT,
            both(supervised),
            settings(design.cold_steps),
            about="MM-SFT broken off early; where the online arms start",
            ablation=True,
        ),
        Arm(
            "mm-ppo",
            Method.MM_PPO,
            both(prompts),
            online,
            after="cold-start",
            about="own samples, rewarded by the rule",
        ),
        Arm(
            "mm-rloo",
            Method.MM_RLOO,
            both(prompts),
            rloo,
            after="cold-start",
            about="own samples, rewarded by the rule",
        ),
        Arm(
            "t-sft-no-neutral",
            Method.T_SFT,
            text(supervised, risky=1.0),
            sft,
            about="T-SFT without harmless requests",
            ablation=True,
        ),
        Arm(
            "mm-sft-unseen",
            Method.MM_SFT,
            both(supervised, things=[thing for thing in KNOWN if thing not in UNSEEN]),
            sft,
            about="MM-SFT that never meets a sixth of the things",
            ablation=True,
        ),
    ]


def _rows(
    make: Callable[..., list[Row]],
    count: int,
    pictures: bool,
    risky: float,
    more: dict[str, object],
    seed: int,
) -> list[Row]:
    chosen = cases(count, seed, risky=risky, pictures=pictures, **more)  # type: ignore[arg-type]
    return make(chosen)
