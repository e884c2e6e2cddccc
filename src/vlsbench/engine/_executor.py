"""Where stages run: in this process, or elsewhere with what they ask of their context sent here."""

from __future__ import annotations

from collections.abc import Sequence

from vlsbench.config import Connection
from vlsbench.engine._context import Record, Result, RunContext, Stage
from vlsbench.models import Model


class Executor:
    """Runs stages: this one here, that of Ray in actors. Which one it is, only this file knows."""

    async def run(self, stage: Stage, record: Record, ctx: RunContext) -> Result:
        """Return what `stage.run` does, raise what it raises."""
        return await stage.run(record, ctx)

    async def close(self) -> None:
        """End what was started for it."""


def open_executor(connection: Connection, models: Sequence[Model]) -> Executor:
    """Return the executor that the settings name.

    Raises:
        MissingExtra: It is Ray's, and Ray is not installed.
        VlsbenchError: No cluster answers.
    """
    if connection.executor == "local":
        return Executor()
    from vlsbench.engine._ray import RayExecutor

    return RayExecutor(connection, models)
