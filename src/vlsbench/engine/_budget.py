"""What stops a run: its budget, a server whose calls mostly fail, whoever asks it to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from vlsbench.errors import Signal, VlsbenchError
from vlsbench.models import (
    BATCH_PRICE,
    BATCHED,
    Price,
    Reply,
    Request,
    Usage,
    image_tokens,
    text_tokens,
)
from vlsbench.text import counted

BREAKER_WINDOW = 40
BREAKER_LEAST = 20
BREAKER_SHARE = 0.5
BREAKER_IN_A_ROW = 10
INTERRUPTED = "interrupted"
"""Reason of a run that a person stopped."""
UNKNOWN_IMAGE_TOKENS = image_tokens(2048, 2048)


class Halted(Signal):
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
        """Price an answered call; None where that is unknown."""
        price = self._prices.get(spec)
        cost = price.cost(reply.usage) if price else None
        return cost * BATCH_PRICE if cost and BATCHED in reply.extra else cost

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
            wrote = request.params.most_tokens
        return price.cost(Usage(asked, wrote)) or 0.0

    async def reserve(self, spec: str, request: Request, share: float = 1.0) -> float:
        """Take room for one call, waiting for calls in flight where they may leave some.

        Args:
            spec: The model's.
            request: What is asked.
            share: Of the price, that the call costs.

        Raises:
            Halted: The budget is spent; the run is asked to stop.
        """
        worst = share * self.worst(spec, request)
        while True:
            if self._signal:
                raise Halted
            if self._max_calls is not None and self.calls >= self._max_calls:
                self._signal.stop(f"the budget of {counted(self._max_calls, 'call')} is used")
                raise Halted
            if self._max_cost is None or self.spent + self._reserved + worst <= self._max_cost:
                break
            if self._reserved == 0.0:
                most = self._max_cost
                told = f"{most:.2f}" if most == round(most, 2) else f"{most:g}"
                self._signal.stop(
                    f"the budget of ${told} leaves no room for another call "
                    f"(spent ${self.spent:.4f}; the next may cost ${worst:.4f})"
                )
                raise Halted
            self._freed.clear()
            await self._freed.wait()
        self.calls += 1
        self._reserved += worst
        return worst

    def settle(self, reserved: float, cost: float | None) -> None:
        """Give the room back and book what the call cost, at most; None where it was not made."""
        self.calls -= cost is None
        self._reserved = max(0.0, self._reserved - reserved)
        if self._reserved < 1e-12:
            self._reserved = 0.0
        self.spent += cost or 0.0
        self._freed.set()
