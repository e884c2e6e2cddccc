"""Parquet and Arrow files: their rows, and the images in them, which are read one by one."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
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
Cells = Sequence[tuple[Any, ...] | None]
"""Something of each image in each cell of a column; None for a null cell."""


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
        self,
        names: tuple[Any, ...] | None,
        gone: tuple[Any, ...],
        at: tuple[int, int],
        number: int,
    ) -> Embedded | None:
        """Refer to the images of a cell, at a group and row, by the paths beside them.

        Returns None where the cell is null or empty. Images that are `gone` have no bytes. Raises
        `RowError` where a path leads outside the folder.
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
            ref = name if name and DIGEST.fullmatch(name) else numbered
            images.append(StoredImage(ref, partial(self.bytes_at, *at, item), self._path))
        return Embedded(tuple(images), tuple(name or "" for name in names))


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

    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except (pa.ArrowInvalid, OSError) as error:
        raise VlsbenchError(f"{path}: no readable Parquet file ({error})") from None
    with file:
        columns = _image_columns(path, file.schema_arrow, load)
        leaves = [file.schema.column(place).path for place in range(len(file.schema))]
        bytes_of = {
            name: next(
                leaf
                for leaf in leaves
                if re.fullmatch(rf"{re.escape(name)}(\.(.*\.)?bytes)?", leaf)
            )
            for name in columns
        }
        wanted = [
            leaf
            for leaf in leaves
            if leaf.endswith(".path")
            or not any(f"{leaf}.".startswith(f"{name}.") for name in columns)
        ]
        number = 0
        for group in range(file.num_row_groups):
            gone = {name: _without_bytes(file, group, leaf) for name, leaf in bytes_of.items()}
            first = number
            for batch in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=wanted):
                here = slice(number - first, number - first + len(batch))
                some = {name: of[here] for name, of in gone.items()}
                yield from _rows(columns, batch, some, (group, number - first), number)
                number += len(batch)


def read_arrow(path: Path) -> Labelled:
    """Read a file of Arrow's as `datasets.save_to_disk` writes it; see `read_parquet`.

    Raises:
        VlsbenchError: The file is no Arrow stream.
    """

    def load(name: str, group: int) -> Any:
        with _arrow(path) as stream:
            return next(islice(stream, group, None)).column(name)

    with _arrow(path) as stream:
        columns = _image_columns(path, stream.schema, load)
        number = 0
        for group, batch in enumerate(stream):
            gone = {name: _per_cell(batch.column(name), _null_bytes) for name in columns}
            yield from _rows(columns, batch, gone, (group, 0), number)
            number += len(batch)


@contextmanager
def _arrow(path: Path) -> Iterator[Any]:
    import pyarrow as pa

    try:
        with pa.memory_map(str(path)) as file, pa.ipc.open_stream(file) as reader:
            yield reader
    except (pa.ArrowInvalid, OSError) as error:
        raise VlsbenchError(f"{path}: no readable Arrow file ({error})") from None


def _rows(
    columns: Mapping[str, _ImageColumn],
    batch: Any,
    gone: Mapping[str, Cells],
    at: tuple[int, int],
    number: int,
) -> Labelled:
    """Yield the rows of a batch, which begins at a group's row; `number` rows stand before it."""
    group, first = at
    held = batch.schema.names
    named = {
        name: _per_cell(batch.column(name), _paths) if name in held else [("",)] * len(batch)
        for name in columns
    }
    rest = batch.select([name for name in held if name not in columns]).to_pylist()
    for place, fields in enumerate(rest):
        label = number + place + 1
        try:
            for name, column in columns.items():
                absent = (gone[name] and gone[name][place]) or ()
                fields[name] = column.cell(
                    named[name][place], tuple(absent), (group, first + place), label
                )
            yield str(label), fields
        except RowError as error:
            yield str(label), error


def _per_cell(column: Any, read: Callable[[Any], Sequence[Any]]) -> Cells:
    """Return what `read` tells of each image in each cell of a column."""
    import pyarrow.compute as pc

    if not _is_list(column.type):
        return [None if one is None else (one,) for one in read(column)]
    each = iter(read(pc.list_flatten(column)))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if length is None else tuple(islice(each, length)) for length in lengths]


def _null_bytes(images: Any) -> Sequence[bool]:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(images.type):
        images = pc.struct_field(images, "bytes")
    nulls: list[bool] = pc.is_null(images).to_pylist()
    return nulls


def _paths(images: Any) -> Sequence[str | None]:
    """Return the path beside each image, empty where there is none; None for a null image."""
    import pyarrow as pa

    paths: Any = [""] * len(images)
    if pa.types.is_struct(images.type) and images.type.get_field_index("path") >= 0:
        paths = images.field("path").to_pylist()
    valid = images.is_valid().to_pylist()
    return [path or "" if ok else None for ok, path in zip(valid, paths, strict=True)]


def _without_bytes(file: Any, group: int, leaf: str) -> Cells:
    """Tell which images of a row group have no bytes; empty where all have some.

    Reads the bytes only of a group of which the file does not say so.
    """
    about = file.metadata.row_group(group)
    chunks = map(about.column, range(about.num_columns))
    statistics = next(chunk.statistics for chunk in chunks if chunk.path_in_schema == leaf)
    if statistics and statistics.null_count == 0:
        return []
    batches = file.iter_batches(64, row_groups=[group], columns=[leaf])
    return [cell for batch in batches for cell in _per_cell(batch.column(0), _null_bytes)]


def _is_list(kind: Any) -> bool:
    """Tell any type of list; a dictionary has values too."""
    import pyarrow as pa

    return hasattr(kind, "value_type") and not pa.types.is_dictionary(kind)


def _image_columns(
    path: Path, schema: Any, load: Callable[[str, int], Any]
) -> dict[str, _ImageColumn]:
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
