"""The durable record of one run: one directory, one writer, nothing paid twice.

What is guaranteed, and no more: outcomes take effect once; calls are made at least once, and
after a crash at most those that were in flight are made again.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import filelock

from vlsbench.engine._schema import SCHEMA_VERSION, TABLES
from vlsbench.engine._writer import LedgerError, Statement, Waiter, Writer, open_file
from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.models import Finish, Reply, Usage

FILE = "ledger.sqlite"


@dataclass(frozen=True, slots=True)
class Call:
    """One answered call."""

    key: str
    role: str
    model: str
    request: str
    """`Request.canonical`."""
    reply: Reply
    cost: float | None
    at: float
    reused_from: str | None = None

    @property
    def asked(self) -> dict[str, Any]:
        """The request, read."""
        told: dict[str, Any] = json.loads(self.request)
        return told


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a record ended."""

    record: str
    stage: str
    kind: str
    reason: str
    value: Mapping[str, Any]


_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def _dump(value: Any) -> str:
    return storable_json(_COMPACT(value))


def storable_json(text: str) -> str:
    """Return JSON as SQLite takes it."""
    # Lone surrogates, legal in JSON, have no UTF-8 form: they become escapes again.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


_REPLY, _USAGE = ([field.name for field in fields(kind)] for kind in (Reply, Usage))


def reply_to_json(reply: Reply) -> str:
    """Write a reply as compact JSON, defaults left out."""
    # Not `asdict`: it copies all that is within, which costs more than writing it.
    known = {name: getattr(reply, name) for name in _REPLY}
    usage = ((name, getattr(reply.usage, name)) for name in _USAGE)
    known["usage"] = {name: count for name, count in usage if count is not None}
    return _dump({k: v for k, v in known.items() if v not in ("", {}, None)})


def reply_from_json(text: str) -> Reply:
    """Read what `reply_to_json` wrote."""
    known = json.loads(text)
    known["usage"] = Usage(**known.get("usage", {}))
    known["finish"] = Finish(known["finish"])
    return Reply(**{"text": "", **known})


CALLS = "SELECT key, role, model, request, reply, cost, at, reused_from FROM calls"
OUTCOMES = "SELECT record, stage, kind, reason, value FROM outcomes"


def _call(row: Any) -> Call:
    key, role, model, request, reply, *rest = row
    return Call(key.hex(), role, model, request, reply_from_json(reply), *rest)


def _outcome(row: Any) -> Outcome:
    record, stage, kind, reason, value = row
    return Outcome(record, stage, kind, reason, json.loads(value))


def _insert(outcome: Outcome, how: str = "INSERT") -> Statement:
    where = (outcome.record, outcome.stage, outcome.kind, outcome.reason)
    values = (*where, _dump(outcome.value), time.time())
    return Statement(f"{how} INTO outcomes VALUES (?, ?, ?, ?, ?, ?)", values)


def _open_again(records: Iterable[str]) -> Iterator[Statement]:
    yield Statement("DELETE FROM meta WHERE key = 'complete'")
    for name in records:
        yield Statement("DELETE FROM outcomes WHERE record = ?", (name,))


