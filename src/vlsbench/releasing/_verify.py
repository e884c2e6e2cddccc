"""Whether a release is what it says: checksums, counts, columns, images, ids, card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.files import file_sha256
from vlsbench.pairs import ImageData, ImageError
from vlsbench.releasing._about import (
    CARD,
    CHANGELOG,
    CHECKSUMS,
    CROISSANT,
    FOLDER,
    RELEASE_JSON,
    Column,
    Release,
    Split,
    read_release,
)
from vlsbench.releasing._pairs import Decoded, Watch
from vlsbench.releasing._records import ROWS, schema, with_paths


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


def verify(folder: Path, watch: Watch = lambda what, done, total: None) -> Verified:
    """Check a release, and list everything that is wrong with it.

    Raises:
        VlsbenchError: The folder is no release, or its `release.json` not of its schema.
    """
    about = read_release(folder)
    wanted = (CARD, CHANGELOG, CHECKSUMS, CROISSANT, RELEASE_JSON)
    faults = [f"{name} is missing" for name in wanted if not (folder / name).is_file()]
    faults += _checksums(folder)
    ids, images = Counter[str](), dict[str, str]()
    faults += _rows(folder, about, watch, ids, images)
    faults += _card(folder, about)
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
    folder: Path, about: Release, watch: Watch, ids: Counter[str], images: dict[str, str]
) -> Iterator[str]:
    """Walk the records of both forms side by side; fill ids, and image → split."""
    harmful, decoded = 0, set[str]()
    for split in about.splits:
        metadata = f"{FOLDER}/{split.name}/metadata.jsonl"
        lines, found = _lines(folder / metadata), Counter[str]()
        for file in split.files:
            for row in _shard(folder, file, about.columns):
                if isinstance(row, str):
                    yield row
                    continue
                id, several = row["id"], "images" in row
                found.update(pairs=1, harmful=bool(row["harmful"]))
                ids[id] += 1
                watch("checking", ids.total(), about.pairs)
                if ids[id] > 1:
                    yield f"{file}: id {id!r} occurs twice"
                embedded = row["images"] if several else [row["image"]]
                names = [str(image["path"]) for image in embedded]
                row |= {"images": names} if several else {"image": names[0]}
                if next(lines, None) != with_paths(row):
                    yield f"{metadata}: record {id!r} is not that of {file}"
                for name, image in zip(names, embedded, strict=True):
                    if images.setdefault(name, split.name) != split.name:
                        yield f"image {name} is in the splits {images[name]} and {split.name}"
                    try:
                        data = ImageData.of(image["bytes"] or b"", name)
                        if name not in decoded or name[:64] != data.sha256:
                            if Decoded.of(data, name).name != name:
                                yield f"pair {id!r}: image {name} is not what its name says"
                            decoded.add(name)
                    except ImageError as error:
                        yield f"pair {id!r}: {error}"
        if next(lines, None) is not None:
            yield f"{metadata} has more records than the Parquet"
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


def _lines(path: Path) -> Iterator[Any]:
    try:
        with open(path, encoding="utf-8") as file:
            yield from map(json.loads, file)
    except (OSError, ValueError):
        return


def _counts(where: str, told: Release | Split, found: Mapping[str, int]) -> Iterator[str]:
    for what in ("pairs", "harmful", "images"):
        if (said := getattr(told, what)) != found[what]:
            yield f"{found[what]:,} {what} in {where}, {RELEASE_JSON} says {said:,}"


def _card(folder: Path, about: Release) -> Iterator[str]:
    from huggingface_hub import DatasetCard

    try:
        header = DatasetCard((folder / CARD).read_text(encoding="utf-8")).data
    except OSError:
        return
    except Exception as error:
        # YAML's own errors differ from parser to parser.
        yield f"{CARD} has no readable header ({error})"
        return
    wanted = ["license", "configs", "tags"]
    if about.gated:
        wanted += ["extra_gated_prompt", "extra_gated_fields"]
        if "not-for-all-audiences" not in (header.get("tags") or ()):
            yield f"{CARD} is not tagged not-for-all-audiences"
    yield from (f"{CARD}: its header has no {name}" for name in wanted if not header.get(name))


def _croissant(folder: Path, notes: list[str]) -> Iterator[str]:
    try:
        content = json.loads((folder / CROISSANT).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    except ValueError as error:
        yield f"{CROISSANT} is not valid JSON ({error})"
        return
    for part in content.get("distribution", ()):
        file = folder / part.get("contentUrl", "")
        if "sha256" in part and file.is_file() and file_sha256(file) != part["sha256"]:
            yield f"{CROISSANT}: SHA-256 of {part['@id']} is another"
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
