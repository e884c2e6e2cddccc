"""What is different from the release before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Embedded, RowError, read_parquet
from vlsbench.releasing._about import CHANGELOG, DATA, Changes, Column, read_release
from vlsbench.releasing._settings import Settings, version_of


def _digests(row: Mapping[str, Any]) -> dict[str, int]:
    """Return a number for each value of a row whose images are given by name."""
    return {name: hash(json.dumps(value)) for name, value in row.items()}


def _rows_of(folder: Path) -> Iterator[dict[str, Any]]:
    """Walk the rows of a release, images given by name, without reading their bytes."""
    for path in sorted((folder / DATA).glob("*.parquet")):
        for label, row in read_parquet(path):
            if isinstance(row, RowError) or not isinstance(row, dict):
                raise VlsbenchError(f"{path}, row {label}: {row}")
            for name, value in row.items():
                if isinstance(value, Embedded):
                    row[name] = list(value.names) if name == "images" else value.names[0]
            yield row


class Before:
    """The release before: its version, and a digest of each value of its records."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        """Read it.

        Raises:
            VlsbenchError: It is no release, is of another name, is not older, or a file of it
                cannot be read.
        """
        before = read_release(folder)
        self._version = before.version
        if before.name != settings.name:
            raise VlsbenchError(f"--previous {folder} is {before.name}, not {settings.name}")
        if version_of(self._version) >= version_of(settings.version):
            raise VlsbenchError(
                f"version {settings.version} does not come after {self._version} of --previous "
                f"{folder}"
            )
        self._left = {str(row["id"]): _digests(row) for row in _rows_of(folder)}
        self._columns = {name for row in self._left.values() for name in row}
        self._added: list[str] = []
        self._changed: dict[str, tuple[str, ...]] = {}
        try:
            self.changelog = (folder / CHANGELOG).read_text(encoding="utf-8")
        except OSError:
            self.changelog = ""

    def see(self, row: Mapping[str, Any]) -> None:
        """Take a record of the new release."""
        id = str(row["id"])
        if (was := self._left.pop(id, None)) is None:
            self._added.append(id)
            return
        now = _digests(row)
        if names := sorted(name for name in now.keys() & was.keys() if now[name] != was[name]):
            self._changed[id] = tuple(names)

    def changes(self, columns: tuple[Column, ...]) -> Changes:
        """Return what is different, once all records were seen."""
        now = {column.name for column in columns}
        return Changes(
            previous=self._version,
            added=tuple(sorted(self._added)),
            removed=tuple(sorted(self._left)),
            changed=dict(sorted(self._changed.items())),
            columns_added=tuple(sorted(now - self._columns)),
            columns_removed=tuple(sorted(self._columns - now)),
        )