class Ledger:
    """One run's record, open for reading; writable where it was opened by `Ledger.write`."""

    def __init__(self, folder: Path, *, read_only: bool) -> None:
        self.folder = folder
        self._path = folder / FILE
        self._lock: filelock.BaseFileLock | None = None
        self._writer: Writer | None = None
        self._epochs: dict[tuple[str, str], int] | None = None
        if not read_only:
            self._take_lock()
        try:
            self._reader = open_file(self._path, read_only=read_only)
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
                raise VlsbenchError(f"no run found in {folder} yet: it is being made") from None
            raise LedgerError(
                f"cannot open {self._path}: {error}; free up disk space or check the disk, "
                "then run the same command again"
            ) from None
        if version != str(SCHEMA_VERSION):
            self.close()
            raise VlsbenchError(
                f"{self._path} was written by another version of vlsbench "
                f"(ledger {version}, this one reads {SCHEMA_VERSION}); choose another --out"
            )
        if not read_only:
            self._writer = Writer(self._path)
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
            raise VlsbenchError(f"no run found in {folder} (no {FILE})")
        return cls(folder, read_only=True)

    def _take_lock(self) -> None:
        self._lock = filelock.FileLock(self.folder / "lock")
        try:
            # Whoever looks whether the run is written holds it for an instant.
            self._lock.acquire(timeout=0.2)
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

    def is_written(self) -> bool:
        """Tell whether a process has the run open for writing."""
        lock = filelock.FileLock(file := self.folder / "lock")
        if not file.exists():
            return False
        try:
            lock.acquire(timeout=0)
        except filelock.Timeout:
            return True
        except OSError:  # a disk that only reads
            return False
        lock.release()
        return False

    def close(self) -> None:
        """Finish what is being written, fold the journal in, and give the lock back."""
        if self._writer:
            self._writer.stop()
            self._writer = None
        self._reader.close()
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def commits(self) -> int:
        """Transactions written since it was opened."""
        return self._writer.commits if self._writer else 0

    # Writing: each returns when the fact is on disk.

    async def commit(self, *statements: Statement) -> None:
        """Make the statements durable, together. Raises `LedgerError`."""
        if self._writer is None:
            raise ValueError("ledger is open for reading only")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()
        self._writer.submit(Waiter(statements, loop, done))
        await done

    async def record_call(self, call: Call) -> None:
        """Keep an answered call. A second answer to the same key changes nothing."""
        values = (
            bytes.fromhex(call.key),
            call.role,
            call.model,
            storable_json(call.request),
            reply_to_json(call.reply),
            call.cost,
            call.at,
            call.reused_from,
        )
        insert = "INSERT OR IGNORE INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        await self.commit(Statement(insert, values))

    async def record_outcome(self, outcome: Outcome) -> None:
        """Keep how a record ended."""
        await self.commit(_insert(outcome, "INSERT OR IGNORE"))

    async def event(self, kind: str, **detail: Any) -> None:
        """Note something that happened to the run as a whole."""
        await self.commit(
            Statement("INSERT INTO events VALUES (?, ?, ?)", (time.time(), kind, _dump(detail)))
        )

    async def set_meta(self, **values: str) -> None:
        """Set facts of the run."""
        insert = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
        await self.commit(*(Statement(insert, item) for item in values.items()))

    async def set_left_out(self, rows: Iterable[BadRow]) -> None:
        """Record the rows that the run leaves out; replaces what was recorded before."""
        insert = "INSERT INTO left_out VALUES (?, ?, ?)"
        inserts = (Statement(insert, (bad.file, bad.row, bad.reason)) for bad in rows)
        await self.commit(Statement("DELETE FROM left_out"), *inserts)

    async def reopen(self, records: Iterable[tuple[str, str]]) -> None:
        """Send ended records back to a stage, given as (record, stage); their draws are new ones.

        The calls that led to the old outcome stay on record.
        """
        records = list(records)
        count = "INSERT INTO retries VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET epoch = epoch + 1"
        await self.commit(
            *_open_again(record for record, _ in records),
            *(Statement(count, place) for place in records),
        )
        self._epochs = None

    async def forget(self, records: Iterable[str]) -> None:
        """Open ended records again; unlike `reopen`, the same questions get the same answers."""
        await self.commit(*_open_again(records))

    async def replace_outcomes(self, old: Iterable[str], outcomes: Iterable[Outcome]) -> None:
        """Put outcomes in place of those of the `old` records, together."""
        await self.commit(
            *(Statement("DELETE FROM outcomes WHERE record = ?", (name,)) for name in old),
            *map(_insert, outcomes),
        )

    # Reading.

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what a query of the tables (`_schema.py`) finds."""
        return self._reader.execute(sql, values).fetchall()

    def meta(self, key: str) -> str | None:
        """Return one fact of the run."""
        row = self._reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def call(self, key: str) -> Call | None:
        """Return the recorded call with this key."""
        rows = self._reader.execute(f"{CALLS} WHERE key = ?", (bytes.fromhex(key),))
        return next(map(_call, rows), None)

    def calls(self) -> Iterator[Call]:
        """Walk all calls in the order in which they were answered."""
        return map(_call, self._reader.execute(f"{CALLS} ORDER BY at"))

    def count_calls(self) -> int:
        """Count recorded calls."""
        return int(self.rows("SELECT count(*) FROM calls")[0][0])

    def outcome(self, record: str) -> Outcome | None:
        """Return how a record ended, None while it is open."""
        rows = self._reader.execute(f"{OUTCOMES} WHERE record = ?", (record,))
        return next(map(_outcome, rows), None)

    def outcomes(self) -> Iterator[Outcome]:
        """Walk all outcomes in record order."""
        return map(_outcome, self._reader.execute(f"{OUTCOMES} ORDER BY record"))

    def ended(self) -> set[str]:
        """Return the ids of all records that have ended."""
        return {row[0] for row in self._reader.execute("SELECT record FROM outcomes")}

    def expected(self) -> int:
        """Return how many records a finished run has: as many as answers to each of its pairs."""
        return int(self.meta("pairs") or 0) * int(self.meta("samples") or 1)

    def epoch(self, record: str, stage: str) -> int:
        """Return how often the record was sent back to the stage."""
        if self._epochs is None:
            # Every stage of every record asks, and next to nobody was ever sent back.
            rows = self._reader.execute("SELECT record, stage, epoch FROM retries")
            self._epochs = {(name, place): int(count) for name, place, count in rows}
        return self._epochs.get((record, stage), 0)

    def left_out(self) -> list[BadRow]:
        """Return the rows that the run leaves out."""
        return [BadRow(*row) for row in self._reader.execute("SELECT * FROM left_out")]

    def events(self) -> list[tuple[float, str, dict[str, Any]]]:
        """Return what happened to the run, oldest first."""
        rows = self._reader.execute("SELECT at, kind, detail FROM events ORDER BY rowid")
        return [(at, kind, json.loads(detail)) for at, kind, detail in rows]

    def notes(self) -> list[str]:
        """Return what readers of the results should know (`Context.note`), in order of the text."""
        rows = self._reader.execute("SELECT detail FROM events WHERE kind = 'note'")
        return sorted({json.loads(detail)["text"] for (detail,) in rows})

    def stamp(self) -> str:
        """Return a text that changes with every call, note, outcome, retry and end of the run."""
        row = self._reader.execute(
            "SELECT (SELECT max(rowid) FROM calls), "
            "(SELECT count(*) FROM events WHERE kind = 'note'), "
            "(SELECT count(*) FROM outcomes), (SELECT total(at) FROM outcomes), "
            "(SELECT total(epoch) FROM retries), (SELECT value FROM meta WHERE key = 'complete')"
        ).fetchone()
        return repr(tuple(row))

    def integrity(self) -> list[str]:
        """Ask SQLite to check the file; returns its complaints."""
        rows = [str(row[0]) for row in self._reader.execute("PRAGMA integrity_check")]
        return [] if rows == ["ok"] else rows
