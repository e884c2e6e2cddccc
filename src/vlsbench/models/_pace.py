"""How servers are treated: requests at a time and a minute, and when one is asked again."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial

import msgspec
from filelock import FileLock

from vlsbench.config import Connection
from vlsbench.errors import Halted
from vlsbench.files import cache_folder
from vlsbench.models._chat import Usage

SHRINK_PAUSE_S = 1.0
"""Overload answers within this time of the last cut are the same event."""
MAX_RETRY_AFTER_S = 300.0
NO_RETRY_AFTER_S = 86_400.0
"""A server that asks for more than a day has a wrong clock."""
FOLDER = "rates"
"""In the user's cache: when each bucket will be full again. Holds no key and no text."""
MINUTE = 60.0
GIVEN_BURST_S = 1.0
"""What may be asked at once under a given limit, as time at the limit; servers' own limits let a
whole minute's requests go at once, and so do we where they tell."""
MOST_AHEAD_S = 600.0
"""A bucket that is to be full so much later than its largest request makes it was left by a wrong
clock, or a wrong count."""
MOST_SHARE = 4.0
"""How much more than the most that was reckoned a server may count for a request: images, say."""
LOOK_AGAIN_S = 0.5
"""How often who waits looks whether others gave back, or its run is stopping."""
KINDS = ("requests", "tokens")

LEAVING: ContextVar[asyncio.Event | None] = ContextVar("leaving", default=None)
"""Set, by the run that asks, where nothing more is to be sent."""


def is_leaving() -> bool:
    """Tell whether the run that asks sends nothing more."""
    return (leaving := LEAVING.get()) is not None and leaving.is_set()


async def pause(seconds: float) -> None:
    """Wait. Raises `Halted` as soon as the run that asks sends nothing more."""
    if (leaving := LEAVING.get()) is None:
        await asyncio.sleep(seconds)
        return
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(leaving.wait(), seconds)
        raise Halted


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
            while (wait := self._closed_until - time.monotonic()) > 0:
                await pause(wait)
        except (asyncio.CancelledError, Halted):
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


class SharedPace:
    """The pace of one model: waits before a request that would exceed it.

    The scheme is the generic cell rate algorithm (ITU-T I.371, annex A): a file keeps one moment a
    bucket.
    """

    def __init__(self, connection: Connection, *name: str | None) -> None:
        """Take the settings, and what tells the model: address, key, spec.

        A limit that is not set is what the server tells, or none.
        """
        told = zip(KINDS, (connection.rpm, connection.tpm), strict=True)
        self._given = {kind: (most, GIVEN_BURST_S) for kind, most in told if most}
        self._limits = dict(self._given)
        told_apart = hashlib.sha256(repr(name).encode()).hexdigest()[:16]
        self._file = cache_folder() / FOLDER / f"{told_apart}.json"
        self._full: dict[str, float] = {}
        self._largest = 0.0
        """The longest that one request has taken of a bucket, in seconds."""
        self._share = 1.0
        """Of the most tokens that a request can take, what is counted for it."""
        self._turn = asyncio.Lock()

    async def take(self, tokens: int) -> float:
        """Wait until a request of so many tokens at most may be sent; return how many are counted.

        Raises `Halted` where the run that asks is stopping: it is not to be sent.
        """
        async with self._turn:
            while not is_leaving():
                counted = tokens * self._share
                if (wait := self._wait("requests", 1)) <= 0:
                    if (wait := self._wait("tokens", counted)) <= 0:
                        return counted
                    self._return("requests", 1)
                await pause(min(wait, LOOK_AGAIN_S))
            raise Halted

    def _wait(self, kind: str, amount: float) -> float:
        """Take from a bucket and return 0, or return after how many seconds to try again."""
        if (limit := self._limits.get(kind)) is None:
            return 0.0
        most, burst = limit
        takes, now = amount * MINUTE / most, time.time()
        # What takes more than the bucket holds goes when the bucket is full.
        last = now + max(0.0, burst - takes)

        self._largest = max(self._largest, takes)
        ahead = MOST_AHEAD_S + self._largest

        def full(at: float) -> float:
            return max(at, now) if at <= now + ahead else now

        at = self._change(kind, lambda at: full(at) + takes if full(at) <= last else at)
        return max(0.0, full(at) - last)

    def give_back(self, most: float, taken: float, usage: Usage) -> None:
        """Return what was counted for a request that could take `most`, and was not used."""
        if usage.input_tokens is not None and usage.output_tokens is not None:
            used = usage.input_tokens + usage.output_tokens
            self._return("tokens", taken - used)
            # Rises at once: the requests in flight together are not to exceed the limit.
            share = min(MOST_SHARE, used / most)
            self._share = max(share, (self._share + share) / 2)

    def _return(self, kind: str, amount: float) -> None:
        if limit := self._limits.get(kind):
            self._change(kind, lambda at: at - amount * MINUTE / limit[0])

    def learn(self, headers: Mapping[str, str]) -> None:
        """Read what the server says of its limits, where none is given.

        Source: https://platform.openai.com/docs/guides/rate-limits, *Rate limits in headers*; a
        bucket refills by its limit within a minute.
        """
        for kind in KINDS:
            try:
                most = float(headers[f"x-ratelimit-limit-{kind}"])
                left = float(headers[f"x-ratelimit-remaining-{kind}"])
            except (KeyError, ValueError):
                continue
            if kind in self._given or not 1 <= most < float("inf") or not 0 <= left <= most:
                continue
            self._limits[kind] = (most, MINUTE)
            # Others, on other machines too, may have taken more than is written here.
            full = time.time() + (most - left) * MINUTE / most
            self._change(kind, partial(max, full))

    def _change(self, kind: str, change: Callable[[float], float]) -> float:
        """Change when a bucket will be full, for all processes; return when it was to be."""
        with contextlib.ExitStack() as locked:
            # Not there yet, broken, or where nobody may write: this process keeps its own pace.
            with contextlib.suppress(OSError, ValueError, NotImplementedError):
                self._file.parent.mkdir(parents=True, exist_ok=True)
                locked.enter_context(FileLock(f"{self._file}.lock", poll_interval=0.001))
                self._full = msgspec.json.decode(self._file.read_bytes(), type=dict[str, float])
            before = self._full.get(kind, 0.0)
            if (after := change(before)) != before:
                self._full[kind] = after
                with contextlib.suppress(OSError):  # of a full disk, say
                    self._file.write_text(json.dumps(self._full))
        return before

    def close(self) -> None:
        """Let another event loop use the pace."""
        self._turn = asyncio.Lock()
