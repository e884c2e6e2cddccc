"""vlsbench: evaluate, audit, build and align for cross-modal safety.

import vlsbench

pairs = vlsbench.load("lab/leakless")
run = vlsbench.evaluate(pairs, model="lab/careful", judge="lab")
print(run.summary.groups[0].safety)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from vlsbench.api import Evaluation, evaluate, load

__all__ = ["Evaluation", "__version__", "evaluate", "load"]


def __getattr__(name: str) -> Any:
    # Imported when used: `import vlsbench` alone must cost nothing.
    if name in ("Evaluation", "evaluate", "load"):
        from vlsbench import api

        return getattr(api, name)
    raise AttributeError(f"module 'vlsbench' has no attribute {name!r}")
