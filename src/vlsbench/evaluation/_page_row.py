"""One pair of a run, as the gallery shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from vlsbench.judge import Label


def _no_image() -> bytes | None:
    return None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A pair with what was sent, what came back and what the judge said of it."""

    id: str
    category: str
    subcategory: str
    harmful: bool
    query: str
    shown: str
    """The text that was sent; differs from the query under some views."""
    reply: str
    label: Label
    reasoning: str = ""
    """Thinking that the server reported apart from the reply; never judged."""
    reason: str = ""
    """Why an unscored pair has no label."""
    explanation: str = ""
    """Of the judge."""
    finish: str = ""
    """Why the model stopped."""
    cut: bool = False
    """The reply was cut off at the length limit."""
    latency_s: float | None = None
    image_ref: str = ""
    """Name of the pair's image; empty where it has none."""
    thumbnail: Callable[[], bytes | None] = field(default=_no_image, repr=False, compare=False)
    """Reads the original image's bytes; called only for the rows that the gallery shows, and
    from several threads."""
