"""Batches as they stand in a run's ledger, and on their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import BinaryIO

from vlsbench.engine._ledger import Ledger, reply_to_json
from vlsbench.engine._writer import Statement
from vlsbench.models import BatchApi, BatchState, HttpChat, Reply
from vlsbench.text import counted

PREPARED, UPLOADED, MERGED, UNSENT, GONE = "prepared", "uploaded", "merged", "not sent", "gone"
"""States of a batch beside its provider's own."""
OVER = (MERGED, UNSENT, GONE, "failed")
"""States of a batch that nobody follows."""


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

    def statement(self) -> Statement:
        """Write it, in place of what was written of it."""
        values = tuple(getattr(self, one.name) for one in fields(self))
        return Statement(
            "INSERT OR REPLACE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
        )

    def forget(self) -> Statement:
        """Delete what it asks."""
        return Statement("DELETE FROM batched WHERE batch = ?", (self.name,))

    def answer(self, key: str, reply: Reply, cost: float | None) -> Statement:
        """Record an answer to one of its requests as a call; what was asked is copied."""
        values = (self.model, reply_to_json(reply), cost, time.time(), self.name)
        return Statement(
            "INSERT OR IGNORE INTO calls SELECT key, role, ?, request, ?, ?, ?, NULL FROM batched "
            "WHERE batch = ? AND key = ?",
            (*values, bytes.fromhex(key)),
        )

    def told(self, state: BatchState) -> BatchRow:
        """Return it with what its provider says."""
        return replace(
            self,
            state=state.status,
            remote=state.remote,
            answered=state.answered,
            failed=state.failed,
            at=time.time(),
            detail=state.detail,
        )


def read_batches(ledger: Ledger) -> list[BatchRow]:
    """Return a run's batches, the one that changed last at the end."""
    if not ledger.rows("SELECT 1 FROM sqlite_master WHERE name = 'batches'"):
        return []  # a run of an earlier version
    return [BatchRow(*row) for row in ledger.rows("SELECT * FROM batches ORDER BY rowid")]


def has_answered(ledger: Ledger, spec: str) -> bool:
    """Tell whether a run has an answer of a model on record."""
    finish = "json_extract(reply, '$.finish')"
    found = f"SELECT 1 FROM calls WHERE model = ? AND {finish} <> 'rejected' LIMIT 1"
    return bool(ledger.rows(found, spec))


def describe(sent: Sequence[BatchRow], joining: int, merged: int) -> str:
    """Say how batches stand.

    Args:
        sent: Those at providers.
        joining: Calls that are being collected.
        merged: Batches that were merged.
    """
    parts = [f"{joining:,} collected"] if joining else []
    if sent:
        asked, answered = sum(row.requests for row in sent), sum(row.answered for row in sent)
        what = f"{answered:,} of {counted(asked, 'request')} answered"
        parts.append(f"{counted(len(sent), 'batch')} submitted, {what}")
    if merged:
        parts.append(f"{merged:,} merged")
    parts += [f"({row.detail})" for row in sent[:1] if row.detail]
    return " · ".join(parts)


def describe_left(rows: Iterable[BatchRow]) -> str:
    """Say which of a run's batches go on without it; empty where none does."""
    left = [row for row in rows if row.state not in OVER and row.remote]
    waiting = counted(sum(row.requests for row in left), "request")
    which = "batch goes" if len(left) == 1 else "batches go"
    said = f"{len(left)} {which} on at the provider with {waiting}, and nothing is lost"
    return said if left else ""


class Batch:
    """A batch on its way."""

    def __init__(self, row: BatchRow, model: HttpChat, keys: Iterable[str] = ()) -> None:
        self.row = row
        self.model = model
        self.api: BatchApi = model.batch_api()
        self.keys = set(keys)
        self.over = asyncio.Event()
        self.full = asyncio.Event()
        """No call joins it any more."""
        self.joined = time.monotonic()
        """When the last call did."""
        self.size = 0
        self.file: BinaryIO | None = None
        self.asked: list[Statement] = []
        self.fault: Exception | None = None
        """What went wrong that nobody foresaw."""
        self.again = False
        """It ended before all were answered: what is left goes into another."""
        self.unclear: set[str] = set()
        """Requests whose answers cannot be read, which may be charged for."""
