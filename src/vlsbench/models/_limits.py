"""How servers are treated: how many requests one is given at a time, and when it is asked again."""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

T = TypeVar("T")

SHRINK_PAUSE_S = 1.0
"""Overload answers within this time of the last cut are the same event."""
MAX_RETRY_AFTER_S = 300.0
NO_RETRY_AFTER_S = 86_400.0
"""A server that asks for more than a day has a wrong clock."""


class Limiter:
    """Additive increase, multiplicative decrease of the requests in flight at one server.

    The scheme is TCP's (Chiu and Jain 1989): halve on 429 or 503, add one per round of good
    answers. The server's Retry-After holds everybody back, not only the request that met it.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.limit = float(most)
        self.in_flight = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._cut_at = float("-inf")
        self._closed_until = 0.0

    async def __aenter__(self) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
            # Nobody else could use the place meanwhile: the server asked all to stay away.
            while (wait := self._closed_until - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            if not turn.cancelled():
                await self.__aexit__()
            raise

    async def __aexit__(self, *_: object) -> None:
        self.in_flight -= 1
        self._admit()

    def _admit(self) -> None:
        while self._waiting and self.in_flight < int(self.limit):
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    def good(self) -> None:
        """Count a good answer."""
        if self.limit < self.most:
            self.limit = min(float(self.most), self.limit + 1 / self.limit)
            self._admit()

    def overloaded(self, retry_after_s: float | None) -> None:
        """The server said 429 or 503: ask for less, and for nothing before `retry_after_s`."""
        now = time.monotonic()
        if retry_after_s:
            self._closed_until = max(self._closed_until, now + retry_after_s)
        if now - self._cut_at >= SHRINK_PAUSE_S:
            self._cut_at = now
            self.limit = max(1.0, self.limit / 2)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses before a question is asked again."""

    first_s: float = 0.5
    """Doubled each time; as much jitter is added."""
    most_s: float = 30.0
    overload_s: float = 900.0
    """How long a question is asked again after 429 or 503, which say nothing against it."""


class Passing(Exception):
    """A fault that may be gone next time."""

    def __init__(
        self,
        reason: str,
        *,
        overload: bool = False,
        after_s: float | None = None,
        uncounted: bool = False,
    ) -> None:
        super().__init__(reason)
        self.overload = overload
        self.after_s = after_s
        self.uncounted = uncounted
        """Whether the provider may charge for it."""


async def until_answered(ask: Callable[[], Awaitable[T]], retries: int, backoff: Backoff) -> T:
    """Ask until there is an answer: faults are bounded by number, overload by time.

    Raises:
        Passing: The last fault.
    """
    began, faults, pause = time.monotonic(), 0, backoff.first_s
    while True:
        try:
            return await ask()
        except Passing as error:
            faults += not error.overload
            late = error.overload and time.monotonic() - began > backoff.overload_s
            if late or faults > retries:
                raise
            await asyncio.sleep((error.after_s or pause) + random.uniform(0, backoff.first_s))
            pause = min(2 * pause, backoff.most_s)


def retry_after(value: str | None) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    # Neither what is over nor what is no number says when to come back.
    return min(seconds, MAX_RETRY_AFTER_S) if 0 < seconds <= NO_RETRY_AFTER_S else None
