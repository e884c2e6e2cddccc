"""Rows as benchmarks publish them: JSON, JSONL, CSV, Parquet, with what is wrong kept per row.

Readers yield `(label, fields)`; a row that cannot even be read comes out as `(label, RowError)`.
Everything streams except JSON, which has no rows to stream.
"""

from __future__ import annotations

import csv
import json
import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.pairs._image import FileImage, ParquetImage, ParquetImages
from vlsbench.pairs._pair import Pair

BATCH_ROWS = 1024
"""Rows of a Parquet file held at a time."""


class MissingFile(VlsbenchError):
    """The folder is not laid out as the benchmark is published."""


class RowError(Exception):
    """Why one row cannot be used."""


Labelled = Iterator[tuple[str, object]]
"""(row as the user would look it up, its fields or a `RowError`)"""


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one row, checked as they are read."""

    fields: dict[str, Any]

    def text(self, key: str) -> str:
        """Return a required text. Raises `RowError` if it is absent, empty or no text."""
        if key not in self.fields:
            raise RowError(f"no {key!r}")
        value = self.fields[key]
        if not isinstance(value, str):
            raise RowError(f"{key!r} is {type(value).__name__}, not text")
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

    def row(self, key: str) -> Row:
        """Return a required object inside this one."""
        value = self.fields.get(key)
        if not isinstance(value, dict):
            raise RowError(f"{key!r} is no object")
        return Row(value)

    def only(self, *keys: str) -> dict[str, Any]:
        """Return those of `keys` that the row has, for `Pair.meta`."""
        return {key: self.fields[key] for key in keys if self.fields.get(key) is not None}


def pairs_from(file: str, rows: Labelled, make: Callable[[str, Row], Pair]) -> Iterator[Any]:
    """Turn rows into pairs; a row that `make` rejects with `RowError` becomes a `BadRow`.

    Args:
        file: Name of the file, for the user.
        rows: What a reader of this module yields.
        make: From a row's label and fields to its pair.
    """
    for label, fields in rows:
        result: Pair | BadRow
        try:
            if isinstance(fields, RowError):
                raise fields
            if not isinstance(fields, dict):
                raise RowError("is no object")
            result = make(label, Row(fields))
        except RowError as error:
            result = BadRow(file, label, str(error))
        yield result


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


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


_decoder = json.JSONDecoder(parse_constant=_no_constant)


def _json_line(line: bytes) -> object:
    try:
        text = line.decode()
        value, end = _decoder.raw_decode(text)
        if end < len(text):
            return RowError("not JSON (more than one value)")
        if "\\u" in text:
            # Half a surrogate pair decodes, and then can be stored nowhere.
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except UnicodeError:
        return RowError("not UTF-8")
    except json.JSONDecodeError as error:
        return RowError(f"not JSON ({error.msg})")
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


def csv_header(path: Path) -> list[str]:
    """Return the column names of a CSV file. Raises `VlsbenchError` if it has none."""
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        try:
            header = next(csv.reader(file), [])
        except csv.Error as error:
            raise VlsbenchError(f"{path}, line 1: not CSV ({error})") from None
    if not header:
        raise VlsbenchError(f"{path}: no header line")
    if len(set(header)) < len(header):
        raise VlsbenchError(f"{path}: a column name occurs twice in the header")
    return header


def read_csv(path: Path, *required: str) -> Labelled:
    """Read a CSV file with a header, labelled by data row from 1; blank rows are skipped.

    Args:
        path: UTF-8, quoted as RFC 4180 has it.
        required: Columns that must be there.

    Raises:
        VlsbenchError: A required column is missing; names it and those there are.
    """
    header = csv_header(path)
    absent = [name for name in required if name not in header]
    if absent:
        raise VlsbenchError(f"{path}: no column {', '.join(absent)} (has {', '.join(header)})")
    with open(path, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        reader = csv.reader(file)
        next(reader)
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
            elif _half("".join(cells)):
                yield str(number), RowError("not UTF-8")
            else:
                yield str(number), dict(zip(header, cells, strict=True))


def _half(text: str) -> bool:
    if text.isascii():
        return False
    try:
        text.encode()
    except UnicodeError:
        return True
    return False


_DIGEST = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
"""A SHA-256 and an extension, as `vlsbench release` names images."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Images of one Parquet cell, with the file names stored beside the bytes ("" if none)."""

    images: tuple[ParquetImage, ...]
    names: tuple[str, ...]


def read_parquet(path: Path) -> Labelled:
    """Read a Parquet file, labelled by row from 1, without touching any image bytes.

    A column of images (binary, or a struct with `bytes` as Hugging Face writes it, or a list of
    such structs) becomes an `Embedded`, or None where the cell is null.

    Raises:
        VlsbenchError: The file is no Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise VlsbenchError(f"{path}: no readable Parquet file ({error})") from None
    with file:
        cells = {
            field.name: cell
            for field in file.schema_arrow
            if (cell := _image_cell(path, field.name, field.type))
        }
        leaves = [file.schema.column(place).path for place in range(len(file.schema))]
        wanted = [leaf for leaf in leaves if _without_bytes(leaf, cells)]
        number = 0
        for group in range(file.num_row_groups):
            place = 0
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                for fields in batch.to_pylist():
                    number += 1
                    for name, cell in cells.items():
                        fields[name] = cell(fields.get(name, True), group, place, number)
                    place += 1
                    yield str(number), fields


def _without_bytes(leaf: str, cells: Mapping[str, object]) -> bool:
    held = any(leaf == name or leaf.startswith(f"{name}.") for name in cells)
    return not held or leaf.endswith(".path")


def _image_cell(path: Path, name: str, kind: Any) -> Callable[..., Embedded | None] | None:
    """Say how to refer to the images of a column, or None where it holds none."""
    import pyarrow as pa

    many = pa.types.is_list(kind) or pa.types.is_large_list(kind)
    item = kind.value_type if many else kind
    struct = pa.types.is_struct(item) and item.get_field_index("bytes") >= 0
    binary = pa.types.is_binary(item) or pa.types.is_large_binary(item)
    if not struct and not binary:
        return None
    if many and (binary or item.get_field_index("path") < 0):
        raise VlsbenchError(f"{path}: column {name!r} must hold structs of bytes and path")
    column = ParquetImages(path, name)

    # Where no file name is stored beside the bytes, nothing of the column is read: `value` is True.
    def cell(value: Any, group: int, place: int, number: int) -> Embedded | None:
        if value is None:
            return None
        unread = value is True
        names = [
            "" if unread or item is None else item.get("path") or ""
            for item in (value if many else [value])
        ]
        images = tuple(
            ParquetImage(
                # Only a name that is the digest of its image says which cells hold the same one.
                name
                if _DIGEST.fullmatch(name)
                else f"{path.name}#{number}" + (f".{at}" if many else ""),
                column,
                group,
                place,
                at,
            )
            for at, name in enumerate(names)
        )
        return Embedded(images, tuple(names))

    return cell
