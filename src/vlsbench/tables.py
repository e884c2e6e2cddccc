"""Parquet tables whose columns are the fields of a dataclass: one writer, one reader, streaming."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import MISSING, Field, asdict, fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from vlsbench.errors import VlsbenchError
from vlsbench.schemas import SchemaError, convert
from vlsbench.text import first_line

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")

BATCH = 1024
"""Rows held in memory, and of one row group."""


class TableError(VlsbenchError):
    """A table that cannot be read: names the file and the column."""


class RowWriter(Generic[Row]):
    """Writes dataclasses as rows. As a context it drops what is unwritten after an error."""

    def __init__(self, kind: type[Row], path: Path) -> None:
        """Open a file for writing.

        Args:
            kind: The dataclass; its fields (text, int, float, bool, lists of them, each or None)
                are the columns, in order.
            path: The file, replaced if it is there.
        """
        import pyarrow.parquet as pq

        self._schema = _schema(kind)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[Row] = []

    def add(self, row: Row) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        # By way of JSON: `pyarrow.array` imports pandas wherever it is installed, for a fifth of a
        # second, to ask whether a list is one of its series.
        from pyarrow.json import ParseOptions, ReadOptions, read_json

        lines = b"\n".join(map(_line, self._rows))
        table = read_json(
            io.BytesIO(lines),
            ReadOptions(use_threads=False, block_size=len(lines)),
            ParseOptions(explicit_schema=self._schema),
        )
        self._writer.write_table(table)
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None and self._rows:
            self._flush()
        self._writer.close()


def read_rows(path: Path, kind: type[Row], *, remedy: str = "") -> Iterator[Row]:
    """Read rows, a batch at a time; columns that `kind` has no field for are not touched.

    Args:
        path: A Parquet file.
        kind: The dataclass. A field with a default may be missing in the file.
        remedy: What to do about a file that cannot be read, for the error.

    Raises:
        TableError: The file is no Parquet file, or columns are missing or hold something else.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            there = set(file.schema_arrow.names)
            needed = {field.name for field in fields(kind) if not _has_default(field)}
            if missing := ", ".join(sorted(needed - there)):
                raise SchemaError(f"no column {missing}")
            names = [field.name for field in fields(kind) if field.name in there]
            for batch in file.iter_batches(BATCH, columns=names):
                yield from convert(batch.to_pylist(), list[kind], "", foreign=True)  # type: ignore[valid-type]
    except (OSError, pa.ArrowException, SchemaError) as error:
        what = f"{path} cannot be read ({first_line(str(error))})"
        raise TableError(f"{what}; {remedy}" if remedy else what) from None


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING


def _schema(kind: type[DataclassInstance]) -> Any:
    import pyarrow as pa

    hints = get_type_hints(kind)
    return pa.schema([(field.name, _type(hints[field.name])) for field in fields(kind)])


def _type(hint: Any) -> Any:
    import pyarrow as pa

    if NoneType in get_args(hint):
        (hint,) = (kind for kind in get_args(hint) if kind is not NoneType)
    if get_origin(hint) in (list, tuple):
        return pa.list_(_type(get_args(hint)[0]))
    # bool before int, of which it is one.
    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    return next(found for base, found in types.items() if issubclass(hint, base))


def _line(row: DataclassInstance) -> bytes:
    try:
        return msgspec.json.encode(row)
    except UnicodeEncodeError:  # half surrogates, legal in JSON, have no UTF-8 form
        return json.dumps(asdict(row), ensure_ascii=False).encode("utf-8", "replace")
