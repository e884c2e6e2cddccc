"""Rows as benchmarks publish them: JSON, JSONL, CSV, Parquet, with what is wrong kept per row.

Readers yield `(label, fields)`; a row that cannot even be read comes out as `(label, RowError)`.
Everything streams except JSON, which has no rows to stream.
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.pairs._pair import FileImage, Image, Pair
from vlsbench.pairs._parquet import Embedded, Labelled, ParquetImage, read_parquet
from vlsbench.text import storable

Rows = Iterator[Pair | BadRow]


class MissingFile(VlsbenchError):
    """The folder is not laid out as the benchmark is published."""


class RowError(Exception):
    """Why one row cannot be used."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one row, checked as they are read."""

    fields: dict[str, Any]
    label: str = ""
    """Where it stands in its file, as the user would look it up."""

    def text(self, key: str) -> str:
        """Return a required text. Raises `RowError` if it is absent, empty or no text."""
        if key not in self.fields:
            raise RowError(f"no {key!r}")
        value = self.maybe(key)
        if not value or value.isspace():
            raise RowError(f"{key!r} is empty")
        return value

    def maybe(self, key: str) -> str:
        """Return a text that may be absent, null or empty. Raises `RowError` if it is no text."""
        value = self.fields.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise RowError(f"{key!r} is {type(value).__name__}, not text")
        return value

    def id(self, key: str) -> str:
        """Return a required id, written as text or as a whole number."""
        value = self.fields.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(key)

    def image(self, key: str, ref: str) -> ParquetImage:
        """Return the image in a Parquet cell, named `ref`, or else as the file names it."""
        cell = self.fields.get(key)
        if not isinstance(cell, Embedded):
            raise RowError(f"no {key}")
        ref = ref or cell.names[0]
        return replace(cell.images[0], ref=ref) if ref else cell.images[0]

    def row(self, key: str) -> Fields:
        """Return a required object inside this one."""
        value = self.fields.get(key)
        if not isinstance(value, dict):
            raise RowError(f"{key!r} is no object")
        return Fields(value)

    def only(self, *keys: str) -> dict[str, Any]:
        """Return those of `keys` that the row has, for `Pair.meta`."""
        return {key: self.fields[key] for key in keys if self.fields.get(key) is not None}


def pairs_from(file: str, rows: Labelled, make: Callable[[Fields], Pair]) -> Rows:
    """Turn rows into pairs; a row that `make` rejects with `RowError` becomes a `BadRow`.

    Args:
        file: Name of the file, for the user.
        rows: What a reader of this module yields.
        make: From a row to its pair.
    """
    for label, fields in rows:
        result: Pair | BadRow
        try:
            if isinstance(fields, RowError):
                raise fields
            if not isinstance(fields, dict):
                raise RowError("is no object")
            result = make(Fields(fields, label))
        except RowError as error:
            result = BadRow(file, label, str(error))
        yield result


Column = str | Callable[[Fields], str]
"""A column of texts, or what makes a text of several; empty where the file has none."""


def read_pairs(
    file: Path,
    *,
    query: Column,
    id: Column = "",
    images: Callable[[Fields], Sequence[Image]] = lambda row: (),
    category: Column = "",
    subcategory: Column = "",
    harmful: bool | Callable[[Fields], bool] = True,
    description: Column = "",
    reason: Column = "",
    source: Column = "",
    meta: Sequence[str] | Callable[[Fields], dict[str, Any]] = (),
    needs: Sequence[str] = (),
) -> Rows:
    """Read the pairs of a file that holds one a row.

    Every row must have its id, query and category; the other texts may be absent or empty.

    Args:
        file: One of `READERS`.
        query: Column of the queries.
        id: Column of the ids; without one, a row's label is its id.
        images: Refers to a row's images.
        category: Column of the categories.
        subcategory: Column of the sub-categories.
        harmful: Whether the pairs are harmful.
        description: Column of what the images show.
        reason: Column of why pairs are harmful.
        source: Column of where images come from.
        meta: Columns kept as they are, where a row has them.
        needs: Columns that a CSV file must have, beside those of id, query and category.

    Raises:
        VlsbenchError: The file cannot be read, or is a CSV file that lacks a column.
    """

    def text(row: Fields, column: Column) -> str:
        return column(row) if callable(column) else row.text(column)

    def maybe(row: Fields, column: Column) -> str:
        # Without a name it is no column: pandas writes one of row numbers that has none.
        return column(row) if callable(column) else row.maybe(column) if column else ""

    def make(row: Fields) -> Pair:
        return Pair(
            id=row.label if not id else row.id(id) if isinstance(id, str) else id(row),
            query=text(row, query),
            images=tuple(images(row)),
            category=text(row, category) if category else "",
            subcategory=maybe(row, subcategory),
            harmful=harmful(row) if callable(harmful) else harmful,
            description=maybe(row, description),
            reason=maybe(row, reason),
            source=maybe(row, source),
            meta=meta(row) if callable(meta) else row.only(*meta),
        )

    if file.suffix == ".csv":
        named = [name for name in (id, query, category) if isinstance(name, str) and name]
        return pairs_from(file.name, read_csv(file, *named, *needs), make)
    return pairs_from(file.name, READERS[file.suffix](file), make)


