"""What passes, and how long a question is asked again because of it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    import tenacity

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
    started, faults = time.monotonic(), 0
    # The first attempt is made before tenacity, which costs a quarter of an instant answer.
    try:
        return await ask()
    except Passing as error:
        first = [error]
    import tenacity

    async def again() -> T:
        if first:
            raise first.pop()
        return await ask()

    def failure(state: tenacity.RetryCallState) -> Passing | None:
        error = state.outcome.exception() if state.outcome else None
        return error if isinstance(error, Passing) else None

    def stop(state: tenacity.RetryCallState) -> bool:
        nonlocal faults
        overload = (error := failure(state)) is not None and error.overload
        faults += not overload
        late = overload and time.monotonic() - started > backoff.overload_s
        return late or faults > retries

    pause = tenacity.wait_exponential(
        multiplier=backoff.first_s, max=backoff.most_s
    ) + tenacity.wait_random(0, backoff.first_s)

    def wait(state: tenacity.RetryCallState) -> float:
        error = failure(state)
        after = error.after_s if error else None
        return pause(state) if after is None else after + pause(state) / 10

    retrying = tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Passing), stop=stop, wait=wait, reraise=True
    )
    return await retrying(again)


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
