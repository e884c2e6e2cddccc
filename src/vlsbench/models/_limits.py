"""How many requests a server is given at a time: learned from what it answers."""

from __future__ import annotations

import asyncio
import time
from collections import deque

GROW_AFTER = 1.0
"""One more connection after this many times the present limit of good answers."""
SHRINK = 0.5
"""Share of the limit that is left after the server said that it is overloaded."""
SHRINK_PAUSE_S = 1.0
"""Overload answers within this time of the last cut are the same event."""


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
        await self._enter()
        try:
            # Nobody else could use the place meanwhile: the server asked all to stay away.
            while (wait := self._closed_until - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
        except asyncio.CancelledError:
            self._leave()
            raise

    async def _enter(self) -> None:
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    async def __aexit__(self, *_: object) -> None:
        self._leave()

    def _leave(self) -> None:
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
            self.limit = min(float(self.most), self.limit + GROW_AFTER / self.limit)
            self._admit()

    def overloaded(self, retry_after_s: float | None) -> None:
        """The server said 429 or 503: ask for less, and for nothing before `retry_after_s`."""
        now = time.monotonic()
        if retry_after_s:
            self._closed_until = max(self._closed_until, now + retry_after_s)
        if now - self._cut_at >= SHRINK_PAUSE_S:
            self._cut_at = now
            self.limit = max(1.0, self.limit * SHRINK)
