"""Records through stages: a bounded number under way, stages overlapping, wherever they run."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from vlsbench.config import Connection
from vlsbench.engine._budget import Halted
from vlsbench.engine._context import (
    Children,
    Drop,
    Keep,
    Quarantine,
    Record,
    Result,
    RunContext,
    Stage,
)
from vlsbench.engine._ledger import Outcome
from vlsbench.errors import VlsbenchError
from vlsbench.models import CallFailed, Model

GRACE_S = 30.0
"""After an error that ends the run: time for calls in flight, which are paid, to be recorded."""


class Executor:
    """Runs stages: this one here, that of Ray in actors. Nobody but this file asks which it is."""

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


class _Item(NamedTuple):
    record: Record
    stage: int


class _Work:
    """Hands out records: first what stages made, then the source, which is read as it is used."""

    def __init__(self, records: Iterator[Record]) -> None:
        self._source = records
        self._made: deque[_Item] = deque()
        self._busy = 0
        self._changed = asyncio.Event()

    async def take(self) -> _Item | None:
        """Return the next item, None when there is and will be none."""
        while True:
            if self._made:
                self._busy += 1
                return self._made.pop()
            record = next(self._source, None)
            if record is not None:
                self._busy += 1
                return _Item(record, 0)
            if self._busy == 0:
                return None
            self._changed.clear()
            await self._changed.wait()

    def done(self, made: Sequence[_Item] = ()) -> None:
        """Give an item back, with what it became."""
        self._busy -= 1
        self._made.extend(reversed(made))
        if made or self._busy == 0:
            self._changed.set()


async def run_flow(
    stages: Sequence[Stage],
    records: Iterable[Record],
    ctx: RunContext,
    executor: Executor | None = None,
    *,
    width: int,
    tag: Callable[[Outcome], str] = lambda outcome: outcome.kind,
) -> None:
    """Take every record through the stages; each ends in one durable outcome.

    Args:
        stages: In order.
        records: Walked lazily; those that have ended are skipped.
        ctx: The run's ledger, budget and stop signal. Afterwards `ctx.signal` says whether the
            run stopped early; records that were under way are then still open.
        executor: Where stages run; by default here.
        width: Records under way at most; bounds memory.
        tag: Names an outcome for the tally.
    """
    executor = executor or Executor()
    ended = ctx.ledger.ended()
    unanswered: list[tuple[Stage, str, str]] = []
    work = _Work(iter(records))

    async def finish(stage: Stage, record: Record, result: Keep | Drop | Quarantine) -> None:
        kind = type(result).__name__.lower()
        reason = "" if isinstance(result, Keep) else result.reason
        outcome = Outcome(record.id, stage.name, kind, reason, result.value)
        await ctx.ledger.record_outcome(outcome)
        ctx.tally.done += 1
        ctx.tally.outcomes[tag(outcome)] += 1

    async def advance(item: _Item) -> list[_Item]:
        record = item.record
        for place in range(item.stage, len(stages)):
            stage = stages[place]
            try:
                result = await executor.run(stage, record, ctx)
            except CallFailed as error:
                unanswered.append((stage, record.id, error.reason))
                return []
            match result:
                case Keep(value) if place + 1 < len(stages):
                    record = Record(record.id, value)
                case Children(children, dropped):
                    for name, drop in dropped:
                        if name not in ended:
                            await finish(stage, Record(name, None), drop)
                    return [_Item(child, place + 1) for child in children if child.id not in ended]
                case _:
                    await finish(stage, record, result)
                    return []
        return []

    async def worker() -> None:
        while not ctx.signal and (item := await work.take()):
            made: list[_Item] = []
            try:
                if item.record.id not in ended:
                    made = await advance(item)
            except Halted:
                return
            except VlsbenchError as error:
                ctx.signal.stop(str(error), error)
                return
            finally:
                work.done(made)

    await _until_done([asyncio.create_task(worker()) for _ in range(width)], ctx)
    if not ctx.signal:
        # Only a run that went all the way may close a record for want of an answer; a run that
        # stopped leaves it open, and the next one asks again.
        for stage, name, reason in unanswered:
            lost = Quarantine("unanswered", {"detail": reason})
            await finish(stage, Record(name, None), lost)


async def _until_done(workers: Sequence[asyncio.Task[None]], ctx: RunContext) -> None:
    """Wait for the workers, or until the run is to stop and they have drained; raise theirs."""
    everyone = asyncio.gather(*workers)
    stopping = asyncio.create_task(ctx.signal.wait())
    both: set[asyncio.Future[Any]] = {everyone, stopping}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        # Drain. After an error of ours there is no point in waiting long; after Ctrl-C or a
        # spent budget the calls in flight are paid and worth their time.
        await asyncio.wait({everyone}, timeout=GRACE_S if ctx.signal.error else None)
        if everyone.done():
            everyone.result()
    finally:
        for task in (*workers, stopping):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*workers, *both, return_exceptions=True)
