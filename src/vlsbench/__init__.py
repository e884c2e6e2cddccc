"""vlsbench: evaluate, audit, build and align for cross-modal safety.

import vlsbench

pairs = vlsbench.load("lab/leakless")
run = vlsbench.evaluate(pairs, model="lab/careful", judge="lab")
print(run.summary.groups[0].safety)

card = vlsbench.audit(pairs).card
print(card.leak)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vlsbench.api import Evaluation, evaluate, load
    from vlsbench.api_audit import Audit, audit, league
    from vlsbench.api_build import Build, build
    from vlsbench.api_compare import compare
    from vlsbench.api_release import release

__all__ = [
    "Audit",
    "Build",
    "Evaluation",
    "__version__",
    "audit",
    "build",
    "compare",
    "evaluate",
    "league",
    "load",
    "release",
]


def __getattr__(name: str) -> Any:
    # Imported when used: `import vlsbench` alone must cost nothing.
    if name in ("Evaluation", "evaluate", "load"):
        from vlsbench import api

        return getattr(api, name)
    if name in ("Audit", "audit", "league"):
        from vlsbench import api_audit

        return getattr(api_audit, name)
    if name in ("Build", "build"):
        from vlsbench import api_build

        return getattr(api_build, name)
    if name == "compare":
        from vlsbench import api_compare

        return api_compare.compare
    if name == "release":
        from vlsbench import api_release

        return api_release.release
    raise AttributeError(f"module 'vlsbench' has no attribute {name!r}")
