"""Whether a release is what it says: checksums, counts, columns, images, ids, Croissant."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.files import file_sha256
from vlsbench.pairs import ImageError, decode
from vlsbench.releasing._about import (
    CARD,
    CHECKSUMS,
    CROISSANT,
    RELEASE_JSON,
    REQUIRED,
    Column,
    Release,
    Split,
    read_release,
)
from vlsbench.releasing._pairs import tracked
from vlsbench.releasing._records import ROWS, schema


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    folder: Path
    name: str
    version: str
    pairs: int
    images: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    """What could not be checked here."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(folder: Path, *, progress: bool = True) -> Verified:
    """Check a release, and list everything that is wrong with it.

    Raises:
        VlsbenchError: The folder is no release, or its `release.json` not of its schema.
    """
    about = read_release(folder)
    wanted = (CARD, CHECKSUMS, CROISSANT, RELEASE_JSON)
    faults = [f"{name} is missing" for name in wanted if not (folder / name).is_file()]
    faults += _checksums(folder)
    ids, images = Counter[str](), dict[str, str]()
    faults += _rows(folder, about, ids, images, progress=progress)
    notes: list[str] = []
    faults += _croissant(folder, notes)
    counts = (ids.total(), len(images))
    return Verified(folder, about.name, about.version, *counts, tuple(faults), tuple(notes))


def _checksums(folder: Path) -> Iterator[str]:
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return
    listed = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        # The Hub's clients keep files of their own beside a set.
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }
    yield from (f"{name} is listed but missing" for name in sorted(listed.keys() - there))
    yield from (f"{name} is not listed" for name in sorted(there - listed.keys() - {CHECKSUMS}))
    for name in sorted(listed.keys() & there):
        if file_sha256(folder / name) != listed[name]:
            yield f"{name} is not what {CHECKSUMS} says (SHA-256)"


def _rows(
    folder: Path,
    about: Release,
    ids: Counter[str],
    images: dict[str, str],
    *,
    progress: bool,
) -> Iterator[str]:
    """Walk the records; fill ids, and image → split."""
    harmful, decoded = 0, set[str]()
    for split in about.splits:
        found = Counter[str]()
        for file in split.files:
            rows = _shard(folder, file, about.columns)
            for row in tracked(rows, f"checking {file}", None, progress=progress):
                if isinstance(row, str):
                    yield row
                    continue
                id = row["id"]
                found.update(pairs=1, harmful=bool(row["harmful"]))
                ids[id] += 1
                if ids[id] > 1:
                    yield f"{file}: id {id!r} occurs twice"
                for image in row["images"] if "images" in row else [row["image"]]:
                    name, data = str(image["path"]), image["bytes"] or b""
                    if images.setdefault(name, split.name) != split.name:
                        yield f"image {name} is in the splits {images[name]} and {split.name}"
                    digest = hashlib.sha256(data).hexdigest()
                    try:
                        if digest not in decoded:
                            decode(data, name)
                            decoded.add(digest)
                        if name.partition(".")[0] != digest:
                            yield f"pair {id!r}: image {name} is not what its name says"
                    except ImageError as error:
                        yield f"pair {id!r}: {error}"
        found["images"] = [*images.values()].count(split.name)
        yield from _counts(f"split {split.name}", split, found)
        harmful += found["harmful"]
    found = Counter(pairs=ids.total(), harmful=harmful, images=len(images))
    yield from _counts("all", about, found)
    if harmful and not about.gated:
        yield f"harmful pairs, and {RELEASE_JSON} does not say that access is gated"


def _shard(folder: Path, name: str, columns: tuple[Column, ...]) -> Iterator[dict[str, Any] | str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(folder / name) as file:
            if not file.schema_arrow.equals(schema(columns), check_metadata=True):
                yield f"{name} has other columns than {RELEASE_JSON} says"
                return
            for batch in file.iter_batches(ROWS):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        yield f"{name} cannot be read ({error})"


def _counts(where: str, told: Release | Split, found: Mapping[str, int]) -> Iterator[str]:
    for what in ("pairs", "harmful", "images"):
        if (said := getattr(told, what)) != found[what]:
            yield f"{found[what]:,} {what} in {where}, {RELEASE_JSON} says {said:,}"


def _croissant(folder: Path, notes: list[str]) -> Iterator[str]:
    try:
        content = json.loads((folder / CROISSANT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError as error:
        yield f"{CROISSANT} is not valid JSON ({error})"
        return
    if missing := [name for name in REQUIRED if name not in content]:
        notes.append(f"{CROISSANT} lacks what dataset tracks require: {', '.join(missing)}")
    try:
        import mlcroissant
    except ImportError:
        notes.append(f"{CROISSANT} was not validated: pip install 'vlsbench[release]'")
        return
    try:
        issues = mlcroissant.Dataset(jsonld=content).metadata.ctx.issues.errors
    except Exception as error:
        # It raises its own error for what it names, and Python's for what it trips over.
        yield f"{CROISSANT} does not validate: {error}"
        return
    yield from (f"{CROISSANT}: {issue}" for issue in issues)
