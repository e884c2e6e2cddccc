"""Batches as they stand in a run's ledger, and while they are on their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import astuple, dataclass, replace
from typing import Any, BinaryIO, TypeVar

from vlsbench.engine._ledger import Ledger, reply_to_json
from vlsbench.engine._writer import Statement
from vlsbench.errors import Stopped
from vlsbench.models import BatchApi, BatchState, Denied, FatalCall, HttpChat, Passing, Reply
from vlsbench.text import counted

T = TypeVar("T")

PREPARED, CREATING, MERGED, UNSENT, GONE = "prepared", "creating", "merged", "not sent", "gone"
"""States of a batch beside its provider's own; `creating` was `uploaded` in earlier versions."""
OVER = (MERGED, UNSENT, GONE, "failed")
"""States of a batch that nobody follows."""
THERE_S = 3600.0
"""How long a server may deny a batch, or answers, that are there (anthropic-sdk-python #1432)."""
PAUSE_S = 2.0
"""Between two looks at a batch, where --batch is not given any more."""


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
        """Return it with what its provider says; `at` is when it was last heard of."""
        counts = {"answered": state.count("completed"), "failed": state.count("failed")}
        return self.now(state.status, remote=state.id, detail=state.detail, **counts)


class Batch:
    """A batch on its way."""

    def __init__(self, row: BatchRow, model: HttpChat, keys: Iterable[str] = ()) -> None:
        self.row = row
        self.model = model
        self.api = BatchApi(model)
        self.keys = set(keys)
        self.brought: set[str] = set()
        """Keys of which a line was downloaded."""
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
        self.poll_s = model.batching.batch_poll_s if model.batching else PAUSE_S

    async def there(
        self, anew_s: float | None, look: Callable[[], Awaitable[T]], why: str
    ) -> T | None:
        """Look for what may be paid for, with growing pauses, while it may not be there yet.

        Returns what `look` finds; None where the user allows to pay again; else raises `Stopped`,
        always where the key or the account is refused, which says nothing about what is there.
        """
        pause, until = self.poll_s / 8, self.row.at + (THERE_S if anew_s is None else anew_s)
        while True:
            said, refused = why, False
            try:
                if found := await look():
                    return found
            except (Passing, FatalCall) as error:
                said = f"cannot be looked for ({error})"
                refused = not isinstance(error, Passing | Denied)
                until = 0.0 if refused or (anew_s is None and isinstance(error, Denied)) else until
            if (left := until - time.time()) <= 0:
                break
            self.row = replace(self.row, detail=said)
            await asyncio.sleep(min(pause, left))
            pause *= 2
        if anew_s is not None and not refused:
            return None
        anew = f", or with --batch-anew {THERE_S:.0f} to ask and pay again" * (not refused)
        raise Stopped(
            f"{self.row.model}: batch {self.row.remote or self.row.name} of "
            f"{counted(self.row.requests, 'request')}, which may be paid for, {said}: run the same "
            f"command later, with the key that it was created with{anew}"
        )


def read_batches(ledger: Ledger) -> list[BatchRow]:
    """Return a run's batches, the one that changed last at the end."""
    if not ledger.rows("SELECT 1 FROM sqlite_master WHERE name = 'batches'"):
        return []  # a run of an earlier version
    return [BatchRow(*row) for row in ledger.rows("SELECT * FROM batches ORDER BY rowid")]


def describe(rows: Iterable[BatchRow]) -> str:
    """Say how batches at providers stand; empty where there are none."""
    rows = [row for row in rows if row.state not in OVER]
    sent = [row for row in rows if row.remote]
    asked, answered = sum(row.requests for row in sent), sum(row.answered for row in sent)
    out, of = counted(len(sent), "batch"), counted(asked, "request")
    trouble = next((f" ({row.detail})" for row in sent if row.detail), "")
    lost = sum(row.state == CREATING for row in rows)
    parts = [f"{out} at the provider: {answered:,} of {of} answered{trouble}"] * bool(sent)
    parts += [f"{counted(lost, 'batch')} not known to be created"] * bool(lost)
    return " · ".join(parts)
