"""Parquet and Arrow files: their rows, and the images in them, which are read one by one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._pair import FileImage, RowError, StoredImage, file_image

Labelled = Iterator[tuple[str, object]]
"""(row as the user would look it up, its fields or a `RowError`)"""
BATCH_ROWS = 1024
"""Rows of a file held at a time."""
DIGEST = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
"""A SHA-256 and an extension, as `vlsbench release` names images."""
Names = tuple[str, ...]
"""The paths beside the images of a cell, each empty where there is none."""
Nulls = tuple[bool, ...]
"""Which images of a cell have no bytes; nothing where all have some."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """Images of one cell, with the file names stored beside the bytes ("" if none)."""

    images: tuple[StoredImage | FileImage, ...]
    names: tuple[str, ...]


class _ImageColumn:
    """A column of images of one file, one group of its rows held at a time.

    Hugging Face writes images as a struct `{bytes, path}`; a plain binary column works too, and
    so does a list of structs (several images a row).
    """

    def __init__(self, path: Path, many: bool, load: Callable[[int], Any]) -> None:
        self._path = path
        self._many = many
        self._load = load
        self._lock = threading.Lock()
        self._group = -1
        self._cells: Any = None

    def bytes_at(self, group: int, row: int, item: int = 0) -> bytes | None:
        """Return the bytes of one image of a cell, None where it is null. Safe across threads."""
        with self._lock:
            if group != self._group:
                self._cells, self._group = self._load(group), group
            found = self._cells[row].as_py()
        if isinstance(found, list):
            found = found[item]
        return found.get("bytes") if isinstance(found, dict) else found

    def cell(
        self, names: Names | None, gone: Nulls, at: tuple[int, int], number: int
    ) -> Embedded | None:
        """Refer to the images of a cell; None where it is null or empty.

        Args:
            names: The paths beside its images.
            gone: Which of its images have no bytes.
            at: Its group, and its row there.
            number: Its row in the file, from 1.

        Raises:
            RowError: It names a file outside the folder.
        """
        if not names or (not self._many and any(gone) and not names[0]):
            return None
        images: list[StoredImage | FileImage] = []
        for item, name in enumerate(names):
            if name and any(gone[item : item + 1]):
                images.append(file_image(self._path.parent, name))
                continue
            # Only a name that is the digest of its image says which cells hold the same one.
            numbered = f"{self._path.name}#{number}" + (f".{item}" if self._many else "")
            ref = name if DIGEST.fullmatch(name) else numbered
            images.append(StoredImage(ref, partial(self.bytes_at, *at, item), self._path))
        return Embedded(tuple(images), names)


Loads = Callable[[str, int], Any]
"""From a column's name and a group's number to the column there."""
Batches = Iterator[tuple[tuple[int, int], Any, Mapping[str, Sequence[Nulls]]]]
"""Where a batch stands (its group, its first row there), the batch without the bytes of images, and
by column which images of each of its cells have none."""


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

    def load(name: str, group: int) -> Any:
        return pq.ParquetFile(path).read_row_group(group, columns=[name])[0]

    def batches(columns: Mapping[str, _ImageColumn]) -> Batches:
        leaves = [file.schema.column(place).path for place in range(len(file.schema))]
        wanted = [leaf for leaf in leaves if _without_bytes(leaf, columns)]
        for group in range(file.num_row_groups):
            absent = {name: _absent(file, group, name) for name in columns}
            first = 0
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                here = slice(first, first + len(batch))
                yield (group, first), batch, {name: some[here] for name, some in absent.items()}
                first += len(batch)

    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise VlsbenchError(f"{path}: no readable Parquet file ({error})") from None
    with file:
        columns = _image_columns(path, file.schema_arrow, load)
        yield from _rows(columns, batches(columns))


def read_arrow(path: Path) -> Labelled:
    """Read a file of Arrow's as `datasets.save_to_disk` writes it; see `read_parquet`.

    Raises:
        VlsbenchError: The file is no Arrow stream.
    """

    def load(name: str, group: int) -> Any:
        with _arrow(path) as stream:
            return next(batch for at, batch in enumerate(stream) if at == group).column(name)

    with _arrow(path) as reader:
        columns = _image_columns(path, reader.schema, load)
        batches: Batches = (
            ((group, 0), batch, {name: _nulls(batch.column(name)) for name in columns})
            for group, batch in enumerate(reader)
        )
        yield from _rows(columns, batches)


def _rows(columns: Mapping[str, _ImageColumn], batches: Batches) -> Labelled:
    """Put the images into the rows of all batches."""
    number = 0
    for (group, first), batch, absent in batches:
        held = batch.schema.names
        named = {
            name: _names(batch.column(name)) if name in held else [("",)] * len(batch)
            for name in columns
        }
        rest = batch.select([name for name in held if name not in columns]).to_pylist()
        for place, fields in enumerate(rest):
            number += 1
            try:
                for name, column in columns.items():
                    gone = absent[name][place] if absent[name] else ()
                    at = (group, first + place)
                    fields[name] = column.cell(named[name][place], gone, at, number)
                yield str(number), fields
            except RowError as error:
                yield str(number), error


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


def _names(column: Any) -> list[Names | None]:
    """Return the paths in each cell of a column of images; None for a null cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if _is_list(column.type):
        each = iter(_names(pc.list_flatten(column)))
        lengths = pc.list_value_length(column).to_pylist()
        return [
            None if n is None else tuple((next(each) or ("",))[0] for _ in range(n))
            for n in lengths
        ]
    paths: Any = [""] * len(column)
    if pa.types.is_struct(column.type) and column.type.get_field_index("path") >= 0:
        paths = column.field("path").to_pylist()
    valid = column.is_valid().to_pylist()
    return [(path or "",) if ok else None for ok, path in zip(valid, paths, strict=True)]


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


def _without_bytes(leaf: str, columns: Mapping[str, object]) -> bool:
    held = any(leaf == name or leaf.startswith(f"{name}.") for name in columns)
    return not held or leaf.endswith(".path")


def _is_list(kind: Any) -> bool:
    """Tell any type of list; a dictionary has values too."""
    import pyarrow as pa

    return hasattr(kind, "value_type") and not pa.types.is_dictionary(kind)


def _image_columns(path: Path, schema: Any, load: Loads) -> dict[str, _ImageColumn]:
    """Return the columns that hold images. Raises `VlsbenchError` where one has no paths."""
    import pyarrow as pa

    found = {}
    for column in schema:
        many = _is_list(column.type)
        item = column.type.value_type if many else column.type
        struct = pa.types.is_struct(item) and item.get_field_index("bytes") >= 0
        binary = not pa.types.is_nested(item) and "binary" in str(item)
        if many and (binary or (struct and item.get_field_index("path") < 0)):
            raise VlsbenchError(
                f"{path}: column {column.name!r} must hold structs of bytes and path"
            )
        if struct or binary:
            found[column.name] = _ImageColumn(path, many, partial(load, column.name))
    return found
