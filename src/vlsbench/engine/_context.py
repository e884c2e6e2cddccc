"""Stages, and their only road to a model: paid once, recorded before it is believed."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from vlsbench.engine._ledger import Call, Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.models import (
    UNCOUNTED,
    CallFailed,
    ChatModel,
    FatalCall,
    Finish,
    Params,
    Price,
    Refused,
    Reply,
    Request,
    Usage,
    call_key,
    image_tokens,
    text_tokens,
    unknown_mark,
)

BREAKER_WINDOW = 40
BREAKER_LEAST = 20
BREAKER_SHARE = 0.5
BREAKER_IN_A_ROW = 10
UNKNOWN_IMAGE_TOKENS = image_tokens(2048, 2048)
HELLO = Request("Say hello.", params=Params(max_tokens=256, temperature=None))
"""What no server refuses: tells a key that is refused from a request that is."""


class Halted(Exception):
    """No new call is made: the run is stopping. The record stays open."""


class StopSignal:
    """Why and whether a run is stopping; the first reason stands."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.error: VlsbenchError | None = None
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self.reason is not None

    def stop(self, reason: str, error: VlsbenchError | None = None) -> None:
        """Ask everybody to make no new call."""
        if self.reason is None:
            self.reason, self.error = reason, error
        self._event.set()

    async def wait(self) -> None:
        """Return when the run is asked to stop."""
        await self._event.wait()


class Breaker:
    """Stops a run whose calls mostly fail, so that a dead server does not eat a benchmark."""

    def __init__(self, signal: StopSignal) -> None:
        self._signal = signal
        self._recent: deque[bool] = deque(maxlen=BREAKER_WINDOW)
        self._in_a_row = 0

    def note(self, failure: str | None) -> None:
        """Count one call: None for an answer, else what went wrong."""
        self._recent.append(failure is not None)
        if failure is None:
            self._in_a_row = 0
            return
        self._in_a_row += 1
        often = len(self._recent) >= BREAKER_LEAST and sum(self._recent) > BREAKER_SHARE * len(
            self._recent
        )
        if often or self._in_a_row >= BREAKER_IN_A_ROW:
            self._signal.stop(
                f"too many calls fail ({sum(self._recent)} of the last {len(self._recent)}; "
                f"the last one: {failure})"
            )


class Budget:
    """Bounds what one invocation spends; calls in flight count with the most they can cost."""

    def __init__(
        self,
        signal: StopSignal,
        max_calls: int | None,
        max_cost: float | None,
        prices: Mapping[str, Price | None],
    ) -> None:
        self._signal = signal
        self._max_calls = max_calls
        self._max_cost = max_cost
        self._prices = prices
        self.calls = 0
        self.spent = 0.0
        self._reserved = 0.0
        self._freed = asyncio.Event()

    def cost(self, spec: str, reply: Reply) -> float | None:
        """Price an answered call."""
        price = self._prices.get(spec)
        return price.cost(reply.usage) if price else None

    def worst(self, spec: str, request: Request, usage: Usage | None = None) -> float:
        """Return the most that a call can cost, given what of it was counted."""
        price = self._prices.get(spec)
        if price is None:
            return 0.0
        usage = usage or Usage()
        asked, wrote = usage.input_tokens, usage.output_tokens
        if asked is None:
            asked = text_tokens(2 * len(request.text + request.system))
            asked += UNKNOWN_IMAGE_TOKENS * len(request.images)
        if wrote is None:
            wrote = request.params.max_tokens
        return price.cost(Usage(asked, wrote)) or 0.0

    async def reserve(self, spec: str, request: Request) -> float:
        """Take room for one call, waiting for calls in flight where they may leave some.

        Raises:
            Halted: The budget is spent; the run is asked to stop.
        """
        worst = self.worst(spec, request)
        while True:
            if self._signal:
                raise Halted
            if self._max_calls is not None and self.calls >= self._max_calls:
                self._signal.stop(f"the budget of {self._max_calls:,} calls is used")
                raise Halted
            if self._max_cost is None or self.spent + self._reserved + worst <= self._max_cost:
                break
            if self._reserved == 0.0:
                self._signal.stop(
                    f"the budget of ${self._max_cost:.2f} leaves no room for another call "
                    f"(spent ${self.spent:.4f}; the next may cost ${worst:.4f})"
                )
                raise Halted
            self._freed.clear()
            await self._freed.wait()
        self.calls += 1
        self._reserved += worst
        return worst

    def settle(self, reserved: float, cost: float) -> None:
        """Give the room back and book what the call cost, at most."""
        self._reserved = max(0.0, self._reserved - reserved)
        if self._reserved < 1e-12:
            self._reserved = 0.0
        self.spent += cost
        self._freed.set()


