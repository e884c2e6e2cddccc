"""Files to rows: JSON, JSON Lines and tables of text, packed or not.

Readers yield `(label, fields)`; a row that cannot even be read comes out as `(label, RowError)`.
Everything streams except JSON, which has no rows to stream.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any
from zipfile import BadZipFile

import msgspec

from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.files import unreadable
from vlsbench.pairs._pair import RowError
from vlsbench.pairs._parquet import Labelled, read_arrow, read_parquet
from vlsbench.text import first_line, storable

csv.field_size_limit(2**31 - 1)
"""The standard library's 128 KiB would end a row inside a longer field."""
PACKED = (".gz", ".zst")
"""Endings of packed files."""
FORMS = {".ndjson": ".jsonl", ".tsv": ".csv"}
"""Other endings of the same forms."""
NOT_UTF8 = "not UTF-8: save it as UTF-8, or convert it (of a spreadsheet: iconv -f CP1252 -t UTF-8)"


def form_of(path: Path) -> str:
    """Return the ending that tells how a file is read: `.jsonl` of `my.jsonl.gz` too."""
    name = Path(path.stem) if path.suffix.lower() in PACKED else path
    return FORMS.get(name.suffix.lower(), name.suffix.lower())


@contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    """Open a file, unpacked where it is packed, without a byte order mark.

    Raises:
        VlsbenchError: It cannot be read, or is cut off; names it.
    """
    import pyarrow as pa

    try:
        with pa.input_stream(str(path)) as unpacked:  # its name says how it is packed
            file: Any = io.BufferedReader(unpacked)
            start = file.peek(3)
            if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                raise VlsbenchError(f"{path}: {NOT_UTF8}")
            if start.startswith(codecs.BOM_UTF8):
                file.read(len(codecs.BOM_UTF8))
            yield file
    except OSError as error:
        raise VlsbenchError(unreadable(path, error)) from None


def read_text(path: Path) -> str:
    """Return a whole text file. Raises `VlsbenchError` naming it."""
    with _open(path) as file:
        data = file.read()
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise VlsbenchError(f"{path}, line {line}: {NOT_UTF8}") from None


def read_json(path: Path) -> Labelled:
    """Read a JSON list (labelled by place, from 0) or object (labelled by key).

    Raises:
        VlsbenchError: The file does not parse; names file and line.
    """
    content = _json(path)
    if isinstance(content, dict):
        return iter(content.items())
    return ((str(place), row) for place, row in enumerate(content))


def _json(path: Path) -> list[Any] | dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise VlsbenchError(
            f"{path}{line}: not JSON ({first_line(error)}); fetch it again"
        ) from None
    if not isinstance(content, list | dict):
        raise VlsbenchError(f"{path}: neither a list nor an object of rows")
    return content


def read_json_rows(path: Path) -> Labelled:
    """Read rows written as JSON: one object a line, a list, an object that holds one, or by key.

    Raises:
        VlsbenchError: It is none of these; says what it is.
    """
    with _open(path) as file:
        written = filter(None, map(bytes.strip, file))
        first, more = _json_line(next(written, b"")), any(written)
    named = form_of(path) == ".jsonl"
    if (named and not isinstance(first, list)) or (more and isinstance(first, dict)):
        return read_jsonl(path)
    content = _json(path)
    if isinstance(content, dict):
        tables = [value for value in content.values() if _is_table(value)]
        if len(tables) != 1:
            if content and all(isinstance(value, dict) for value in content.values()):
                return iter(content.items())
            raise VlsbenchError(
                f"{path} is an object of {', '.join(list(content)[:8])}, not a list of rows: "
                "write one row a line, or a list"
            )
        content = tables[0]
    return ((str(place), row) for place, row in enumerate(content, 1))


def _is_table(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(row, dict) for row in value)


def _json_line(line: bytes) -> object:
    try:
        # Strict, unlike the standard library's: no NaN, no half surrogates, one value.
        return msgspec.json.decode(line)
    except UnicodeError:
        return RowError(NOT_UTF8)
    except (ValueError, RecursionError) as error:
        return RowError(f"not JSON ({error})")


