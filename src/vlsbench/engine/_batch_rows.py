"""Batches as they stand in a run's ledger, and while they are on their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any, BinaryIO

from vlsbench.engine._ledger import Ledger, reply_to_json
from vlsbench.engine._writer import Statement
from vlsbench.models import BatchApi, BatchState, HttpChat, Reply
from vlsbench.text import counted

PREPARED, UPLOADED, MERGED, UNSENT, GONE = "prepared", "uploaded", "merged", "not sent", "gone"
"""States of a batch beside its provider's own."""
OVER = (MERGED, UNSENT, GONE, "failed")
"""States of a batch that nobody follows."""
PAUSE_S = 2.0
"""Between two looks at a batch, where --batch is not given any more."""
LISTED_S, LISTED_POLLS = 120.0, 4
"""How long a server may take to list a batch whose creation got no answer, before another is
created; with --batch, in pauses between two looks, two minutes by default."""


@dataclass(frozen=True, slots=True)
class BatchRow:
    """A batch as it stands in the ledger."""

    name: str
    model: str
    state: str
    requests: int
    file: str | None = None
    remote: str | None = None
    answered: int = 0
    failed: int = 0
    at: float = 0.0
    detail: str = ""

    def statements(self) -> tuple[Statement, ...]:
        """Write it in place of what was written of it; once it is over, forget what it asked."""
        marks = ", ".join("?" * len(astuple(self)))
        write = Statement(f"INSERT OR REPLACE INTO batches VALUES ({marks})", astuple(self))
        forget = Statement("DELETE FROM batched WHERE batch = ?", (self.name,))
        return (write, forget) if self.state in OVER else (write,)

    def answer(self, key: str, reply: Reply, cost: float | None) -> Statement:
        """Record an answer to one of its requests as a call; what was asked is copied."""
        values = (self.model, reply_to_json(reply), cost, time.time(), self.name)
        return Statement(
            "INSERT OR IGNORE INTO calls SELECT key, role, ?, request, ?, ?, ?, NULL FROM batched "
            "WHERE batch = ? AND key = ?",
            (*values, bytes.fromhex(key)),
        )

    def now(self, state: str, **more: Any) -> BatchRow:
        """Return it in a state that begins now."""
        return replace(self, state=state, at=time.time(), **more)

    def told(self, state: BatchState) -> BatchRow:
        """Return it with what its provider says; itself where that is nothing new."""
        counts = {"answered": state.count("completed"), "failed": state.count("failed")}
        row = self.now(state.status, remote=state.id, detail=state.detail, **counts)
        return self if row == replace(self, at=row.at) else row


class Batch:
    """A batch on its way."""

    def __init__(self, row: BatchRow, model: HttpChat, keys: Iterable[str] = ()) -> None:
        self.row = row
        self.model = model
        self.api = BatchApi(model)
        self.keys = set(keys)
        self.asked: list[Statement] = []
        """Record what it asks."""
        self.over = asyncio.Event()
        self.again = False
        """It ended before all were answered: what is left goes into another."""
        self.file: BinaryIO | None = None
        """Open while calls join; a batch of an earlier process has none."""
        self.size = 0
        self.full = asyncio.Event()
        """No call joins it any more."""
        self.timer: asyncio.TimerHandle | None = None
        settings = model.batching
        self.poll_s = settings.batch_poll_s if settings else PAUSE_S
        self._listed_s = LISTED_POLLS * self.poll_s if settings else LISTED_S

    async def found(self, since: float) -> BatchState | None:
        """Look for it in the server's list, with growing pauses while it may not be there yet.

        Args:
            since: When its creation may have been asked for last (Unix time).
        """
        pause = self.poll_s / 8
        while not (made := await self.api.find(self.row.name)):
            if time.time() > since + self._listed_s:
                return None
            await asyncio.sleep(pause)
            pause *= 2
        return made


def read_batches(ledger: Ledger) -> list[BatchRow]:
    """Return a run's batches, the one that changed last at the end."""
    if not ledger.rows("SELECT 1 FROM sqlite_master WHERE name = 'batches'"):
        return []  # a run of an earlier version
    return [BatchRow(*row) for row in ledger.rows("SELECT * FROM batches ORDER BY rowid")]


def describe(rows: Iterable[BatchRow]) -> str:
    """Say how batches at providers stand; empty where there are none."""
    sent = [row for row in rows if row.remote and row.state not in OVER]
    asked, answered = sum(row.requests for row in sent), sum(row.answered for row in sent)
    out, of = counted(len(sent), "batch"), counted(asked, "request")
    trouble = next((f" ({row.detail})" for row in sent if row.detail), "")
    return f"{out} at the provider: {answered:,} of {of} answered{trouble}" if sent else ""
