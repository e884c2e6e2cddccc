"""Parquet files: their rows, and the images embedded in them, which are read one by one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._decode import ImageData, ImageError
from vlsbench.pairs._pair import FileImage, RowError, fault_in_reading, file_image

Labelled = Iterator[tuple[str, object]]
"""(row as the user would look it up, its fields or a `RowError`)"""
BATCH_ROWS = 1024
"""Rows of a file held at a time."""


class ParquetImages:
    """The image column of one file, one row group of it held at a time.

    Hugging Face writes images as a struct `{bytes, path}`; a plain binary column works too, and
    so does a list of structs (several images a row).
    """

    def __init__(self, path: Path, column: str = "image") -> None:
        self.path = path
        self.column = column
        self._lock = threading.Lock()
        self._group = -1
        self._cells: Any = None

    def _load(self, group: int) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(self.path).read_row_group(group, columns=[self.column])[0]

    def bytes_at(self, group: int, row: int, item: int = 0) -> bytes | None:
        """Return the bytes of one image of a cell, None where it is null. Safe across threads."""
        with self._lock:
            if group != self._group:
                self._cells, self._group = self._load(group), group
            found = self._cells[row].as_py()
        if isinstance(found, list):
            found = found[item]
        return found.get("bytes") if isinstance(found, dict) else found


class ArrowImages(ParquetImages):
    """The same of a file of Arrow's, as `datasets.save_to_disk` writes them; a batch is a group."""

    def _load(self, group: int) -> Any:
        with _arrow(self.path) as reader:
            for number, batch in enumerate(reader):
                if number == group:
                    return batch.column(self.column)
        raise IndexError(group)


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
    def place(self) -> Path:
        """The file that holds it."""
        return self.images.path

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError` where the cell is null or no image."""
        data = self.images.bytes_at(self.group, self.row, self.item)
        if data is None:
            raise ImageError(f"image {self.ref} is missing ({self.images.path})")
        return ImageData.of(data, self.ref)

    def fault(self) -> str | None:
        """Read the cell and look at its structure."""
        return fault_in_reading(self)


_DIGEST = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
"""A SHA-256 and an extension, as `vlsbench release` names images."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Images of one Parquet cell, with the file names stored beside the bytes ("" if none)."""

    images: tuple[ParquetImage | FileImage, ...]
    names: tuple[str, ...]


def read_parquet(path: Path) -> Labelled:
    """Read a Parquet file, labelled by row from 1, without touching any image bytes.

    A column of images (binary, or a struct with `bytes` as Hugging Face writes it, or a list of
    such structs) becomes an `Embedded`, or None where the cell is null. Bytes that are null with a
    path beside them are a file beside the Parquet file.

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
        cells = _image_cells(path, file.schema_arrow, ParquetImages)
        leaves = [file.schema.column(place).path for place in range(len(file.schema))]
        wanted = [leaf for leaf in leaves if _without_bytes(leaf, cells)]
        number = 0
        for group in range(file.num_row_groups):
            place = 0
            absent = {name: _absent(file, group, name) for name in cells}
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                for fields in batch.to_pylist():
                    number += 1
                    given = {name: fields.get(name, True) for name in cells}
                    gone = {name: nulls[place] for name, nulls in absent.items() if nulls}
                    at = (group, place, number)
                    yield str(number), _with_images(fields, cells, given, gone, at)
                    place += 1


def read_arrow(path: Path) -> Labelled:
    """Read a file of Arrow's as `datasets.save_to_disk` writes it; see `read_parquet`.

    Raises:
        VlsbenchError: The file is no Arrow stream.
    """
    number = 0
    with _arrow(path) as reader:
        cells = _image_cells(path, reader.schema, ArrowImages)
        for group, batch in enumerate(reader):
            rest = [name for name in batch.schema.names if name not in cells]
            nulls = {name: _nulls(batch.column(name)) for name in cells}
            named = {name: _names(batch.column(name)) for name in cells}
            for place, fields in enumerate(batch.select(rest).to_pylist()):
                number += 1
                given = {name: names[place] for name, names in named.items()}
                gone = {name: found[place] for name, found in nulls.items()}
                at = (group, place, number)
                yield str(number), _with_images(fields, cells, given, gone, at)


def _with_images(
    fields: dict[str, Any],
    cells: Mapping[str, Cell],
    given: Mapping[str, Any],
    gone: Mapping[str, Nulls],
    at: tuple[int, int, int],
) -> dict[str, Any] | RowError:
    """Put images into a row: those of which the bytes are `gone` are files, or none."""
    try:
        return fields | {
            name: cell(given[name], gone.get(name, ()), *at) for name, cell in cells.items()
        }
    except RowError as error:
        return error


@contextmanager
def _arrow(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
            yield reader
    except (pa.ArrowInvalid, OSError) as error:
        raise VlsbenchError(f"{path}: no readable Arrow file ({error})") from None


def _nulls(column: Any) -> list[Nulls]:
    """Tell which images of each cell have no bytes."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_list(column.type):
        each = iter(_nulls(pc.list_flatten(column)))
        lengths = pc.list_value_length(column).to_pylist()
        return [tuple(next(each)[0] for _ in range(length or 0)) for length in lengths]
    if pa.types.is_struct(column.type):
        column = pc.struct_field(column, "bytes")
    return [(null,) for null in pc.is_null(column).to_pylist()]


def _names(column: Any) -> list[Any]:
    """Return what `read_parquet` sees of a column of images: paths, where there are some."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_list(column.type):
        each = iter(_names(pc.list_flatten(column)))
        lengths = pc.list_value_length(column).to_pylist()
        return [None if n is None else [next(each) for _ in range(n)] for n in lengths]
    paths: Any = [True] * len(column)
    if pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
        paths = ({"path": path} for path in column.field("path").to_pylist())
    valid = column.is_valid().to_pylist()
    return [path if ok else None for ok, path in zip(valid, paths, strict=True)]


def _absent(file: Any, group: int, name: str) -> list[Nulls]:
    """Tell which images of a row group have no bytes; empty where all have some.

    Reads the bytes only of a group of which the file does not say so.
    """
    about = file.metadata.row_group(group)
    for leaf in map(about.column, range(about.num_columns)):
        path = leaf.path_in_schema
        if path == name or (path.startswith(f"{name}.") and path.endswith(".bytes")):
            if leaf.statistics and leaf.statistics.null_count == 0:
                return []
            batches = file.iter_batches(64, row_groups=[group], columns=[path])
            return [nulls for batch in batches for nulls in _nulls(batch.column(0))]
    return []


def _without_bytes(leaf: str, cells: Mapping[str, object]) -> bool:
    held = any(leaf == name or leaf.startswith(f"{name}.") for name in cells)
    return not held or leaf.endswith(".path")


def _is_list(kind: Any) -> bool:
    """Tell any type of list; a dictionary has values too."""
    import pyarrow as pa

    return hasattr(kind, "value_type") and not pa.types.is_dictionary(kind)


Nulls = tuple[bool, ...]
"""Which images of a cell have no bytes; nothing where all have some."""
Cell = Callable[[Any, Nulls, int, int, int], Embedded | None]
"""From what was read of a cell, what of it is null, its row group, its place in it, and the row's
number, to the images."""


def _image_cells(path: Path, schema: Any, kind: type[ParquetImages]) -> dict[str, Cell]:
    found = ((field.name, _image_cell(path, field, kind)) for field in schema)
    return {name: cell for name, cell in found if cell}


def _image_cell(path: Path, column: Any, kind: type[ParquetImages]) -> Cell | None:
    """Say how to refer to the images of a column, or None where it holds none."""
    import pyarrow as pa

    many = _is_list(column.type)
    item = column.type.value_type if many else column.type
    struct = pa.types.is_struct(item) and item.get_field_index("bytes") >= 0
    binary = not pa.types.is_nested(item) and "binary" in str(item)
    if not struct and not binary:
        return None
    if many and (binary or item.get_field_index("path") < 0):
        raise VlsbenchError(f"{path}: column {column.name!r} must hold structs of bytes and path")
    images = kind(path, column.name)

    # Where no file name is stored beside the bytes, nothing of the column is read: `value` is True.
    def cell(value: Any, gone: Nulls, group: int, place: int, number: int) -> Embedded | None:
        items = [value] if not many and value is not None else value or []
        names = ["" if at in (True, None) else at.get("path") or "" for at in items]
        if not items or (not many and any(gone) and not names[0]):
            return None

        def image(at: int, name: str) -> ParquetImage | FileImage:
            if name and any(gone[at : at + 1]):
                return file_image(path.parent, name)
            # Only a name that is the digest of its image says which cells hold the same one.
            numbered = f"{path.name}#{number}" + (f".{at}" if many else "")
            ref = name if _DIGEST.fullmatch(name) else numbered
            return ParquetImage(ref, images, group, place, at)

        return Embedded(tuple(map(image, count(), names)), tuple(names))

    return cell