def read_jsonl(path: Path) -> Labelled:
    """Read one JSON object a line, labelled by line number from 1; blank lines are skipped."""
    with _open(path) as file:
        for number, line in enumerate(file, start=1):
            if line := line.strip():
                yield str(number), _json_line(line)


def read_csv(path: Path, *required: str) -> Labelled:
    """Read a table with a header, labelled by data row from 1; blank rows are skipped.

    Nothing is read after a row whose quotes are wrong: what follows may lie inside a field.

    Args:
        path: Quoted as RFC 4180 has it; fields may be separated by tabs, `;` or `|` too.
        required: Columns that must be there.

    Raises:
        VlsbenchError: There is no header, or a required column is missing; names it and those there
            are.
    """
    with _open(path) as raw, io.TextIOWrapper(raw, "utf-8", "surrogateescape", newline="") as file:
        line = file.readline()
        try:
            cells = {mark: len(next(csv.reader([line], delimiter=mark), [])) for mark in ",;\t|"}
            # A comma, unless only another mark separates anything.
            by = "," if cells[","] > 1 else max(cells, key=lambda mark: cells[mark])
            reader = csv.reader(chain([line], file), strict=True, delimiter=by)
            header = [name.strip() for name in next(reader, [])]
        except csv.Error as error:
            raise VlsbenchError(f"{path}, line 1: not CSV ({error})") from None
        if not header:
            raise VlsbenchError(f"{path}: no header line")
        if (text := "".join(header)) != storable(text):
            raise VlsbenchError(f"{path}, line 1: {NOT_UTF8}")
        if len(set(header)) < len(header):
            raise VlsbenchError(f"{path}: a column name occurs twice in the header")
        if absent := [name for name in required if name not in header]:
            raise VlsbenchError(f"{path}: no column {', '.join(absent)} (has {', '.join(header)})")
        number, began = 0, reader.line_num + 1
        try:
            for row in filter(None, reader):
                number, began = number + 1, reader.line_num + 1
                found: object = dict(zip(header, row, strict=False))
                if len(row) != len(header):
                    found = RowError(f"{len(row)} fields, the header has {len(header)}")
                elif (text := "".join(row)) != storable(text):
                    found = RowError(NOT_UTF8)
                yield str(number), found
        except csv.Error as error:
            said = f"not CSV (begins in line {began}: {error}); nothing was read after it"
            yield str(number + 1), RowError(said)


def read_xlsx(path: Path) -> Labelled:
    """Read the first sheet of an Excel file, labelled by its row numbers; row 1 is the header.

    Raises:
        MissingExtra: openpyxl is not installed.
        VlsbenchError: It is no Excel file.
    """
    try:
        import openpyxl
    except ImportError:
        raise MissingExtra(f"{path}: reading Excel", "excel") from None
    try:
        book = openpyxl.load_workbook(path, read_only=True)
    except OSError as error:
        raise VlsbenchError(unreadable(path, error)) from None
    except (ValueError, KeyError, BadZipFile) as error:
        raise VlsbenchError(f"{path}: no readable Excel file ({first_line(error)})") from None
    with closing(book):
        rows = book.worksheets[0].iter_rows(values_only=True)
        header = [str(name or "").strip() for name in next(rows, ())]
        for number, cells in enumerate(rows, start=2):
            if any(cell is not None for cell in cells):
                yield str(number), dict(zip(header, cells, strict=False))


READERS: Mapping[str, Callable[[Path], Labelled]] = {
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".json": read_json,
    ".arrow": read_arrow,
    ".xlsx": read_xlsx,
}
"""Ending of a file's name, as `form_of` tells it → what reads it."""


def read_table(path: Path) -> Labelled:
    """Read the rows of a file in any of the forms of `READERS`; JSON in any of its ways.

    Raises:
        VlsbenchError: It is of no such form, or cannot be read.
    """
    form = form_of(path)
    if form not in READERS:
        raise VlsbenchError(f"{path}: not one of {', '.join(READERS)} (.tsv and .ndjson too)")
    return read_json_rows(path) if form in (".jsonl", ".json") else READERS[form](path)
