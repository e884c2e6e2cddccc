"""Requests and tokens per minute, shared by all processes of one user on this machine."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vlsbench.files import cache_folder
from vlsbench.models._chat import Request, Usage
from vlsbench.models._prices import image_tokens, text_tokens

FILE = "rates.sqlite"
"""In the user's cache: when each bucket will be full again. Holds no key and no text."""
MINUTE = 60.0
GIVEN_BURST_S = 1.0
"""What may be asked at once under a given limit, as time at the limit; servers' own limits let a
whole minute's requests go at once, and so do we where they tell."""
MOST_AHEAD_S = 3600.0
"""A bucket that is to be full later than this was left by a wrong clock."""
IMAGE_TOKENS = image_tokens(2048, 2048)

KINDS = ("requests", "tokens")


@dataclass(frozen=True, slots=True)
class Pace:
    """What a model may be asked in a minute; None is what its server tells, or no limit."""

    rpm: float | None = None
    tpm: float | None = None


class _Limit(NamedTuple):
    per_minute: float
    burst_s: float

    def seconds(self, amount: float) -> float:
        """Return how long the limit takes to allow an amount again."""
        return amount * MINUTE / self.per_minute


def most_tokens(request: Request) -> int:
    """Estimate the most tokens that a request takes, its reply included."""
    asked = text_tokens(len(request.text) + len(request.system))
    return asked + IMAGE_TOKENS * len(request.images) + request.params.most_tokens


class SharedPace:
    """The pace of one model: waits before a request that would exceed it.

    The scheme is the generic cell rate algorithm (ITU-T I.371, annex A): the file keeps one
    moment a bucket, and one atomic statement takes from it, so no process waits for another.
    """

    def __init__(self, pace: Pace, *name: str | None) -> None:
        """Take the limits, and what tells the model from others: address, key, spec."""
        given = zip(KINDS, (pace.rpm, pace.tpm), strict=True)
        self._limits = {kind: _Limit(most, GIVEN_BURST_S) for kind, most in given if most}
        self._given = frozenset(self._limits)
        self._name = hashlib.sha256(repr(name).encode()).hexdigest()[:16]
        self._file: sqlite3.Connection | None = None

    async def take(self, tokens: int) -> None:
        """Wait until one request of so many tokens may be sent."""
        waits = [0.0]
        for kind, limit in self._limits.items():
            takes = limit.seconds(1 if kind == "requests" else tokens)
            now = time.time()
            full = self._move(kind, now, takes)
            waits.append(full - max(limit.burst_s, takes) - now)
        if (wait := max(waits)) > 0:
            await asyncio.sleep(wait)

    def give_back(self, taken: int, usage: Usage) -> None:
        """Return what a request was thought to take and did not."""
        limit = self._limits.get("tokens")
        if limit and usage.input_tokens is not None and usage.output_tokens is not None:
            spare = taken - usage.input_tokens - usage.output_tokens
            self._move("tokens", 0.0, -limit.seconds(spare))

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
            limit = self._limits[kind] = _Limit(most, MINUTE)
            # Others, on other machines too, may have taken more than is written here.
            self._move(kind, time.time() + limit.seconds(most - left), 0.0)

    def _move(self, kind: str, least: float, by: float) -> float:
        """Put off the moment when a bucket is full; return it."""
        most = time.time() + MOST_AHEAD_S
        sql = (
            "INSERT INTO full VALUES (?1, ?2 + ?3) ON CONFLICT DO "
            "UPDATE SET at = max(min(at, ?4), ?2) + ?3 RETURNING at"
        )
        values = (f"{self._name} {kind}", least, by, most)
        try:
            row = self._open().execute(sql, values).fetchone()
        except sqlite3.Error:  # a full disk, a folder that cannot be written: pace this process
            self._file = _prepared(sqlite3.connect(":memory:", isolation_level=None))
            row = self._file.execute(sql, values).fetchone()
        return float(row[0])

    def _open(self) -> sqlite3.Connection:
        if self._file is None:
            folder = cache_folder()
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise sqlite3.OperationalError(str(error)) from None
            connection = sqlite3.connect(folder / FILE, timeout=5, isolation_level=None)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=OFF")
            self._file = _prepared(connection)
        return self._file

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()
            self._file = None


def _prepared(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("CREATE TABLE IF NOT EXISTS full (name TEXT PRIMARY KEY, at REAL NOT NULL)")
    return connection
