"""Which files make a set of the generic form: one file, or the Parquet shards of one split."""

from __future__ import annotations

import re
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.files import unreadable
from vlsbench.pairs._readers import PACKED, form_of

RELEASE = "release.json"
"""Marks a folder that `vlsbench release` wrote: its pairs are in `data/`."""
FORMS = (".jsonl", ".csv", ".parquet", ".json", ".arrow")
"""Of files, as `form_of` tells them."""
DISK = "state.json"
"""Marks a folder that `datasets.save_to_disk` wrote."""
ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", DISK, RELEASE, "card.json")
"""Say something about a set."""
_SHARD = re.compile(r"(.*?)[-_.]?(\d+)(?:-of-(\d+))?(?:-[0-9a-f]{8,}[\w.-]*)?\.parquet")


def files_of(path: Path) -> list[Path]:
    """Return the files of the set at a path: a file, a folder, or a pattern such as `test-*`.

    Raises:
        VlsbenchError: There is none, or there are several.
    """
    if path.is_file():
        if form_of(path) not in FORMS:
            raise VlsbenchError(
                f"{path}: not one of {', '.join(FORMS)} (.tsv and .ndjson too; packed as "
                f"{', '.join(PACKED)})"
            )
        return [path]
    if "*" in path.name and (files := sorted(path.parent.glob(path.name))):
        return _one_set(path, files)
    if not path.is_dir():
        raise VlsbenchError(unreadable(path, FileNotFoundError()))
    if found := _in_folder(path):
        return found
    below = (p for p in (*path.glob("*"), *path.glob("*/*")) if p.is_dir() and p.name[0] != ".")
    within = {folder: files for folder in sorted(below) if (files := _in_folder(folder))}
    if len(within) == 1:
        return next(iter(within.values()))
    what = "no metadata.jsonl, .csv or .parquet file"
    if within:
        what = f"several sets (name one folder): {', '.join(map(str, [*within][:8]))}"
    raise VlsbenchError(f"{path} holds {what}")


def _in_folder(path: Path) -> list[Path]:
    """Return the files of the set in a folder; empty where it holds none.

    Raises:
        VlsbenchError: It holds several.
    """
    if (path / DISK).is_file():
        return sorted(path.glob("*.arrow"))
    inside = sorted(p for p in path.glob("*") if form_of(p) in FORMS and p.is_file())
    if stated := [p for p in inside if p.name.startswith("metadata.") and form_of(p) in FORMS[:3]]:
        return stated[:1]
    shards = [p for p in inside if form_of(p) == ".parquet"] or sorted(path.glob("data/*.parquet"))
    if shards and (path / RELEASE).is_file():
        # What else lies in a release, its provenance say, is no set; its splits are one.
        return shards
    found = [*shards, *(p for p in inside if form_of(p) in (".jsonl", ".csv"))]
    found = found or [p for p in inside if form_of(p) == ".json" and p.name not in ABOUT]
    return _one_set(path, found)


def _one_set(path: Path, files: list[Path]) -> list[Path]:
    """Return files that are one set: a single one, or shards that are numbered through.

    Raises:
        VlsbenchError: They are several, or shards are missing; what is there would be read as a
            set that nobody published.
    """
    if len(files) < 2 and "-of-" not in "".join(file.name for file in files):
        return files
    shards = [shard for file in files if (shard := _SHARD.fullmatch(file.name))]
    alike = len(shards) == len(files) and len({shard[1] for shard in shards}) == 1
    if alike and (count := int(shards[0][3] or 0)) > len(files):
        raise VlsbenchError(
            f"{path} holds {len(files)} of {count} shards, such as {files[0]}: fetch the rest, or "
            "name one file"
        )
    # Years and versions are no numbers of shards, which begin at 0 or 1.
    if not alike or max(int(shard[2]) for shard in shards) > len(files):
        raise VlsbenchError(
            f"{path} holds several sets ({', '.join(file.name for file in files[:8])}): name one "
            f"(its shards as 'NAME-*.parquet'), such as {files[-1]}"
        )
    return files
