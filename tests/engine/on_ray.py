"""What tests of the Ray executor share."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.engine.test_flow import Echo, context, records
from vlsbench.config import Connection
from vlsbench.engine import (
    Context,
    Keep,
    Ledger,
    Record,
    Result,
    RunContext,
    open_executor,
    run_flow,
)
from vlsbench.models import Model, Request


class Steps:
    """Asks three questions, one after the other, and keeps who ran it."""

    name = "steps"
    version = "1"

    def __init__(self, model: Echo, pids: Path) -> None:
        self.model = model
        self.pids = pids

    async def run(self, record: Record, ctx: Context) -> Result:
        (self.pids / str(os.getpid())).touch()
        said = [
            (await ctx.call("target", self.model, Request(f"{record.id}, step {step}"))).text
            for step in range(3)
        ]
        return Keep({"said": said})


async def on_ray(
    stages: Any, texts: list[str], ledger: Ledger, models: Sequence[Model] = (), **settings: Any
) -> RunContext:
    ctx = context(ledger)
    connection = Connection(executor="ray", actors=2, **settings)
    executor = open_executor(connection, models)
    try:
        await run_flow(stages, records(*texts), ctx, executor, width=16)
    finally:
        await executor.close()
    return ctx


def wait_until(true: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not true() and time.monotonic() < until:
        time.sleep(0.05)