_PLAIN_PATH = re.compile(r"[\w-][\w .-]*(?:/[\w-][\w .-]*)*")
"""Nearly every image path; any other is looked at part by part."""


def inside(name: str) -> str:
    """Return a relative path in normal form. Raises `RowError` if it could leave its folder.

    Lexical, so that a set of 100,000 rows is opened without touching its images. Backslashes and
    drive letters are refused everywhere: a set must read the same on every system.
    """
    if _PLAIN_PATH.fullmatch(name):
        return name
    parts = name.replace("\\", "/").split("/")
    if "://" in name or name.startswith("data:"):
        raise RowError(f"image {name[:80]!r} is an address, not a file")
    if name.startswith(("/", "\\", "~")) or ".." in parts or name[1:2] == ":" or "\0" in name:
        raise RowError(f"image {name[:80]!r} is outside the folder of the set")
    normal = posixpath.normpath(name)
    if normal == ".":
        raise RowError(f"image {name[:80]!r} is no file")
    return normal


def file_image(folder: Path, name: str) -> FileImage:
    """Refer to the image `name` in `folder`; it need not exist yet. Raises `RowError`."""
    ref = inside(name)
    return FileImage(ref, f"{folder}/{ref}")


def find(root: Path, *names: str) -> Path:
    """Return the first of `names` that is in `root`. Raises `MissingFile` naming the first."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise MissingFile(f"no {names[0]} in {root}")


def folder_of(root: Path, *names: str) -> Path:
    """Return the first of the folders `names` that is in `root`, or the first if none is.

    For image folders: a set opens without its images, and the missing ones are named later.
    """
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def read_text(path: Path) -> str:
    """Return a whole UTF-8 file. Raises `VlsbenchError` naming it."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise VlsbenchError(f"{path}: not UTF-8 at byte {error.start}; fetch it again") from None
    except OSError as error:
        raise VlsbenchError(f"{path}: {error.strerror}") from None


def read_json(path: Path) -> Labelled:
    """Read a JSON list (labelled by place, from 0) or object (labelled by key).

    Raises:
        VlsbenchError: The file does not parse; names file and line.
    """
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise VlsbenchError(
            f"{path}, line {error.lineno}: not JSON ({error.msg}); fetch it again"
        ) from None
    if isinstance(content, list):
        yield from ((str(place), item) for place, item in enumerate(content))
    elif isinstance(content, dict):
        yield from content.items()
    else:
        raise VlsbenchError(f"{path}: neither a list nor an object of rows")


def _json_line(line: bytes) -> object:
    try:
        # Strict, unlike the standard library's: no NaN, no half surrogates, one value.
        return msgspec.json.decode(line)
    except UnicodeError:
        return RowError("not UTF-8")
    except (ValueError, RecursionError) as error:
        return RowError(f"not JSON ({error})")


def read_jsonl(path: Path) -> Labelled:
    """Read one JSON object a line, labelled by line number from 1; blank lines are skipped."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            line = line.strip()
            if line:
                yield str(number), _json_line(line)


def _open(path: Path) -> Any:
    try:
        return open(path, "rb")
    except OSError as error:
        raise VlsbenchError(f"{path}: {error.strerror}") from None


def read_csv(path: Path, *required: str) -> Labelled:
    """Read a CSV file with a header, labelled by data row from 1; blank rows are skipped.

    Args:
        path: UTF-8, quoted as RFC 4180 has it.
        required: Columns that must be there.

    Raises:
        VlsbenchError: There is no header, or a required column is missing; names it and those there
            are.
    """
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        try:
            header = next(reader, [])
        except csv.Error as error:
            raise VlsbenchError(f"{path}, line 1: not CSV ({error})") from None
        if not header:
            raise VlsbenchError(f"{path}: no header line")
        if len(set(header)) < len(header):
            raise VlsbenchError(f"{path}: a column name occurs twice in the header")
        if absent := [name for name in required if name not in header]:
            raise VlsbenchError(f"{path}: no column {', '.join(absent)} (has {', '.join(header)})")
        number = 0
        while True:
            try:
                cells = next(reader, None)
            except csv.Error as error:
                number += 1
                yield str(number), RowError(f"not CSV (line {reader.line_num}: {error})")
                continue
            if cells is None:
                return
            if not cells:
                continue
            number += 1
            if len(cells) != len(header):
                yield str(number), RowError(f"{len(cells)} fields, the header has {len(header)}")
            elif (line := "".join(cells)) != storable(line):
                yield str(number), RowError("not UTF-8")
            else:
                yield str(number), dict(zip(header, cells, strict=True))


READERS: Mapping[str, Callable[[Path], Labelled]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".json": read_json,
}
"""Ending of a file's name → what reads it."""
