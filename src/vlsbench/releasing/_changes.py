"""What is different from the release before."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Embedded, RowError, read_parquet
from vlsbench.releasing._about import DATA, Changes, read_release
from vlsbench.releasing._settings import Settings, version_of


def version_before(folder: Path, settings: Settings) -> str:
    """Return the version of the release before.

    Raises:
        VlsbenchError: It is not a release, has another name, or is not older.
    """
    before = read_release(folder)
    if before.name != settings.name:
        raise VlsbenchError(f"--previous {folder} is {before.name}, not {settings.name}")
    if version_of(before.version) >= version_of(settings.version):
        raise VlsbenchError(
            f"version {settings.version} does not come after {before.version} of --previous "
            f"{folder}"
        )
    return before.version


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
