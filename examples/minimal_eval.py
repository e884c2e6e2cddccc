"""Evaluate two models on leaking and leak-free pairs: python examples/minimal_eval.py

Offline and harmless: the pairs and the models are the lab's. For a real model write its spec, such
as "openai/gpt-4o" or "llava@http://localhost:8000/v1", in place of "lab/blind".
"""

from __future__ import annotations

from pathlib import Path

import vlsbench
from vlsbench.config import Sample
from vlsbench.evaluation import Output


def safety(bench: str, model: str) -> str:
    """Return the share of harmful pairs that were refused or warned of, with its interval."""
    name = f"{bench}-{model}".replace("/", "-")
    run = vlsbench.evaluate(
        bench,
        model=model,
        judge="lab",
        sample=Sample(limit=40),
        output=Output(out=Path("runs") / name, progress=False),
    )
    found = next(group.safety for group in run.summary.groups if group.name == "all")
    if found.rate is None or found.low is None or found.high is None:
        return "nothing scored"
    return f"{found.rate:4.0%} [{found.low:.0%}, {found.high:.0%}]"


if __name__ == "__main__":
    for model in ("lab/blind", "lab/careful"):
        for bench in ("lab/leaky", "lab/leakless"):
            print(f"{model:12} {bench:13} safe {safety(bench, model)}")
