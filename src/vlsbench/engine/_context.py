"""Stages, and their only road to a model: paid once, recorded before it is believed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from vlsbench.engine._budget import Breaker, Budget, StopSignal
from vlsbench.engine._ledger import Call, Ledger
from vlsbench.models import (
    UNCOUNTED,
    CallFailed,
    ChatModel,
    FatalCall,
    Finish,
    Params,
    RecordedReplies,
    Refused,
    Reply,
    Request,
    call_key,
    unknown_mark,
)
from vlsbench.registry import guarded

if TYPE_CHECKING:
    from vlsbench.engine._batches import Batches

T = TypeVar("T")

IN_THREADS = 16
"""Pieces of blocking work under way, or done and not yet taken over."""
PROBE = "probe"
"""Role of harmless questions that find out what a model takes."""
HELLO = Request("Say hello.", params=Params(max_tokens=256, temperature=None))
"""What no server refuses: tells a key that is refused from a request that is."""


@dataclass
class Tally:
    """Running counts for whoever watches; the ledger holds the facts."""

    total: int = 0
    what: str = "pairs"
    """What is counted, in the plural."""
    done: int = 0
    calls: int = 0
    earlier: int = 0
    """Of them, those before its rate is measured."""
    reused: int = 0
    cost: float = 0.0
    cost_known: bool = True
    outcomes: Counter[str] = field(default_factory=Counter)
    """Outcome tags as the job gives them (`unscored`, `unsafe`, …)."""
    batches: Callable[[], str] = str
    """Says how batches stand."""
    note: str = ""
    """What else a person should know now."""

    def count(self, cost: float | None) -> None:
        """Count an answered call and what it cost."""
        self.calls += 1
        self.cost += cost or 0.0
        self.cost_known = self.cost_known and cost is not None


class Context(Protocol):
    """What a stage can use, wherever it runs: stages know nothing else of their run."""

    tally: Tally
    """Counted up here."""

    def epoch(self, record: str, stage: str) -> int:
        """Return how often a record was sent back to a stage: 0 on the first way through."""

    async def note(self, text: str) -> None:
        """Keep what who reads the results should know, once a run; see `Ledger.notes`."""

    async def in_thread(self, work: Callable[..., T], *given: Any) -> T:
        """Do blocking work in a thread, such as reading images.

        What is done and not yet taken over is bounded: with thousands of records under way, all
        waiting for a batch, their images would else be read faster than they are sent.
        """

    async def call(self, role: str, model: ChatModel, request: Request) -> Reply:
        """Ask a model, or return what it answered before.

        The reply is on disk when this returns. Equal questions in flight share one call.

        Raises:
            CallFailed: No answer after all retries.
            FatalCall: No request to this model can succeed.
            Halted: The run is stopping and the answer is not on record.
        """

    async def probe(self) -> None:
        """Ask the probes, in turn; one that gets no answer says nothing."""


class Probe(NamedTuple):
    """A harmless question that finds out what a model takes, before anything is bought."""

    model: ChatModel | None
    ask: Callable[[Context], Awaitable[object]]

    @classmethod
    def plain(cls, model: ChatModel, params: Params, system: str = "") -> Probe:
        """Return a question that is asked as others will be."""
        request = Request("Is a kettle hot after it has boiled?", (), system, params)
        return cls(model, lambda ctx: ctx.call(PROBE, model, request))


class RunContext(Context):
    """A run's parts, where its ledger is."""

    def __init__(
        self,
        ledger: Ledger,
        siblings: Sequence[Ledger],
        budget: Budget,
        signal: StopSignal,
        tally: Tally,
        probes: Sequence[Probe] = (),
    ) -> None:
        """Gather a run's parts; probes go to models of which it is not known what they take."""
        self.ledger = ledger
        self.signal = signal
        self.tally = tally
        self.batches: Batches | None = None
        """Take calls to models that are asked in batches."""
        self._siblings = siblings
        self._budget = budget
        self._breaker = Breaker(signal)
        self._in_flight: dict[str, asyncio.Future[Reply]] = {}
        self._places: dict[str, asyncio.Semaphore] = {}
        self._answering: dict[str, bool] = {}
        """Whether a model, by its spec, has answered since the run was started or resumed."""
        self._saying_hello = asyncio.Lock()
        self._learning = asyncio.Lock()
        self._threads = asyncio.Semaphore(IN_THREADS)
        self._noted = set(ledger.notes())
        adapted = ((getattr(probe.model, "adapted", None), probe.ask) for probe in probes)
        self._probes = [ask for ways, ask in adapted if ways and ways.learns]
        self._probing = asyncio.Lock()
        self._not_taken = ""
        """What is to be said of the last probe; it may have been asked anew without a schema."""

    def epoch(self, record: str, stage: str) -> int:
        return self.ledger.epoch(record, stage)

    async def note(self, text: str) -> None:
        if text not in self._noted:
            self._noted.add(text)
            await self.ledger.event("note", text=text)

    async def in_thread(self, work: Callable[..., T], *given: Any) -> T:
        async with self._threads:
            return await asyncio.to_thread(work, *given)

    async def call(self, role: str, model: ChatModel, request: Request) -> Reply:
        key = call_key(model.identity, request)
        if known := self.ledger.call(key):
            return known.reply
        if role != PROBE and self._probes and not self._from_siblings(key, role):
            await self.probe()
            key = call_key(model.identity, request)
            if known := self.ledger.call(key):
                return known.reply
        if twin := self._in_flight.get(key):
            return await asyncio.shield(twin)
        twin = self._in_flight[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._settle(key, role, model, request)
            await self._look_at(model, role, reply)
            twin.set_result(reply)
            return reply
        except asyncio.CancelledError:
            twin.cancel()
            raise
        except BaseException as error:
            twin.set_exception(error)
            twin.exception()  # read once: that nobody else waits for it is no fault
            raise
        finally:
            del self._in_flight[key]

    async def _settle(self, key: str, role: str, model: ChatModel, request: Request) -> Reply:
        found = self._from_siblings(key, role)
        if found is None and isinstance(model, RecordedReplies):
            reply, origin = await model.ask(request), ", ".join(model.origin)
            found = Call(key, role, model.spec, request.canonical, reply, 0.0, time.time(), origin)
        if found:
            await self.ledger.record_call(found)
            self.tally.reused += 1
            return found.reply
        if self.batches and self.batches.takes(model, key, role):
            async with self._learning:
                # Until a model has answered, it is not known what may be sent to it.
                if model.adapted.learns and not self.batches.under_way(key):
                    return await self._ordinary(key, role, model, request)
            if batched := await self.batches.ask(key, model, request, role):
                return batched
        return await self._ordinary(key, role, model, request)

    async def _ordinary(self, key: str, role: str, model: ChatModel, request: Request) -> Reply:
        async with self._place(model):
            return await self._buy(key, role, model, request)

    def _place(self, model: ChatModel) -> contextlib.AbstractAsyncContextManager[Any]:
        """Return what holds a call's place at its server until the reply is on disk.

        The connection itself is free before: without this, a slow disk would let more calls be
        asked, and lost by a kill, than are allowed in flight.
        """
        most: int | None = getattr(model, "connections", None)
        if most is None:
            return contextlib.nullcontext()
        return self._places.setdefault(model.endpoint, asyncio.Semaphore(most))

    async def _buy(self, key: str, role: str, model: ChatModel, request: Request) -> Reply:
        reserved = await self._budget.reserve(model.spec, request)
        cost = most = None
        try:
            reply = await self._ask(model, request)
            cost = self._budget.cost(model.spec, reply)
            most = self._budget.worst(model.spec, request, reply.usage) if cost is None else cost
            most += reserved * int(reply.extra.get(UNCOUNTED, 0))
        except CallFailed as error:
            most = reserved * error.uncounted
            self._breaker.note(f"{model.spec}: {error.reason}")
            await self.ledger.event(
                "unanswered", role=role, reason=error.reason, attempts=error.attempts
            )
            raise
        finally:
            self._budget.settle(reserved, most)
        if reply.finish is not Finish.FILTERED:  # which says nothing against the server
            rejected = reply.finish is Finish.REJECTED
            self._breaker.note(f"{model.spec}: {reply.detail}" if rejected else None)
        key = await self._adapted(model, key, request)
        await self.ledger.record_call(
            Call(key, role, model.spec, request.canonical, reply, cost, time.time())
        )
        self.tally.count(cost)
        return reply

    async def probe(self) -> None:
        async with self._probing:
            while self._probes:
                with contextlib.suppress(CallFailed):
                    await self._probes[0](self)
                self._probes.pop(0)
                if self._not_taken:
                    await self.note(self._not_taken)

    async def _adapted(self, model: ChatModel, key: str, request: Request) -> str:
        """Keep what was found out of a model's ways; return the call's key with it."""
        adapted = getattr(model, "adapted", None)
        if adapted is None or not adapted.changes:
            return key
        text = f"{model.spec} does not take all that is asked of it: {adapted.said}."
        if text not in self._noted:
            await self.ledger.set_meta(**{f"adapted {model.spec}": json.dumps(adapted.changes)})
            await self.note(text)
        return call_key(model.identity, request)

    async def _look_at(self, model: ChatModel, role: str, reply: Reply) -> None:
        if role == PROBE:
            said = f"{model.spec} does not take a harmless question: {reply.detail}"
            self._not_taken = said if reply.finish is Finish.REJECTED else ""
        if mark := unknown_mark(reply.text):
            await self.note(
                f"{model.spec} writes {mark}, which looks like the mark of a thought but is not "
                "known here: such replies are read whole."
            )

    async def _ask(self, model: ChatModel, request: Request) -> Reply:
        try:
            with guarded(f"model {model.spec} failed"):
                reply = await model.ask(request)
            if not isinstance(reply, Reply):
                said = f"returned {type(reply).__name__}: `ask` returns a vlsbench.models.Reply"
                raise FatalCall(f"model {model.spec} {said}")
        except Refused as refused:
            if not await self._answers(model):
                raise
            return refused.reply
        if reply.finish is not Finish.REJECTED:
            self._answering[model.spec] = True
        return reply

    async def _answers(self, model: ChatModel) -> bool:
        """Tell whether a model answers at all; ask it, where it has not since the run began."""
        async with self._saying_hello:  # one asks for all
            if model.spec not in self._answering:
                self._answering[model.spec] = False
                with contextlib.suppress(FatalCall):
                    reply = await model.ask(HELLO)
                    self._answering[model.spec] = reply.finish is not Finish.REJECTED
                    self._budget.book(self._budget.worst(model.spec, HELLO, reply.usage))
            return self._answering[model.spec]

    def _from_siblings(self, key: str, role: str) -> Call | None:
        for sibling in self._siblings:
            call = sibling.call(key)
            # What was rejected there may be mended by now.
            if call and call.reply.finish is not Finish.REJECTED:
                return replace(call, role=role, reused_from=call.reused_from or sibling.folder.name)
        return None


@dataclass(frozen=True, slots=True)
class Record:
    """What travels through stages: an id that is stable across runs, and whatever it carries."""

    id: str
    value: Any


@dataclass(frozen=True, slots=True)
class Keep:
    """Continue to the next stage with `value`; from the last stage, plain JSON for the ledger."""

    value: Any


@dataclass(frozen=True, slots=True)
class Drop:
    """The record ends here, by decision."""

    reason: str
    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quarantine:
    """The record ends here because something is wrong with it; a later run may try again."""

    reason: str
    value: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Children:
    """Other records continue in this one's place. Their ids must not depend on scheduling."""

    records: Sequence[Record]
    dropped: Sequence[tuple[str, Drop]] = ()
    """Those that do not: id and reason. Each ends in a separate outcome at this stage."""


Result = Keep | Drop | Quarantine | Children


class Stage(Protocol):
    """One step. Holds no state about records: what it must remember lies in the ledger."""

    @property
    def name(self) -> str:
        """Unique in its run."""

    @property
    def version(self) -> str:
        """Covers prompt, model and parameters: a change makes old outcomes stale."""

    async def run(self, record: Record, ctx: Context) -> Result:
        """Decide about one record. Every model call goes through `ctx.call`."""
