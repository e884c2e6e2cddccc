"""Requests and tokens per minute, shared by all processes of one user on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from vlsbench.config import Connection
from vlsbench.errors import Halted
from vlsbench.files import cache_folder
from vlsbench.models._chat import Usage

FILE = "rates.sqlite"
"""In the user's cache: when each bucket will be full again. Holds no key and no text."""
MINUTE = 60.0
GIVEN_BURST_S = 1.0
"""What may be asked at once under a given limit, as time at the limit; servers' own limits let a
whole minute's requests go at once, and so do we where they tell."""
LOOK_AGAIN_S = 0.5
"""How often who waits looks whether others gave back, or its run is stopping."""
KINDS = ("requests", "tokens")

TABLE = "CREATE TABLE IF NOT EXISTS full (name TEXT PRIMARY KEY, at REAL NOT NULL)"
TAKE = """INSERT INTO full VALUES (:name, :now + :takes) ON CONFLICT DO
UPDATE SET at = max(at, :now) + :takes WHERE at <= :now + :burst RETURNING 0.0"""
PUT_OFF = """INSERT INTO full VALUES (:name, :least + :by) ON CONFLICT DO
UPDATE SET at = max(at, :least) + :by"""

LEAVING: ContextVar[asyncio.Event | None] = ContextVar("leaving", default=None)
"""Set, by the run that asks, where nothing more is to be sent."""


class SharedPace:
    """The pace of one model: waits before a request that would exceed it.

    The scheme is the generic cell rate algorithm (ITU-T I.371, annex A): the file keeps one
    moment a bucket, and one atomic statement takes from it.
    """

    def __init__(self, connection: Connection, *name: str | None) -> None:
        """Take the settings, and what tells the model: address, key, spec.

        A limit that is not set is what the server tells, or none.
        """
        told = zip(KINDS, (connection.rpm, connection.tpm), strict=True)
        self._given = {kind: (most, GIVEN_BURST_S) for kind, most in told if most}
        self._limits = dict(self._given)
        self._name = hashlib.sha256(repr(name).encode()).hexdigest()[:16]
        self._share = 1.0
        """Of the most tokens that a request can take, what is counted for it."""
        self._turn = asyncio.Lock()
        self._file: sqlite3.Connection | None = None

    async def take(self, tokens: int) -> float:
        """Wait until a request of so many tokens at most may be sent; return how many are counted.

        Raises `Halted` where the run that asks is stopping: it is not to be sent.
        """
        leaving = LEAVING.get()
        async with self._turn:
            while not (leaving and leaving.is_set()):
                counted = tokens * self._share
                if (wait := self._wait("requests", 1)) <= 0:
                    if (wait := self._wait("tokens", counted)) <= 0:
                        return counted
                    self._return("requests", 1)
                await asyncio.sleep(min(wait, LOOK_AGAIN_S))
            raise Halted

    def _wait(self, kind: str, amount: float) -> float:
        """Take from a bucket and return 0, or return after how many seconds to try again."""
        if (limit := self._limits.get(kind)) is None:
            return 0.0
        most, burst = limit
        takes, now = amount * MINUTE / most, time.time()
        # What takes more than the bucket holds goes when the bucket is full.
        burst = max(0.0, burst - takes)
        if self._execute(TAKE, kind, now=now, burst=burst, takes=takes):
            return 0.0
        at = self._execute("SELECT at FROM full WHERE name = :name", kind)
        return max(0.001, at[0] - burst - now) if at else 0.001

    def give_back(self, most: float, taken: float, usage: Usage) -> None:
        """Return what was counted for a request that could take `most`, and was not used."""
        if usage.input_tokens is not None and usage.output_tokens is not None:
            used = usage.input_tokens + usage.output_tokens
            self._return("tokens", taken - used)
            # Rises at once: the requests in flight together are not to exceed the limit.
            self._share = max(used / most, (self._share + used / most) / 2)

    def _return(self, kind: str, amount: float) -> None:
        if limit := self._limits.get(kind):
            self._execute(PUT_OFF, kind, least=0.0, by=-amount * MINUTE / limit[0])

    def learn(self, headers: Mapping[str, str]) -> None:
        """Read what the server says of its limits, where none is given.

        Source: https://platform.openai.com/docs/guides/rate-limits, *Rate limits in headers*; a
        bucket refills by its limit within a minute.
        """
        for kind in KINDS:
            try:
                most = float(headers[f"x-ratelimit-limit-{kind}"])
                left = float(headers[f"x-ratelimit-remaining-{kind}"])
            except (KeyError, ValueError):
                continue
            if kind in self._given or not 1 <= most < float("inf") or not 0 <= left <= most:
                continue
            self._limits[kind] = (most, MINUTE)
            # Others, on other machines too, may have taken more than is written here.
            full = time.time() + (most - left) * MINUTE / most
            self._execute(PUT_OFF, kind, least=full, by=0.0)

    def _execute(self, sql: str, kind: str, **values: float) -> tuple[Any, ...] | None:
        known = {"name": f"{self._name} {kind}", **values}
        try:
            file = self._file or self._open(cache_folder() / FILE)
            found: tuple[Any, ...] | None = file.execute(sql, known).fetchone()
        except (sqlite3.Error, OSError):
            # Locked for long, on a full disk, or broken: pace this process alone.
            found = self._open(":memory:").execute(sql, known).fetchone()
        return found

    def _open(self, file: Path | str) -> sqlite3.Connection:
        if isinstance(file, Path):
            file.parent.mkdir(parents=True, exist_ok=True)
        self._file = opened = sqlite3.connect(file, timeout=3, isolation_level=None)
        # Not WAL: of two processes that begin at once, one would find the file locked.
        for sql in ("PRAGMA journal_mode=MEMORY", "PRAGMA synchronous=OFF", TABLE):
            opened.execute(sql)
        return opened

    def close(self) -> None:
        """Close the file; another event loop may use the pace afterwards."""
        if self._file:
            self._file.close()
        self._file, self._turn = None, asyncio.Lock()
