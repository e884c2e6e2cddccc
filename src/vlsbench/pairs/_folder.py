"""Which files make a set of the generic form: one file, or the shards of one split."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
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
_SHARD = re.compile(r"(?:(.+?)[-_.])?(\d+)(-of-\d+)?(?:-[0-9a-f]{8,}[\w.-]*)?")
_COUNTED = re.compile(r"\d-of-(\d+)")


def files_of(path: Path) -> list[Path]:
    """Return the files of the set at a path: a file, a folder, or the name of a set in a folder.

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
    if not path.is_dir():
        # One of several sets in a folder, as `_in_folder` asks for it.
        sets = _sets(p for p in path.parent.glob("*") if form_of(p) in FORMS and p.is_file())
        asked = {key: sets[key] for key in sets if path.name in (key[0], "".join(key))}
        if files := _only(path, asked):
            return files
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
        VlsbenchError: It holds several; read together they would be a set that nobody published.
    """
    if (path / DISK).is_file():
        return sorted(path.glob("*.arrow"))
    inside = sorted(p for p in path.glob("*") if form_of(p) in FORMS and p.is_file())
    for form in FORMS[:3]:
        if stated := [p for p in inside if p.name.startswith("metadata.") and form_of(p) == form]:
            return stated[:1]
    shards = [p for p in inside if form_of(p) == ".parquet"] or sorted(path.glob("data/*.parquet"))
    if shards and (path / RELEASE).is_file():
        # What else lies in a release, its provenance say, is no set; its splits are one.
        return shards
    found = [*shards, *(p for p in inside if form_of(p) in (".jsonl", ".csv"))]
    found = found or [p for p in inside if form_of(p) == ".json" and p.name not in ABOUT]
    return _only(path, _sets(found))


def _sets(files: Iterable[Path]) -> dict[tuple[str, str], list[Path]]:
    """Return name and form of each set → its files; those that are numbered through are one."""
    found: dict[tuple[str, str], list[tuple[Path, str, re.Match[str] | None]]] = {}
    for file in sorted(files):
        stem = Path(file.stem).stem if file.suffix.lower() in PACKED else file.stem
        shard = _SHARD.fullmatch(stem)
        key = (shard[1] or "") if shard else stem, form_of(file)
        found.setdefault(key, []).append((file, stem, shard))
    sets: dict[tuple[str, str], list[Path]] = {}
    for (name, form), shards in found.items():
        # Years and versions are no numbers of shards, which begin at 0 or 1.
        one = all(shard and (shard[3] or int(shard[2]) <= len(shards)) for _, _, shard in shards)
        for file, stem, _ in shards:
            key = (name, form) if one else (stem, file.name[len(stem) :])
            sets.setdefault(key, []).append(file)
    return sets


def _only(path: Path, sets: Mapping[tuple[str, str], list[Path]]) -> list[Path]:
    """Return the files of the one set that there is; empty where there is none.

    Raises:
        VlsbenchError: There are several, or shards are missing; what is there would be read as a
            set that nobody published.
    """
    shared = Counter(name for name, _ in sets)
    labels = [
        files[0].name if len(files) == 1 else name if name and shared[name] == 1 else name + form
        for (name, form), files in sets.items()
    ]
    files = next(iter(sets.values()), [])
    if len(sets) > 1:
        one = files[0].parent / labels[-1]
        raise VlsbenchError(
            f"{path} holds several sets ({', '.join(labels[:8])}): name one, such as {one}"
        )
    stated = (_COUNTED.search(file.name) for file in files)
    if (count := max((int(found[1]) for found in stated if found), default=0)) > len(files):
        raise VlsbenchError(
            f"{path} holds {len(files)} of {count} shards, such as {files[0]}: fetch the rest, or "
            "name one file"
        )
    return files
