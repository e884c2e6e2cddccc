"""The one thread that writes a ledger."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Iterable
from itertools import chain, groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from vlsbench.errors import Stopped

MAX_BATCH = 256
"""Statements that one commit takes at most, so that no waiter waits for a very large one."""


class LedgerError(Stopped):
    """The ledger could not be written; what was recorded before is safe."""


class Statement(NamedTuple):
    """One SQL statement with its values."""

    sql: str
    values: tuple[Any, ...] = ()


def open_file(path: Path, *, read_only: bool) -> sqlite3.Connection:
    """Open a ledger's database, which every thread may use; the caller sees to it that one does."""
    mode = "ro" if read_only else "rwc"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)


class Waiter(NamedTuple):
    """Who waits for statements to be durable, all or none of them."""

    statements: tuple[Statement, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Writer(threading.Thread):
    """Commits what is waiting, all of it in one transaction, then tells the waiters.

    One sync of the disk serves every call that ended since the last one (group commit).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(name="ledger-writer", daemon=True)
        self._path = path
        self._queue: queue.SimpleQueue[Waiter | None] = queue.SimpleQueue()
        self.commits = 0

    def submit(self, waiter: Waiter) -> None:
        """Have statements written; the waiter is told when they are on disk."""
        self._queue.put(waiter)

    def stop(self) -> None:
        """Write what is waiting, and end."""
        self._queue.put(None)
        self.join()

    def _next(self) -> tuple[list[Waiter], bool]:
        first = self._queue.get()
        batch: list[Waiter] = []
        while first is not None:
            batch.append(first)
            if len(batch) >= MAX_BATCH:
                return batch, False
            try:
                first = self._queue.get_nowait()
            except queue.Empty:
                return batch, False
        return batch, True

    def run(self) -> None:
        connection = open_file(self._path, read_only=False)
        connection.execute("PRAGMA synchronous=FULL")
        stopping = False
        try:
            while not stopping:
                batch, stopping = self._next()
                if batch:
                    self._commit(connection, batch)
        finally:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[Waiter]) -> None:
        error: LedgerError | None = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            for statement in chain.from_iterable(waiter.statements for waiter in batch):
                connection.execute(*statement)
            connection.execute("COMMIT")
            self.commits += 1
        except (sqlite3.Error, UnicodeError) as cause:
            if connection.in_transaction:
                try:
                    connection.execute("ROLLBACK")
                except sqlite3.Error:
                    connection.interrupt()
            error = LedgerError(
                f"cannot write {self._path}: {cause}; everything recorded before is safe. "
                "Free up disk space or check the disk, then run the same command again"
            )
        for loop, waiters in groupby(batch, key=attrgetter("loop")):
            # A loop that was torn down (second Ctrl-C) has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, [waiter.done for waiter in waiters], error)


def _settle(waiting: Iterable[asyncio.Future[None]], error: LedgerError | None) -> None:
    for done in waiting:
        if done.done():
            continue
        if error:
            done.set_exception(error)
        else:
            done.set_result(None)
