"""vlsbench: evaluate, audit, build and align for cross-modal safety.

import vlsbench

pairs = vlsbench.load("lab/leakless")
run = vlsbench.evaluate(pairs, model="lab/careful", judge="lab")
print(run.summary.groups[0].safety)

card = vlsbench.audit(pairs).card
print(card.leak)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vlsbench import registry
    from vlsbench.aligning import align
    from vlsbench.auditing import Audit, audit, leaderboard
    from vlsbench.building import Build, build
    from vlsbench.calibrating import calibrate
    from vlsbench.comparing import compare, rank
    from vlsbench.evaluation import Evaluation, EvaluationPlan, evaluate, judge_again, plan
    from vlsbench.examining import judge_card, plan_judge_card
    from vlsbench.guarding import evaluate_guard, plan_guard
    from vlsbench.pairs import load
    from vlsbench.releasing import release
    from vlsbench.reporting import report
    from vlsbench.reviewing import review

_HOMES = {
    "aligning": ("align",),
    "auditing": ("Audit", "audit", "leaderboard"),
    "building": ("Build", "build"),
    "calibrating": ("calibrate",),
    "comparing": ("compare", "rank"),
    "evaluation": ("Evaluation", "EvaluationPlan", "evaluate", "judge_again", "plan"),
    "examining": ("judge_card", "plan_judge_card"),
    "guarding": ("evaluate_guard", "plan_guard"),
    "pairs": ("load",),
    "releasing": ("release",),
    "reporting": ("report",),
    "reviewing": ("review",),
}
"""Package → the public names that are imported from it when they are used."""

__all__ = [
    "Audit",
    "Build",
    "Evaluation",
    "EvaluationPlan",
    "__version__",
    "align",
    "audit",
    "build",
    "calibrate",
    "compare",
    "evaluate",
    "evaluate_guard",
    "judge_again",
    "judge_card",
    "leaderboard",
    "load",
    "plan",
    "plan_guard",
    "plan_judge_card",
    "rank",
    "registry",
    "release",
    "report",
    "review",
]


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> Any:
    # Imported when used: `import vlsbench` alone must cost nothing.
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"vlsbench.{home}"), name)
    if name == "registry":
        return import_module("vlsbench.registry")
    raise AttributeError(f"module 'vlsbench' has no attribute {name!r}")
