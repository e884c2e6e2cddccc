"""A model of your own: vlsbench eval BENCH --model echo/twice --judge offline --plugin THIS_FILE"""

from __future__ import annotations

from pathlib import Path

import vlsbench
from vlsbench.config import Sample
from vlsbench.evaluation import Output
from vlsbench.models import Reply, Request
from vlsbench.registry import model


@model("echo", free=True)
class Echo:
    """Repeats the question; `echo/twice` does so twice."""

    def __init__(self, spec: str) -> None:
        self.spec = spec
        self.endpoint = "here"  # models with the same endpoint share its rate limit
        self.identity = {"model": spec, "version": "1"}  # a change asks everything anew

    async def ask(self, request: Request) -> Reply:
        """Answer; `request.images` holds the pictures."""
        times = 2 if self.spec.endswith("/twice") else 1
        return Reply(" ".join([request.text] * times))

    async def close(self) -> None:
        """Release what the model holds."""


if __name__ == "__main__":
    run = vlsbench.evaluate(
        "lab/leakless",
        model=Echo("echo/twice"),
        judge="offline",
        sample=Sample(limit=20),
        output=Output(out=Path("runs/echo"), progress=False),
    )
    print("calls", sum(spend.calls for spend in run.summary.spend))
