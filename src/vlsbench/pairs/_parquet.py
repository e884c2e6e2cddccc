"""Parquet files: their rows, and the images embedded in them, which are read one by one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._decode import HEADER_BYTES, ImageData, ImageError, fault_of

Labelled = Iterator[tuple[str, object]]
"""(row as the user would look it up, its fields or a `RowError`)"""
BATCH_ROWS = 1024
"""Rows of a file held at a time."""


class ParquetImages:
    """The image column of one Parquet file, one row group held at a time.

    Hugging Face writes images as a struct `{bytes, path}`; a plain binary column works too, and
    so does a list of structs (several images a row).
    """

    def __init__(self, path: Path, column: str = "image") -> None:
        self.path = path
        self.column = column
        self._lock = threading.Lock()
        self._group = -1
        self._values: list[list[bytes | None]] = []

    def _load(self, group: int) -> None:
        import pyarrow.parquet as pq

        column = pq.ParquetFile(self.path).read_row_group(group, columns=[self.column])[0]
        self._values = [
            [item.get("bytes") if isinstance(item, dict) else item for item in items]
            for items in (v if isinstance(v, list) else [v] for v in column.to_pylist())
        ]
        self._group = group

    def bytes_at(self, group: int, row: int, item: int = 0) -> bytes | None:
        """Return the bytes of one image of a cell, None where it is null. Safe across threads."""
        with self._lock:
            if group != self._group:
                self._load(group)
            return self._values[row][item]


@dataclass(frozen=True)
class ParquetImage:
    """An image embedded in a Parquet file."""

    ref: str
    images: ParquetImages = field(repr=False, compare=False)
    group: int
    row: int
    """Within its row group."""
    item: int = 0
    """Which image of the cell, where a cell holds a list."""

    @property
    def path(self) -> Path:
        """The Parquet file."""
        return self.images.path

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError` where the cell is null or no image."""
        data = self.images.bytes_at(self.group, self.row, self.item)
        if data is None:
            raise ImageError(f"image {self.ref} is missing ({self.images.path})")
        return ImageData.of(data, self.ref)

    def fault(self) -> str | None:
        """Read the cell and look at its ends."""
        data = self.images.bytes_at(self.group, self.row, self.item)
        if data is None:
            return f"image {self.ref} is missing ({self.images.path})"
        return fault_of(self.ref, data[:HEADER_BYTES], data[-HEADER_BYTES:])


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
