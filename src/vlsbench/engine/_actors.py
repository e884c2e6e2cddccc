"""What runs in actors of Ray: stages, and replicas of models."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from vlsbench.engine._context import IN_THREADS, Result, Stage, Tally
from vlsbench.engine._wire import Wire
from vlsbench.models import CallFailed, ChatModel, Reply, Request

T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What a stage asks of its context: the name of a method, and its arguments."""

    number: int
    what: str
    given: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Ended:
    """What a stage returned or raised."""

    result: Result | Exception
    expected: int = 0
    """Records that it adds to those expected."""


@dataclass
class _FarContext:
    """What a stage in an actor has of its run; implements `Context`."""

    said: asyncio.Queue[Asked | Ended]
    waiting: dict[int, asyncio.Future[Any]]
    wire: Wire
    sent_back: int
    threads: asyncio.Semaphore
    tally: Tally = field(default_factory=Tally)

    def epoch(self, record: str, stage: str) -> int:
        return self.sent_back

    async def call(self, role: str, model: ChatModel, request: Request) -> Reply:
        reply: Reply
        reply, identity = await self._ask("call", role, model, request)
        self.wire.learned(model, identity)
        return reply

    async def in_thread(self, work: Callable[..., T], *given: Any) -> T:
        async with self.threads:
            return await asyncio.to_thread(work, *given)

    async def note(self, text: str) -> None:
        await self._ask("note", text)

    async def probe(self) -> None:
        await self._ask("probe")

    async def _ask(self, what: str, *given: Any) -> Any:
        number = len(self.waiting)
        answer = self.waiting[number] = asyncio.get_running_loop().create_future()
        self.said.put_nowait(Asked(number, what, given))
        return await answer


class StageActor:
    """Runs stages, many records at once."""

    def __init__(self, wire: dict[str, Any]) -> None:
        self._wire = Wire(**wire)
        self._stages: dict[bytes, Stage] = {}
        self._threads = asyncio.Semaphore(IN_THREADS)
        self._waiting: dict[int, dict[int, asyncio.Future[Any]]] = {}

    async def run(
        self, token: int, stage: list[Any], record: bytes, sent_back: int
    ) -> AsyncIterator[bytes]:
        """Run a stage, fetched once; yield what it asks of its context, at last how it ended."""
        known = stage[0].binary()
        if known not in self._stages:
            self._stages[known] = self._wire.loads(await stage[0])
        waiting = self._waiting[token] = {}
        said: asyncio.Queue[Asked | Ended] = asyncio.Queue()
        ctx = _FarContext(said, waiting, self._wire, sent_back, self._threads)

        async def work() -> None:
            try:
                result = await self._stages[known].run(self._wire.loads(record), ctx)
                said.put_nowait(Ended(result, ctx.tally.total))
            except Exception as error:  # raised again where the run is
                error.add_note(traceback.format_exc())
                said.put_nowait(Ended(error))

        task = asyncio.create_task(work())
        try:
            while True:
                message = await said.get()
                yield self._wire.dumps(message)
                if isinstance(message, Ended):
                    return
        finally:
            task.cancel()
            del self._waiting[token]

    async def answer(self, token: int, number: int, answer: bytes) -> None:
        """Give a stage what it asked for, or raise there what was raised."""
        future = self._waiting.get(token, {}).get(number)
        if future is None or future.done():
            return
        value = self._wire.loads(answer)
        if isinstance(value, Exception):
            future.set_exception(value)
        else:
            future.set_result(value)


class ModelActor:
    """One replica of a model."""

    def __init__(self, wire: dict[str, Any], make: bytes) -> None:
        import cloudpickle

        self._wire = Wire(**wire)
        self._model: ChatModel = cloudpickle.loads(make)()

    async def ask(self, request: bytes) -> bytes:
        """Answer a request; a failed call is returned."""
        try:
            return self._wire.dumps(await self._model.ask(self._wire.loads(request)))
        except CallFailed as error:
            return self._wire.dumps(error)
