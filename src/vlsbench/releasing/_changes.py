"""What is different from the release before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Embedded, RowError, read_parquet
from vlsbench.releasing._config import version_of
from vlsbench.releasing._types import (
    CHANGELOG,
    DATA,
    RELEASE_JSON,
    SCHEMA,
    Changes,
    Release,
    Settings,
)

SHOWN = 50
"""Ids of one kind in the changelog; `release.json` has all."""
Digest = Mapping[str, bytes]
"""Column → digest of its value."""


def read_release_json(folder: Path) -> dict[str, Any]:
    """Read the `release.json` of a folder as plain values.

    Raises:
        VlsbenchError: There is none, or it is of another schema.
    """
    path = folder / RELEASE_JSON
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VlsbenchError(f"{folder} is no release: it has no {RELEASE_JSON}") from None
    except (OSError, ValueError) as error:
        raise VlsbenchError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise VlsbenchError(f"{path} follows {found!r}; this version reads {SCHEMA}")
    return content


def digest(row: Mapping[str, Any]) -> Digest:
    """Return a digest of each value of a row whose images are given by name."""
    return {
        name: hashlib.blake2b(
            json.dumps(value, ensure_ascii=False).encode(), digest_size=8
        ).digest()
        for name, value in row.items()
    }


def rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Walk the rows of a release, images given by name, without reading their bytes.

    Raises:
        VlsbenchError: A file of it cannot be read.
    """
    for path in sorted((folder / DATA).glob("*.parquet")):
        for label, row in read_parquet(path):
            if isinstance(row, RowError) or not isinstance(row, dict):
                raise VlsbenchError(f"{path}, row {label}: {row}")
            yield {name: _by_name(name, value) for name, value in row.items()}


def _by_name(column: str, value: Any) -> Any:
    if isinstance(value, Embedded):
        return list(value.names) if column == "images" else value.names[0]
    return value


class Before:
    """The release before: its version, and a digest of each of its records."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Read it.

        Raises:
            VlsbenchError: It is no release, is of another name, or is not older.
        """
        content = read_release_json(folder)
        self.version = str(content.get("version"))
        if content.get("name") != settings.name:
            raise VlsbenchError(
                f"--previous {folder} is {content.get('name')}, not {settings.name}"
            )
        if version_of(self.version) >= version_of(settings.version):
            raise VlsbenchError(
                f"version {settings.version} does not come after {self.version} of --previous "
                f"{folder}"
            )
        self._records = {str(row["id"]): digest(row) for row in rows_of(folder)}
        try:
            self.changelog = (folder / CHANGELOG).read_text(encoding="utf-8")
        except OSError:
            self.changelog = ""

    def changes(self, now: Mapping[str, Digest]) -> Changes:
        """Return what is different now.

        Args:
            now: Id → digests of the record.
        """
        before = self._records
        old = {name for record in before.values() for name in record}
        new = {name for record in now.values() for name in record}
        both = old & new
        changed = {
            id: names
            for id in sorted(before.keys() & now.keys())
            if (names := tuple(n for n in sorted(both) if before[id].get(n) != now[id].get(n)))
        }
        return Changes(
            previous=self.version,
            added=tuple(sorted(now.keys() - before.keys())),
            removed=tuple(sorted(before.keys() - now.keys())),
            changed=changed,
            columns_added=tuple(sorted(new - old)),
            columns_removed=tuple(sorted(old - new)),
        )


def changelog(release: Release, before: str) -> str:
    """Return the changelog with this release on top.

    Args:
        release: This one.
        before: The changelog of the one before, empty for the first.
    """
    from vlsbench.releasing._text import md

    lines = ["# Changelog", "", f"## {release.version} ({release.date})", ""]
    changes = release.changes
    if changes is None:
        lines.append(f"First release: {release.pairs:,} pairs, {release.images:,} images.")
    else:
        lines += [
            f"{release.pairs:,} pairs, {release.images:,} images. Since {changes.previous}: "
            f"{len(changes.added):,} added, {len(changes.removed):,} removed, "
            f"{len(changes.changed):,} changed.",
            "",
        ]
        changed = [f"{md(id)} ({', '.join(names)})" for id, names in changes.changed.items()]
        for what, items in (
            ("Columns added", [md(name) for name in changes.columns_added]),
            ("Columns removed", [md(name) for name in changes.columns_removed]),
            ("Added", [md(id) for id in changes.added]),
            ("Removed", [md(id) for id in changes.removed]),
            ("Changed", changed),
        ):
            if items:
                more = f", and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
                lines.append(f"- {what}: {', '.join(items[:SHOWN])}{more}")
    rest = before.partition("\n## ")[2]
    text = "\n".join(lines) + "\n"
    return f"{text}\n## {rest}" if rest else text
