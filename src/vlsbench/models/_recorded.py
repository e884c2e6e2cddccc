"""Replies that exist already, as a chat model that is never asked anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vlsbench.models._chat import CallFailed, Reply, Request


@dataclass(frozen=True, kw_only=True)
class RecordedReplies:
    """Replies made elsewhere; implements `ChatModel`.

    They are found by the record that a request names (`Request.record`), not by its content: two
    pairs that ask the same keep the replies that each was given. A run takes them over as it does
    those of another run: no call is counted, nothing is paid, no key is needed.
    """

    spec: str
    """The model that gave them."""
    replies: Mapping[str, Reply]
    """Record (a pair's id; `id#sample` where a pair has several replies) → reply."""
    origin: Mapping[str, str]
    """Name of the file or run that they come from → SHA-256, hex."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Record → why it has no reply. Its pair is unscored, as `reply_missing`."""
    notes: Sequence[str] = ()
    """What a reader of the results should know about them."""
    endpoint: str = "recorded"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Where they come from, with the digests."""
        return {"kind": "replies", "name": self.spec, "files": dict(self.origin)}

    async def ask(self, request: Request) -> Reply:
        """Return the reply of the request's record.

        Raises:
            CallFailed: There is none.
        """
        if reply := self.replies.get(request.record):
            return reply
        raise CallFailed(self.missing.get(request.record, "no reply on record"), 0)

    async def close(self) -> None:
        """Nothing is held open."""
