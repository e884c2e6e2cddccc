"""Whether a release is what it says: checksums, counts, columns, images, ids, card."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.pairs import ImageData, ImageError
from vlsbench.releasing import _parquet
from vlsbench.releasing._changes import read_release_json
from vlsbench.releasing._gather import Watch
from vlsbench.releasing._images import decode, place
from vlsbench.releasing._types import (
    CARD,
    CHANGELOG,
    CHECKSUMS,
    CROISSANT,
    FOLDER,
    RELEASE_JSON,
    Column,
    Kind,
)
from vlsbench.releasing._write import sha256

WANTED = (CARD, CHANGELOG, CHECKSUMS, CROISSANT, RELEASE_JSON)


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
        VlsbenchError: The folder is no release at all.
    """
    about = read_release_json(folder)
    faults = [f"{name} is missing" for name in WANTED if not (folder / name).is_file()]
    faults += _checksums(folder)
    rows = _Rows(folder, about, watch)
    try:
        faults += rows.check()
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        faults.append(f"{RELEASE_JSON} is not of its schema ({error!r})")
    faults += _card(folder, about)
    found, notes = _croissant(folder)
    return Verified(
        folder,
        str(about.get("name")),
        str(about.get("version")),
        rows.pairs,
        len(rows.images),
        tuple(faults + found),
        tuple(notes),
    )


def _checksums(folder: Path) -> Iterator[str]:
    try:
        lines = (folder / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return
    listed = {}
    for line in lines:
        expected, _, name = line.partition("  ")
        listed[name] = expected
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        # The Hub's clients keep files of their own beside a set.
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }
    yield from (f"{name} is listed and not there" for name in sorted(listed.keys() - there))
    yield from (
        f"{name} is there and not listed" for name in sorted(there - listed.keys() - {CHECKSUMS})
    )
    for name in sorted(listed.keys() & there):
        if sha256(folder / name) != listed[name]:
            yield f"{name} is not what {CHECKSUMS} says (SHA-256)"


class _Rows:
    """Walks the records of both forms side by side."""

    def __init__(self, folder: Path, about: dict[str, Any], watch: Watch) -> None:
        self._folder, self._about, self._watch = folder, about, watch
        self.pairs = 0
        self.images: dict[str, str] = {}
        """Image → split."""
        self._ids: set[str] = set()
        self._decoded: set[str] = set()
        self._torn: set[str] = set()

    def check(self) -> Iterator[str]:
        """Yield what is wrong."""
        columns = [Column(**{**c, "kind": Kind(c["kind"])}) for c in self._about["columns"]]
        harmful = 0
        for split in self._about["splits"]:
            before = self.pairs
            of_split = 0
            lines = self._lines(split["name"])
            for file in split["files"]:
                for row in self._shard(file, columns):
                    if isinstance(row, str):
                        yield row
                        continue
                    of_split += bool(row["harmful"])
                    yield from self._record(split["name"], file, row, next(lines, None))
            if next(lines, None) is not None:
                yield f"{FOLDER}/{split['name']}/metadata.jsonl has more records than the Parquet"
            for what, told, found in (
                ("pairs", split["pairs"], self.pairs - before),
                ("harmful pairs", split["harmful"], of_split),
                ("images", split["images"], list(self.images.values()).count(split["name"])),
            ):
                if told != found:
                    yield f"split {split['name']}: {found:,} {what}, {RELEASE_JSON} says {told:,}"
            harmful += of_split
        for what, found in (
            ("pairs", self.pairs),
            ("harmful", harmful),
            ("images", len(self.images)),
        ):
            if self._about[what] != found:
                yield f"{found:,} {what} in all, {RELEASE_JSON} says {self._about[what]:,}"
        if harmful and not self._about["gated"]:
            yield f"harmful pairs, and {RELEASE_JSON} does not say that access is gated"

    def _shard(self, name: str, columns: list[Column]) -> Iterator[dict[str, Any] | str]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            with pq.ParquetFile(self._folder / name) as file:
                if not file.schema_arrow.equals(_parquet.schema(columns), check_metadata=True):
                    yield f"{name} has other columns than {RELEASE_JSON} says"
                    return
                for batch in file.iter_batches(_parquet.ROWS):
                    yield from batch.to_pylist()
        except (pa.ArrowException, OSError) as error:
            yield f"{name} cannot be read ({error})"

    def _lines(self, split: str) -> Iterator[dict[str, Any]]:
        try:
            with open(self._folder / FOLDER / split / "metadata.jsonl", encoding="utf-8") as file:
                for line in file:
                    row = json.loads(line)
                    yield row if isinstance(row, dict) else {}
        except (OSError, ValueError):
            return

    def _record(
        self, split: str, file: str, row: dict[str, Any], line: dict[str, Any] | None
    ) -> Iterator[str]:
        self.pairs += 1
        self._watch("checking", self.pairs, int(self._about["pairs"]))
        id = row["id"]
        if id in self._ids:
            yield f"{file}: id {id!r} is there twice"
        self._ids.add(id)
        several = "images" in row
        embedded = row.pop("images") if several else [row.pop("image")]
        named = [str(image["path"]) for image in embedded]
        paths = [place(name) for name in named]
        same = {"file_names": paths, **row} if several else {"file_name": paths[0], **row}
        if line != same:
            yield f"{FOLDER}/{split}/metadata.jsonl: record {id!r} is not that of {file}"
        for name, image in zip(named, embedded, strict=True):
            yield from self._image(split, id, name, image["bytes"])

    def _image(self, split: str, id: str, name: str, data: bytes | None) -> Iterator[str]:
        if self.images.setdefault(name, split) != split and name not in self._torn:
            self._torn.add(name)
            yield f"image {name} is in the splits {self.images[name]} and {split}"
        try:
            found = ImageData.of(data or b"", name)
            if name in self._decoded and name[:64] == found.sha256:
                return
            if decode(found, name).name != name:
                yield f"pair {id!r}: image {name} is not what its name says"
            self._decoded.add(name)
        except ImageError as error:
            yield f"pair {id!r}: {error}"


def _card(folder: Path, about: dict[str, Any]) -> Iterator[str]:
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
    if about.get("gated"):
        wanted += ["extra_gated_prompt", "extra_gated_fields"]
        if "not-for-all-audiences" not in (header.get("tags") or ()):
            yield f"{CARD} is not tagged not-for-all-audiences"
    yield from (f"{CARD}: its header has no {name}" for name in wanted if not header.get(name))


def _croissant(folder: Path) -> tuple[list[str], list[str]]:
    path = folder / CROISSANT
    if not path.is_file():
        return [], []
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        return [f"{CROISSANT} is no JSON ({error})"], []
    faults = [
        f"{CROISSANT}: SHA-256 of {part['@id']} is another"
        for part in content.get("distribution", ())
        if "sha256" in part
        and (folder / part["contentUrl"]).is_file()
        and sha256(folder / part["contentUrl"]) != part["sha256"]
    ]
    try:
        import mlcroissant
    except ImportError:
        return faults, [f"{CROISSANT} was not validated: pip install 'vlsbench[release]'"]
    faults += _quietly(lambda: mlcroissant.Dataset(jsonld=content))
    return faults, []


def _quietly(validate: Callable[[], Any]) -> list[str]:
    """Return what the validator calls an error."""
    try:
        dataset = validate()
    except Exception as error:
        # It raises its own error for what it names, and Python's for what it trips over.
        return [f"{CROISSANT} does not validate: {error}"]
    return [f"{CROISSANT}: {issue}" for issue in dataset.metadata.ctx.issues.errors]
