"""People's verdicts on disk: rows are added and never changed, and are durable when `add` returns.

A run's ledger keeps one outcome a record, written by one process. Here several people say several
things of one pair, take them back, and may do so in several processes; so the record is a table of
its own, with the ledger's durability (SQLite, WAL, full sync). Taking back is a row too.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from vlsbench.errors import Stopped, VlsbenchError
from vlsbench.files import output_folder
from vlsbench.reviewing._verdicts import Row, Said
from vlsbench.schemas import decode_json

FILE = "review.sqlite"
SCHEMA = "1"
INVITED = "reviewer/"
"""Before the name of a reviewer: the key of a fact."""

_TABLES = """
-- What is reviewed; set once.
CREATE TABLE IF NOT EXISTS review (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE IF NOT EXISTS verdicts (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    at REAL NOT NULL,            -- Unix time
    person TEXT NOT NULL,
    role TEXT NOT NULL,          -- reviewer, adjudicator
    pair TEXT NOT NULL,          -- its id
    shown TEXT NOT NULL,         -- digest of what the person saw
    step TEXT NOT NULL,          -- query, image, pair, adjudication, undo
    said TEXT NOT NULL,          -- JSON: answers, codes, comment
    undoes INTEGER REFERENCES verdicts (number)
);

CREATE TRIGGER IF NOT EXISTS no_update BEFORE UPDATE ON verdicts
BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
CREATE TRIGGER IF NOT EXISTS no_delete BEFORE DELETE ON verdicts
BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
-- INSERT OR REPLACE would delete without asking the trigger above.
CREATE TRIGGER IF NOT EXISTS no_replace BEFORE INSERT ON verdicts
WHEN EXISTS (SELECT 1 FROM verdicts WHERE number = NEW.number)
BEGIN SELECT RAISE(ABORT, 'verdicts are only added'); END;
CREATE TRIGGER IF NOT EXISTS fixed_update BEFORE UPDATE ON review
BEGIN SELECT RAISE(ABORT, 'a review is of one set'); END;
CREATE TRIGGER IF NOT EXISTS fixed_delete BEFORE DELETE ON review
BEGIN SELECT RAISE(ABORT, 'a review is of one set'); END;
CREATE TRIGGER IF NOT EXISTS fixed_replace BEFORE INSERT ON review
WHEN EXISTS (SELECT 1 FROM review WHERE key = NEW.key AND value <> NEW.value)
BEGIN SELECT RAISE(ABORT, 'a review is of one set'); END;
"""


class StoreError(Stopped):
    """A verdict could not be written; those before it are safe."""


class Store(AbstractContextManager["Store"]):
    """The record of one review; safe across threads and processes."""

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._read: list[Row] = []
        mode = "ro" if read_only else "rwc"
        try:
            self._file = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                timeout=30,
                isolation_level=None,
                check_same_thread=False,
            )
            if not read_only:
                self._file.execute("PRAGMA journal_mode=WAL")
                self._file.execute("PRAGMA synchronous=FULL")
                self._file.executescript(f"BEGIN IMMEDIATE; {_TABLES} COMMIT;")
            version = self.get("schema")
            if version is None and not read_only:
                self.set(schema=(version := SCHEMA))
        except sqlite3.Error as error:
            raise StoreError(
                f"cannot open {path}: {error}; free up disk space or choose another --out"
            ) from None
        if version != SCHEMA:
            raise VlsbenchError(f"{path} was written by another version of vlsbench ({version})")

    @classmethod
    def write(cls, folder: Path) -> Store:
        """Open the review in a folder, beginning it where there is none."""
        return cls(output_folder(folder) / FILE, read_only=False)

    @classmethod
    def read(cls, folder: Path) -> Store:
        """Open the review in a folder for reading. Raises `VlsbenchError` where there is none."""
        if not (folder / FILE).is_file():
            raise VlsbenchError(
                f"no review found in {folder}: `vlsbench review DATASET --out {folder}` begins one"
            )
        return cls(folder / FILE, read_only=True)

    def close(self) -> None:
        """Fold the journal in and let the file go."""
        with self._lock:
            self._file.close()

    def __exit__(self, *error: object) -> None:
        self.close()

    def get(self, key: str) -> str | None:
        """Return one fact of the review."""
        with self._lock:
            found = self._file.execute("SELECT value FROM review WHERE key = ?", (key,)).fetchone()
        return None if found is None else str(found[0])

    def set(self, **facts: str) -> None:
        """Set facts that are not set yet. Raises `StoreError` where one is set to another value."""
        self._run("INSERT OR IGNORE INTO review VALUES (?, ?)", facts.items())

    def invited(self) -> list[str]:
        """Return who was ever invited to review."""
        with self._lock:
            keys = self._file.execute("SELECT key FROM review").fetchall()
        return [key.removeprefix(INVITED) for (key,) in keys if key.startswith(INVITED)]

    def add(self, *rows: Row) -> None:
        """Add rows, all or none. They are on disk when this returns. Raises `StoreError`."""
        now = time.time()
        self._run(
            "INSERT INTO verdicts (person, role, pair, shown, step, undoes, at, said) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (*(row.person, row.role, row.pair, row.shown, row.step, row.undoes),
                 *(row.at or now, json.dumps({k: v for k, v in asdict(row.said).items() if v})))
                for row in rows
            ),
        )  # fmt: skip

    def _run(self, sql: str, values: Iterable[tuple[Any, ...]]) -> None:
        with self._lock:
            try:
                self._file.execute("BEGIN IMMEDIATE")
                self._file.executemany(sql, values)
                self._file.execute("COMMIT")
            except sqlite3.Error as error:
                if self._file.in_transaction:
                    self._file.execute("ROLLBACK")
                raise StoreError(
                    f"cannot write {self.path}: {error}; what was recorded before is safe"
                ) from None

    def rows(self, person: str | None = None) -> list[Row]:
        """Return all rows, or one person's, in the order in which they were added."""
        with self._lock:
            # Rows never change: what was read once, by whomever it was added, is not read again.
            new = self._file.execute(
                "SELECT person, role, pair, shown, step, said, undoes, number, at "
                "FROM verdicts WHERE number > ? ORDER BY number",
                (self._read[-1].number if self._read else 0,),
            )
            for someone, role, pair, shown, step, said, undoes, number, at in new:
                words = decode_json(said, Said, f"{self.path}, verdict {number}")
                self._read.append(Row(someone, role, pair, shown, step, words, undoes, number, at))
            return [row for row in self._read if person in (None, row.person)]
