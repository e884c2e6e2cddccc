"""What is different from the release before."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Embedded, RowError, read_parquet
from vlsbench.releasing._config import version_of
from vlsbench.releasing._types import DATA, RELEASE_JSON, SCHEMA, Changes, Settings


def read_release_json(folder: Path) -> dict[str, Any]:
    """Read the `release.json` of a folder as plain values.

    Raises:
        VlsbenchError: There is none, or it is of another schema.
    """
    path = folder / RELEASE_JSON
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise VlsbenchError(f"{folder} is not a release: it has no {RELEASE_JSON}") from None
    except (OSError, ValueError) as error:
        raise VlsbenchError(f"{path} cannot be read: {error}") from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        found = content.get("schema") if isinstance(content, dict) else None
        raise VlsbenchError(f"{path} follows {found!r}; this version reads {SCHEMA}")
    return content


def version_before(folder: Path, settings: Settings) -> str:
    """Return the version of the release before.

    Raises:
        VlsbenchError: It is not a release, has another name, or is not older.
    """
    content = read_release_json(folder)
    version = str(content.get("version"))
    if content.get("name") != settings.name:
        raise VlsbenchError(f"--previous {folder} is {content.get('name')}, not {settings.name}")
    if version_of(version) >= version_of(settings.version):
        raise VlsbenchError(
            f"version {settings.version} does not come after {version} of --previous {folder}"
        )
    return version


def changes(previous: Path, version: str, folder: Path) -> Changes:
    """Return what is different from the release before.

    Args:
        previous: Folder of that one.
        version: Its version.
        folder: Folder of this one, its records written.

    Raises:
        VlsbenchError: A file cannot be read.
    """
    old, new = (dict(_rows_of(one)) for one in (previous, folder))
    before, now = ({name for row in rows.values() for name in row} for rows in (old, new))
    changed = {
        id: names
        for id in sorted(old.keys() & new.keys())
        if (names := tuple(n for n in sorted(before & now) if old[id].get(n) != new[id].get(n)))
    }
    return Changes(
        previous=version,
        added=tuple(sorted(new.keys() - old.keys())),
        removed=tuple(sorted(old.keys() - new.keys())),
        changed=changed,
        columns_added=tuple(sorted(now - before)),
        columns_removed=tuple(sorted(before - now)),
    )


def _rows_of(folder: Path) -> Iterator[tuple[str, dict[str, int]]]:
    """Walk the rows of a release: id, and a digest of each value; images count by their names."""
    for path in sorted((folder / DATA).glob("*.parquet")):
        for label, row in read_parquet(path):
            if isinstance(row, RowError) or not isinstance(row, dict):
                raise VlsbenchError(f"{path}, row {label}: {row}")
            yield (
                str(row["id"]),
                {
                    name: hash(repr(value.names if isinstance(value, Embedded) else value))
                    for name, value in row.items()
                },
            )
