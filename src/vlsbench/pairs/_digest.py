"""What image files hold: their digests, remembered by the files' size and times."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress
from pathlib import Path

from vlsbench.files import cache_folder, file_sha256

FILE = "digests.sqlite"
FRESH_NS = 2_000_000_000
"""A file changed less long ago is not remembered: it may change again within one tick."""


def file_digests(paths: Iterable[str]) -> dict[str, str]:
    """Return file → SHA-256, hex; empty where a file cannot be read.

    A file is read only where its size or times are not those that are remembered of it.
    """
    wanted = tuple(dict.fromkeys(paths))
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return _digests(wanted, cache_folder() / FILE)
    except (OSError, sqlite3.Error):  # a home that cannot be written: every file is read
        return _digests(wanted, ":memory:")


def _digests(paths: Iterable[str], memory: Path | str) -> dict[str, str]:
    found: dict[str, str] = {}
    with closing(sqlite3.connect(memory)) as known, known:
        known.execute(
            "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, mark TEXT, sha256 TEXT)"
        )
        read: list[tuple[str, str, str]] = []
        for path in paths:
            found[path] = ""
            with suppress(OSError):
                stat = os.stat(path)
                mark = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
                row = known.execute("SELECT mark, sha256 FROM files WHERE path = ?", (path,))
                was, digest = row.fetchone() or ("", "")
                found[path] = digest if was == mark else file_sha256(path)
                changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
                if was != mark and time.time_ns() - changed > FRESH_NS:
                    read.append((path, mark, found[path]))
        known.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", read)
    return found
