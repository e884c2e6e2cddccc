"""The durable record of one run: one directory, one writer, nothing paid twice.

What is guaranteed, and no more: outcomes take effect once; calls are made at least once, and
after a crash at most those that were in flight are made again.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import filelock

from vlsbench.errors import BadRow, Stopped, VlsbenchError
from vlsbench.ledger._schema import SCHEMA_VERSION, TABLES
from vlsbench.models import Finish, Reply, Usage

FILE = "ledger.sqlite"
MAX_BATCH = 256
"""Statements that one commit takes at most, so that no waiter waits for a very large one."""


class LedgerError(Stopped):
    """The ledger could not be written; what was recorded before is safe."""


class Statement(NamedTuple):
    """One SQL statement with its values."""

    sql: str
    values: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call."""

    key: str
    role: str
    model: str
    request: Mapping[str, Any]
    reply: Reply
    cost: float | None
    at: float
    reused_from: str | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a record ended."""

    record: str
    stage: str
    kind: str
    reason: str
    value: Mapping[str, Any]


def _dump(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    # Half surrogates, legal in JSON, have no UTF-8 form: they stay escapes.
    return text.encode("utf-8", "backslashreplace").decode()


def reply_to_json(reply: Reply) -> str:
    """Write a reply as compact JSON, defaults left out."""
    fields = asdict(reply)
    fields["usage"] = {k: v for k, v in fields["usage"].items() if v is not None}
    return _dump({k: v for k, v in fields.items() if v not in ("", {}, None)})


def reply_from_json(text: str) -> Reply:
    """Read what `reply_to_json` wrote."""
    fields = json.loads(text)
    fields["usage"] = Usage(**fields.get("usage", {}))
    fields["finish"] = Finish(fields["finish"])
    return Reply(**{"text": "", **fields})


def _outcome(row: tuple[str, str, str, str, str]) -> Outcome:
    return Outcome(row[0], row[1], row[2], row[3], json.loads(row[4]))


def _open(path: Path, *, read_only: bool) -> sqlite3.Connection:
    mode = "ro" if read_only else "rwc"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    return sqlite3.connect(uri, uri=True, timeout=30, isolation_level=None, check_same_thread=False)


class _Waiter(NamedTuple):
    statements: tuple[Statement, ...]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class _Writer(threading.Thread):
    """Commits what is waiting, all of it in one transaction, then tells the waiters.

    One sync of the disk serves every call that ended since the last one (group commit).
    """

    def __init__(self, path: Path) -> None:
        super().__init__(name="ledger-writer", daemon=True)
        self._path = path
        self._queue: queue.SimpleQueue[_Waiter | None] = queue.SimpleQueue()
        self.commits = 0

    def submit(self, waiter: _Waiter) -> None:
        self._queue.put(waiter)

    def stop(self) -> None:
        self._queue.put(None)
        self.join()

    def _next(self) -> tuple[list[_Waiter], bool]:
        first = self._queue.get()
        batch: list[_Waiter] = []
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
        connection = _open(self._path, read_only=False)
        connection.execute("PRAGMA synchronous=FULL")
        stopping = False
        try:
            while not stopping:
                batch, stopping = self._next()
                if batch:
                    self._commit(connection, batch)
        finally:
            connection.close()

    def _commit(self, connection: sqlite3.Connection, batch: list[_Waiter]) -> None:
        error: LedgerError | None = None
        try:
            connection.execute("BEGIN IMMEDIATE")
            for waiter in batch:
                for sql, values in waiter.statements:
                    connection.execute(sql, values)
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
                "Free some disk space or mend the disk, then run the same command again"
            )
        for waiter in batch:
            # A loop that was torn down (second Ctrl-C) has nobody left to tell.
            with contextlib.suppress(RuntimeError):
                waiter.loop.call_soon_threadsafe(_settle, waiter.done, error)


def _settle(done: asyncio.Future[None], error: LedgerError | None) -> None:
    if done.done():
        return
    if error:
        done.set_exception(error)
    else:
        done.set_result(None)


class Ledger:
    """One run's record, open for reading; writable where it was opened by `Ledger.write`."""

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self.folder = folder
        self._path = folder / FILE
        self._lock: filelock.BaseFileLock | None = None
        self._writer: _Writer | None = None
        if not read_only:
            self._take_lock()
        try:
            self._reader = _open(self._path, read_only=read_only)
            if not read_only:
                self._reader.execute("PRAGMA journal_mode=WAL")
                self._reader.execute("PRAGMA synchronous=FULL")
                self._reader.executescript(
                    f"BEGIN IMMEDIATE; {TABLES} "
                    f"INSERT OR IGNORE INTO meta VALUES ('schema', '{SCHEMA_VERSION}'); COMMIT;"
                )
            version = self.meta("schema")
        except sqlite3.Error as error:
            self._release()
            if read_only and "no such table" in str(error):
                raise VlsbenchError(f"{folder} holds no run yet: it is being made") from None
            raise LedgerError(
                f"cannot open {self._path}: {error}; free some disk space or mend the disk, "
                "then run the same command again"
            ) from None
        if version != str(SCHEMA_VERSION):
            self.close()
            raise VlsbenchError(
                f"{self._path} was written by another version of vlsbench "
                f"(ledger {version}, this one reads {SCHEMA_VERSION}); choose another --out"
            )
        if not read_only:
            self._writer = _Writer(self._path)
            self._writer.start()

    @classmethod
    def write(cls, folder: Path) -> Ledger:
        """Open a run for writing, making it where it does not exist.

        Raises:
            VlsbenchError: Another process is writing it, or another version wrote it.
            LedgerError: The disk does not let us.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LedgerError(f"cannot make {folder}: {error.strerror}") from None
        return cls(folder, read_only=False)

    @classmethod
    def read(cls, folder: Path) -> Ledger:
        """Open an existing run for reading. Raises `VlsbenchError` where there is none."""
        if not (folder / FILE).is_file():
            raise VlsbenchError(f"{folder} holds no run (no {FILE} in it)")
        return cls(folder, read_only=True)

    def _take_lock(self) -> None:
        self._lock = filelock.FileLock(self.folder / "lock")
        try:
            self._lock.acquire(timeout=0)
        except filelock.Timeout:
            raise VlsbenchError(
                f"{self.folder} is being written by another process; wait for it or choose "
                "another --out"
            ) from None
        except OSError as error:
            raise LedgerError(f"cannot lock {self.folder}: {error.strerror}") from None

    def _release(self) -> None:
        if self._lock:
            self._lock.release()

    def close(self) -> None:
        """Finish what is being written, fold the journal in, and give the lock back."""
        if self._writer:
            self._writer.stop()
            self._writer = None
        self._reader.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # Writing: each returns when the fact is on disk.

    async def commit(self, *statements: Statement) -> None:
        """Make the statements durable, together. Raises `LedgerError`."""
        if self._writer is None:
            raise ValueError("ledger is open for reading only")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._writer.submit(_Waiter(statements, loop, done))
        await done

    async def record_call(self, call: Call) -> None:
        """Keep an answered call. A second answer to the same key changes nothing."""
        await self.commit(
            Statement(
                "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    bytes.fromhex(call.key),
                    call.role,
                    call.model,
                    _dump(call.request),
                    reply_to_json(call.reply),
                    call.cost,
                    call.at,
                    call.reused_from,
                ),
            )
        )

    async def record_outcome(self, outcome: Outcome) -> None:
        """Keep how a record ended."""
        await self.commit(
            Statement(
                "INSERT OR IGNORE INTO outcomes VALUES (?, ?, ?, ?, ?, ?)",
                (
                    outcome.record,
                    outcome.stage,
                    outcome.kind,
                    outcome.reason,
                    _dump(outcome.value),
                    time.time(),
                ),
            )
        )

    async def event(self, kind: str, **detail: Any) -> None:
        """Note something that happened to the run as a whole."""
        await self.commit(
            Statement("INSERT INTO events VALUES (?, ?, ?)", (time.time(), kind, _dump(detail)))
        )

    async def set_meta(self, **values: str) -> None:
        """Set facts of the run."""
        await self.commit(
            *(
                Statement("INSERT OR REPLACE INTO meta VALUES (?, ?)", item)
                for item in values.items()
            )
        )

    async def set_left_out(self, rows: Iterable[BadRow]) -> None:
        """Record the rows that the run leaves out; replaces what was recorded before."""
        await self.commit(
            Statement("DELETE FROM left_out"),
            *(
                Statement("INSERT INTO left_out VALUES (?, ?, ?)", (r.file, r.row, r.reason))
                for r in rows
            ),
        )

    async def reopen(self, records: Iterable[tuple[str, str]]) -> None:
        """Send ended records back to a stage, given as (record, stage); their draws are new ones.

        The calls that led to the old outcome stay on record.
        """
        statements = [Statement("DELETE FROM meta WHERE key = 'complete'")]
        for record, stage in records:
            statements += (
                Statement("DELETE FROM outcomes WHERE record = ?", (record,)),
                Statement(
                    "INSERT INTO retries VALUES (?, ?, 1) "
                    "ON CONFLICT DO UPDATE SET epoch = epoch + 1",
                    (record, stage),
                ),
            )
        await self.commit(*statements)

    # Reading.

    def meta(self, key: str) -> str | None:
        """Return one fact of the run."""
        row = self._reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def call(self, key: str) -> Call | None:
        """Return the recorded call with this key."""
        row = self._reader.execute(
            "SELECT role, model, request, reply, cost, at, reused_from FROM calls WHERE key = ?",
            (bytes.fromhex(key),),
        ).fetchone()
        if row is None:
            return None
        return Call(
            key, row[0], row[1], json.loads(row[2]), reply_from_json(row[3]), row[4], row[5], row[6]
        )

    def calls(self) -> Iterator[Call]:
        """Walk all calls in the order in which they were answered."""
        rows = self._reader.execute(
            "SELECT key, role, model, request, reply, cost, at, reused_from FROM calls ORDER BY at"
        )
        for key, role, model, request, reply, cost, at, reused in rows:
            yield Call(
                key.hex(),
                role,
                model,
                json.loads(request),
                reply_from_json(reply),
                cost,
                at,
                reused,
            )

    def bill(self, key: str) -> tuple[str, str, float | None] | None:
        """Return role, model and cost of a recorded call, without its texts."""
        row = self._reader.execute(
            "SELECT role, model, cost FROM calls WHERE key = ?", (bytes.fromhex(key),)
        ).fetchone()
        return None if row is None else (row[0], row[1], row[2])

    def count_calls(self, model: str | None = None) -> int:
        """Count recorded calls, of one model or of all."""
        where = "" if model is None else "WHERE model = ?"
        values = () if model is None else (model,)
        row = self._reader.execute(f"SELECT count(*) FROM calls {where}", values).fetchone()
        return int(row[0])

    def outcome(self, record: str) -> Outcome | None:
        """Return how a record ended, None while it is open."""
        row = self._reader.execute(
            "SELECT record, stage, kind, reason, value FROM outcomes WHERE record = ?", (record,)
        ).fetchone()
        return None if row is None else _outcome(row)

    def outcomes(self) -> Iterator[Outcome]:
        """Walk all outcomes in record order."""
        rows = self._reader.execute(
            "SELECT record, stage, kind, reason, value FROM outcomes ORDER BY record"
        )
        return map(_outcome, rows)

    def ended(self) -> set[str]:
        """Return the ids of all records that have ended."""
        return {row[0] for row in self._reader.execute("SELECT record FROM outcomes")}

    def epoch(self, record: str, stage: str) -> int:
        """Return how often the record was sent back to the stage."""
        row = self._reader.execute(
            "SELECT epoch FROM retries WHERE record = ? AND stage = ?", (record, stage)
        ).fetchone()
        return 0 if row is None else int(row[0])

    def left_out(self) -> list[BadRow]:
        """Return the rows that the run leaves out."""
        return [BadRow(*row) for row in self._reader.execute("SELECT * FROM left_out")]

    def events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what happened to the run, oldest first."""
        rows = self._reader.execute("SELECT at, kind, detail FROM events ORDER BY rowid")
        return [(at, kind, json.loads(detail)) for at, kind, detail in rows]

    def stamp(self) -> str:
        """Return a text that changes with every outcome, retry and end of the run."""
        row = self._reader.execute(
            "SELECT (SELECT count(*) FROM outcomes), (SELECT total(at) FROM outcomes), "
            "(SELECT total(epoch) FROM retries), (SELECT value FROM meta WHERE key = 'complete')"
        ).fetchone()
        return repr(tuple(row))

    def integrity(self) -> list[str]:
        """Ask SQLite to check the file; returns its complaints."""
        rows = [str(row[0]) for row in self._reader.execute("PRAGMA integrity_check")]
        return [] if rows == ["ok"] else rows
