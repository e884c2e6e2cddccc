"""What image files hold: their digests, remembered by the files' size and times."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing, suppress

from vlsbench.files import cache_folder, file_sha256

FILE = "digests.sqlite"
FRESH_NS = 2_000_000_000
"""A file changed less long ago is not remembered: it may change again within one tick."""
_TABLE = "CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, mark TEXT, sha256 TEXT)"


def file_digests(paths: Iterable[str]) -> dict[str, str]:
    """Return file → SHA-256, hex; empty where a file cannot be read.

    A file is read only where its size or times are not those that are remembered of it.
    """
    found: dict[str, str] = {}
    read: list[tuple[str, str, str]] = []
    with closing(_remembered()) as known:
        for path in dict.fromkeys(paths):
            found[path] = ""
            with suppress(OSError):
                stat = os.stat(path)
                mark = f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
                row = known.execute("SELECT mark, sha256 FROM files WHERE path = ?", (path,))
                was, digest = row.fetchone() or ("", "")
                if was != mark:
                    digest = file_sha256(path)
                    if time.time_ns() - max(stat.st_mtime_ns, stat.st_ctime_ns) > FRESH_NS:
                        read.append((path, mark, digest))
                found[path] = digest
        if read:
            with suppress(sqlite3.Error), known:
                known.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", read)
    return found


def _remembered() -> sqlite3.Connection:
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        known = sqlite3.connect(cache_folder() / FILE)
        known.execute(_TABLE)
    except (OSError, sqlite3.Error):  # a home that cannot be written: files are read each time
        known = sqlite3.connect(":memory:")
        known.execute(_TABLE)
    return known
