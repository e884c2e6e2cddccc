"""What runs in actors of Ray: stages, and replicas of models."""

from __future__ import annotations

import asyncio
import os
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from vlsbench.engine._context import IN_THREADS, Result, Stage, Tally
from vlsbench.engine._wire import StandIn, Wire
from vlsbench.errors import Signal, VlsbenchError
from vlsbench.models import CallFailed, ChatModel, Reply, Request


@dataclass(frozen=True)
class Asked:
    """What a stage asks of its context: `call`, `note` or `probe`."""

    number: int
    what: str
    given: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Ended:
    """What a stage returned, or what it raised."""

    result: Result | None = None
    raised: int | None = None
    """Number of the question whose error it raised; the coordinator has the error."""
    wrong: str = ""
    """An error of its own that a user can act on."""
    broken: str = ""
    """The trace of any other."""
    expected: int = 0
    """Records that it adds to those expected."""


@dataclass(frozen=True)
class Raised:
    """In place of an answer: the coordinator raised an error."""

    number: int
    reason: str
    failed: bool
    """Whether a call got no answer, which a stage may catch."""

    def error(self) -> Signal:
        error = CallFailed(self.reason, 1) if self.failed else Signal(self.reason)
        error.__dict__["number"] = self.number
        return error


@dataclass
class _FarContext:
    """What a stage in an actor has of its context."""

    said: asyncio.Queue[Asked | Ended]
    waiting: dict[int, asyncio.Future[Any]]
    wire: Wire
    sent_back: int
    threads: asyncio.Semaphore
    tally: Tally = field(default_factory=Tally)

    def epoch(self, record: str, stage: str) -> int:
        return self.sent_back

    async def call(self, role: str, model: StandIn, request: Request) -> Reply:
        reply, identity = await self._ask("call", role, model.number, request)
        self.wire.learned(model.number, identity)
        answer: Reply = reply
        return answer

    async def in_thread(self, work: Callable[..., Any], *given: Any) -> Any:
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

    async def ready(self) -> str:
        """Return where it runs, once it does."""
        return os.uname().nodename

    async def run(
        self, token: int, stage: list[Any], record: bytes, sent_back: int
    ) -> AsyncIterator[bytes]:
        """Run a stage; yield what it asks of its context, at last how it ended.

        Args:
            token: Names this run in `answer`.
            stage: A reference to the stage, which is fetched once.
            record: As the wire has it.
            sent_back: How often the record was sent back to the stage.
        """
        known = stage[0].binary()
        if known not in self._stages:
            self._stages[known] = self._wire.loads(await stage[0])
        waiting = self._waiting[token] = {}
        said: asyncio.Queue[Asked | Ended] = asyncio.Queue()
        ctx = _FarContext(said, waiting, self._wire, sent_back, self._threads)

        async def work() -> None:
            there: Any = ctx
            try:
                result = await self._stages[known].run(self._wire.loads(record), there)
                said.put_nowait(Ended(result, expected=ctx.tally.total))
            except Signal as error:
                said.put_nowait(Ended(raised=error.__dict__.get("number")))
            except VlsbenchError as error:
                said.put_nowait(Ended(wrong=str(error)))
            except Exception:
                said.put_nowait(Ended(broken=traceback.format_exc()))

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
        """Give a stage what it asked for."""
        value = self._wire.loads(answer)
        future = self._waiting.get(token, {}).get(number)
        if future is None or future.done():
            return
        if isinstance(value, Raised):
            future.set_exception(value.error())
        else:
            future.set_result(value)


class ModelActor:
    """One replica of a model."""

    def __init__(self, wire: dict[str, Any], make: bytes) -> None:
        import cloudpickle

        self._wire = Wire(**wire)
        self._model: ChatModel = cloudpickle.loads(make)()

    async def ready(self) -> str:
        """Return where it runs, once the model is loaded."""
        return os.uname().nodename

    async def ask(self, request: bytes) -> bytes:
        """Answer a request; a failed call is returned."""
        try:
            return self._wire.dumps(await self._model.ask(self._wire.loads(request)))
        except CallFailed as error:
            return self._wire.dumps((error.reason, error.attempts, error.uncounted))
