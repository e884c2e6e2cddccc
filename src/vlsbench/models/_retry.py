"""What passes, and how long a question is asked again because of it."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeVar

T = TypeVar("T")

MAX_RETRY_AFTER_S = 300.0
NO_RETRY_AFTER_S = 86_400.0
"""A server that asks for more than a day has a wrong clock."""


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
    started, faults, pause = time.monotonic(), 0, backoff.first_s
    while True:
        try:
            return await ask()
        except Passing as error:
            faults += not error.overload
            late = error.overload and time.monotonic() - started > backoff.overload_s
            if late or faults > retries:
                raise
            wait = pause + random.uniform(0, backoff.first_s)
            if error.after_s is not None:
                wait = error.after_s + wait / 10
        await asyncio.sleep(wait)
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