@dataclass
class Tally:
    """Running counts for whoever watches; the ledger holds the facts."""

    total: int = 0
    what: str = "pairs"
    """What is counted, in the plural."""
    done: int = 0
    calls: int = 0
    reused: int = 0
    cost: float = 0.0
    cost_known: bool = True
    outcomes: Counter[str] = field(default_factory=Counter)
    """Outcome tags as the job gives them (`unscored`, `unsafe`, …)."""
    note: str = ""
    """What else a person should know now."""


class Context:
    """What a stage can use: recorded calls, and how often its record was sent back."""

    def __init__(
        self,
        ledger: Ledger,
        siblings: Sequence[Ledger],
        budget: Budget,
        signal: StopSignal,
        tally: Tally,
    ) -> None:
        """Gather a run's parts.

        Args:
            ledger: Open for writing.
            siblings: Other runs whose recorded calls can be reused.
            budget: Bounds new calls.
            signal: Says when to make no new call.
            tally: Counted up here.
        """
        self.ledger = ledger
        self.signal = signal
        self.tally = tally
        self._siblings = siblings
        self._budget = budget
        self._breaker = Breaker(signal)
        self._in_flight: dict[str, asyncio.Future[Reply]] = {}
        self._answering: dict[str, bool] = {}
        """Whether a model, by its spec, has answered since the run was started or resumed."""
        self._saying_hello = asyncio.Lock()
        self._noted = set(ledger.notes())

    def epoch(self, record: str, stage: str) -> int:
        """Return how often a record was sent back to a stage: 0 on the first way through."""
        return self.ledger.epoch(record, stage)

    async def note(self, text: str) -> None:
        """Keep what who reads the results should know, once a run; see `Ledger.notes`."""
        if text not in self._noted:
            self._noted.add(text)
            await self.ledger.event("note", text=text)

    async def call(self, role: str, model: ChatModel, request: Request) -> Reply:
        """Ask a model, or return what it answered before.

        The reply is on disk when this returns. Equal questions in flight share one call.

        Raises:
            CallFailed: No answer after all retries.
            FatalCall: No request to this model can succeed.
            Halted: The run is stopping and the answer is not on record.
        """
        key = call_key(model.identity, request)
        if known := self.ledger.call(key):
            return known.reply
        if twin := self._in_flight.get(key):
            return await asyncio.shield(twin)
        twin = self._in_flight[key] = asyncio.get_running_loop().create_future()
        try:
            reply = await self._settle(key, role, model, request)
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
        if found := self._from_siblings(key, role):
            await self.ledger.record_call(found)
            self.tally.reused += 1
            await self._look_at(model, found.reply)
            return found.reply
        reserved = await self._budget.reserve(model.spec, request)
        cost, most = None, 0.0
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
        await self.ledger.record_call(
            Call(key, role, model.spec, request.rendered(), reply, cost, time.time()),
            rendered=request.canonical,
        )
        await self._look_at(model, reply)
        self.tally.calls += 1
        self.tally.cost += cost or 0.0
        self.tally.cost_known = self.tally.cost_known and cost is not None
        return reply

    async def _look_at(self, model: ChatModel, reply: Reply) -> None:
        if mark := unknown_mark(reply.text):
            await self.note(
                f"{model.spec} writes {mark}, which looks like the mark of a thought but is not "
                "known here: such replies are read whole."
            )

    async def _ask(self, model: ChatModel, request: Request) -> Reply:
        try:
            reply = await model.ask(request)
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
                    self._budget.calls += 1
                    self._budget.settle(0.0, self._budget.worst(model.spec, HELLO, reply.usage))
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
