"""The records of a release, split by split, in both forms, in the order of their ids."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from vlsbench.errors import VlsbenchError
from vlsbench.releasing._about import DATA, FOLDER, Column, Kind, Split
from vlsbench.releasing._columns import ABOUT, ROWS, cell, columns_of, write_parquet
from vlsbench.releasing._pairs import Entry, Pool, Watch, place, twin_of
from vlsbench.releasing._splits import assign_splits


class Records:
    """Writes the records."""

    def __init__(self, folder: Path, pool: Pool, entries: Sequence[Entry], watch: Watch) -> None:
        """Take the folder to fill, the images and the pairs, and who is told of progress."""
        several = any(len(entry.images) > 1 for entry in entries)
        self.columns = columns_of((entry.pair.meta for entry in entries), several)
        self._folder, self._pool, self._entries = folder, pool, entries
        self._watch, self._done = watch, 0

    def write(self, shares: Mapping[str, float], shard_bytes: int) -> tuple[Split, ...]:
        """Write all splits, moving images out of the pool.

        Args:
            shares: Split → share of the clusters of images.
            shard_bytes: Bytes of images in one Parquet file, about.

        Raises:
            VlsbenchError: A split gets no pair.
        """
        assigned = assign_splits(
            {entry.pair.id: entry.images for entry in self._entries},
            {entry.pair.id: twin_of(entry.pair) for entry in self._entries},
            shares,
        )
        splits = {
            name: [entry for entry in self._entries if assigned[entry.pair.id] == name]
            for name in shares
        }
        for name, entries in splits.items():
            if not entries:
                raise VlsbenchError(
                    f"split {name}={shares[name]:g} gets none of {len(self._entries):,} pairs: "
                    "give it a larger share, or leave it out"
                )
        (self._folder / DATA).mkdir()
        return tuple(self._split(name, some, shard_bytes) for name, some in splits.items())

    def _split(self, split: str, entries: Sequence[Entry], shard_bytes: int) -> Split:
        home = self._folder / FOLDER / split
        used = sorted({name for entry in entries for name in entry.images})
        for name in used:
            target = home / place(name)
            target.parent.mkdir(parents=True, exist_ok=True)
            (self._pool.folder / name).rename(target)
        size = sum(self._pool.decoded[name].size for entry in entries for name in entry.images)
        # Shards end where row groups do.
        rows = -(-len(entries) // max(1, -(-size // shard_bytes)) // ROWS) * ROWS
        shards = [entries[start : start + rows] for start in range(0, len(entries), rows)]
        names = [f"{DATA}/{split}-{i:05d}-of-{len(shards):05d}.parquet" for i in range(len(shards))]
        with open(home / "metadata.jsonl", "w", encoding="utf-8", newline="\n") as lines:
            for name, shard in zip(names, shards, strict=True):
                write_parquet(
                    self._folder / name,
                    self.columns,
                    self._rows(shard, lines),
                    lambda name: (home / place(name)).read_bytes(),
                )
        harmful = sum(entry.pair.harmful for entry in entries)
        return Split(split, len(entries), harmful, len(used), tuple(names))

    def _rows(self, entries: Sequence[Entry], lines: IO[str]) -> Iterator[dict[str, Any]]:
        for entry in entries:
            row = _row(self.columns, entry)
            lines.write(json.dumps(with_paths(row), ensure_ascii=False) + "\n")
            self._done += 1
            self._watch("writing", self._done, len(self._entries))
            yield row


def _row(columns: Sequence[Column], entry: Entry) -> dict[str, Any]:
    row: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            row[column.name] = entry.images[0]
        elif column.kind is Kind.IMAGES:
            row[column.name] = list(entry.images)
        elif column.name in ABOUT:
            # All but the licence are fields of the pair.
            row[column.name] = getattr(entry.pair, column.name, entry.licence)
        else:
            row[column.name] = cell(column.kind, entry.pair.meta.get(column.origin))
    return row


def with_paths(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row as imagefolder wants it: `file_name` first, or `file_names`."""
    rest = dict(row)
    if "images" in rest:
        return {"file_names": [place(name) for name in rest.pop("images")], **rest}
    return {"file_name": place(rest.pop("image")), **rest}
