"""Files written whole or not at all, and what they hold: digests remembered by size and times."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.errors import VlsbenchError
from vlsbench.text import csv_cell, did_you_mean, first_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

FRESH_NS = 2_000_000_000
"""A file changed less long ago is not remembered: it may change again within one tick."""


def cache_folder() -> Path:
    """Return where fetched and computed things are kept: `$VLSBENCH_HOME`, or the user's cache."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("VLSBENCH_HOME") or Path(cache) / "vlsbench").expanduser()


def output_folder(path: Path) -> Path:
    """Make a folder to write into, where it is not there. Raises `VlsbenchError`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise VlsbenchError(
            f"{path} cannot be written into ({error.strerror}): choose another folder"
        ) from None
    return path


def file_sha256(path: Path | str) -> str:
    """Return the SHA-256 of a file, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def file_digests(paths: Iterable[str]) -> dict[str, str]:
    """Return file → SHA-256, hex; empty where a file cannot be read.

    A file is read only where its size or times are not those that are remembered of it.
    """
    wanted = tuple(dict.fromkeys(paths))
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        return _digests(wanted, cache_folder() / "digests.sqlite")
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


def unreadable(path: Path | str, error: Exception) -> str:
    """Say in words why a file cannot be read; where there is none, name one that is called so."""
    path = Path(path)
    if not isinstance(error, FileNotFoundError):
        return f"{path}: {getattr(error, 'strerror', None) or first_line(error)}"
    beside = sorted(path.parent.iterdir()) if path.parent.is_dir() else []
    near = did_you_mean(path.name, (one.name for one in beside), 0.75)
    what = "no such file" if path.suffix else "no such file or folder"
    return f"{path}: {what}; {near}".rstrip("; ")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Give a name to write to, which takes the place of `path` once all went well."""
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of `path` once all went well."""
    path = path.absolute()
    part, old = (path.with_name(f".{path.name}.{state}") for state in ("part", "old"))
    shutil.rmtree(part, ignore_errors=True)
    try:
        part.mkdir(parents=True)
        yield part
        # Renames, so that neither is ever there in part.
        if there := path.exists():
            shutil.rmtree(old, ignore_errors=True)
            path.rename(old)
        try:
            part.rename(path)
        except OSError:
            if there:
                old.rename(path)
            raise
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def write_text(text: str, path: Path) -> None:
    """Write text as UTF-8 with plain newlines; half surrogates become `?`."""
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def write_jsonl(rows: Iterable[Mapping[str, Any]], path: Path) -> int:
    """Write JSON Lines, half surrogates as escapes; return how many. Raises `OSError`."""
    count = 0
    with (
        whole_file(path) as part,
        open(part, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def write_csv(rows: Iterable[Iterable[Any]], path: Path, columns: Iterable[str]) -> None:
    """Write a CSV file for spreadsheets, none of whose cells they compute.

    Half surrogates, legal in JSON, become `?`: a file that is not UTF-8 could not be read again.
    """
    with (
        whole_file(path) as part,
        open(part, "w", encoding="utf-8", errors="replace", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(map(csv_cell, row) for row in rows)


def write_json(content: DataclassInstance, path: Path) -> None:
    """Write figures as JSON.

    Raises:
        OSError: The file cannot be written.
    """
    with whole_file(path) as part:
        # Half surrogates, legal in JSON, have no UTF-8 form: they stay escapes.
        text = json.dumps(asdict(content), indent=2, ensure_ascii=False)
        part.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
