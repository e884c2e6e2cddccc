"""What passes, and how long a question is asked again because of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tenacity

MAX_RETRY_AFTER_S = 300.0
NO_RETRY_AFTER_S = 86_400.0
"""A server that asks for more than a day has a wrong clock."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a question is asked again."""

    timeout_s: float = 300.0
    """For one request, connection to last byte."""
    retries: int = 6
    """After faults: resets, time-outs, 5xx, answers that are no JSON."""
    overload_s: float = 900.0
    """After the first 429 or 503, which say nothing against the question."""
    backoff_s: float = 0.5
    """First pause, doubled each time, with as much jitter."""
    max_backoff_s: float = 30.0


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


def retrying(patience: RetryPolicy, started: float) -> tenacity.AsyncRetrying:
    """Return what asks again: faults are bounded by number, overload by time since `started`."""
    import tenacity

    faults = 0

    def failure(state: tenacity.RetryCallState) -> BaseException | None:
        return state.outcome.exception() if state.outcome else None

    def stop(state: tenacity.RetryCallState) -> bool:
        nonlocal faults
        error = failure(state)
        overload = isinstance(error, Passing) and error.overload
        faults += not overload
        late = overload and time.monotonic() - started > patience.overload_s
        return late or faults > patience.retries

    backoff = tenacity.wait_exponential(
        multiplier=patience.backoff_s, max=patience.max_backoff_s
    ) + tenacity.wait_random(0, patience.backoff_s)

    def wait(state: tenacity.RetryCallState) -> float:
        error = failure(state)
        after = error.after_s if isinstance(error, Passing) else None
        return backoff(state) if after is None else after + backoff(state) / 10

    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Passing), stop=stop, wait=wait, reraise=True
    )


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
