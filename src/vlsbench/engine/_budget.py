"""What stops a run: its budget, a server whose calls mostly fail, whoever asks it to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

from vlsbench.config import Budget as BudgetSettings
from vlsbench.config import Limits
from vlsbench.errors import Halted as Halted
from vlsbench.errors import VlsbenchError
from vlsbench.models import (
    BATCH_PRICE,
    BATCHED,
    Price,
    Reply,
    Request,
    Usage,
    most_tokens,
)
from vlsbench.text import counted

BREAKER_WINDOW = 40
BREAKER_LEAST = 20
BREAKER_SHARE = 0.5
BREAKER_IN_A_ROW = 10
INTERRUPTED = "interrupted"
"""Reason of a run that a person stopped."""


class StopSignal:
    """Why and whether a run is stopping; the first reason stands."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.error: VlsbenchError | None = None
        self.leaving = asyncio.Event()
        """Set where also what waits for its model's pace is not to be sent."""
        self.interrupted = asyncio.Event()
        """Set once a person stopped the run, whatever else did before."""
        self._event = asyncio.Event()

    def __bool__(self) -> bool:
        return self.reason is not None

    def stop(self, reason: str, error: VlsbenchError | None = None, *, spent: bool = False) -> None:
        """Ask everybody to make no new call; those that a spent budget has room for are made."""
        if not spent:
            self.leaving.set()
        if reason == INTERRUPTED:
            self.interrupted.set()
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
        failed, seen = sum(self._recent), len(self._recent)
        often = seen >= BREAKER_LEAST and failed > BREAKER_SHARE * seen
        if often or self._in_a_row >= BREAKER_IN_A_ROW:
            self._signal.stop(
                f"too many calls fail ({failed} of the last {seen}; the last one: {failure})"
            )


@dataclass
class CostBudget:
    """What one invocation may spend and has spent; all its jobs book here."""

    settings: BudgetSettings = field(default_factory=BudgetSettings)
    calls: int = 0
    cost: float = 0.0
    """US dollars spent."""

    @classmethod
    def of(cls, budget: Limits | CostBudget | None) -> CostBudget:
        """Start a budget of some settings; one that is being spent is returned as it is."""
        if isinstance(budget, CostBudget):
            return budget
        if budget is None or isinstance(budget, BudgetSettings):
            return cls(budget or BudgetSettings())
        return cls(BudgetSettings(max_calls=budget.max_calls, max_cost=budget.max_cost))

    def need_prices(self, prices: Mapping[str, Price | None], remedy: str) -> None:
        """Raise `VlsbenchError` where a cost is limited and a model's price is unknown."""
        unknown = [name for name, price in prices.items() if price is None]
        if self.settings.max_cost is not None and unknown:
            raise VlsbenchError(
                f"--max-cost needs a price, and the price of {', '.join(unknown)} is unknown: "
                f"{remedy}, or use --max-calls"
            )


class Budget:
    """Bounds what a job spends; calls in flight count with the most they can cost."""

    def __init__(
        self, signal: StopSignal, spending: CostBudget, prices: Mapping[str, Price | None]
    ) -> None:
        self._signal = signal
        self._spending = spending
        self._prices = prices
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
        asked, wrote = most_tokens(request)
        if usage and usage.input_tokens is not None:
            asked = usage.input_tokens
        if usage and usage.output_tokens is not None:
            wrote = usage.output_tokens
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
        worst, spending = share * self.worst(spec, request), self._spending
        most_calls, most = spending.settings.max_calls, spending.settings.max_cost
        while True:
            if self._signal:
                raise Halted
            if most_calls is not None and spending.calls >= most_calls:
                self._signal.stop(
                    f"the budget of {counted(most_calls, 'call')} is used", spent=True
                )
                raise Halted
            if most is None or spending.cost + self._reserved + worst <= most:
                break
            if self._reserved == 0.0:
                told = f"{most:.2f}" if most == round(most, 2) else f"{most:g}"
                self._signal.stop(
                    f"the budget of ${told} leaves no room for another call "
                    f"(spent ${spending.cost:.4f}; the next may cost ${worst:.4f})",
                    spent=True,
                )
                raise Halted
            self._freed.clear()
            await self._freed.wait()
        spending.calls += 1
        self._reserved += worst
        return worst

    def book(self, cost: float) -> None:
        """Count a call that no room was taken for."""
        self._spending.calls += 1
        self._spending.cost += cost

    def settle(self, reserved: float, cost: float | None) -> None:
        """Give the room back and book what the call cost, at most; None where it was not made."""
        self._spending.calls -= cost is None
        self._reserved = max(0.0, self._reserved - reserved)
        if self._reserved < 1e-12:
            self._reserved = 0.0
        self._spending.cost += cost or 0.0
        self._freed.set()
