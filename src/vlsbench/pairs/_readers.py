"""Files to rows: JSON, JSON Lines and tables of text, packed or not; and which files are a set.

Readers yield `(label, fields)`; a row that cannot even be read comes out as `(label, RowError)`.
Everything streams except JSON, which has no rows to stream.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
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
RELEASE = "release.json"
"""Marks a folder that `vlsbench release` wrote: its pairs are in `data/`."""
FORMS = (".jsonl", ".csv", ".parquet", ".json", ".arrow")
"""Of files, as `form_of` tells them."""
DISK = "state.json"
"""Marks a folder that `datasets.save_to_disk` wrote."""
ABOUT = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", DISK, RELEASE, "card.json")
"""Say something about a set."""
_SHARD = re.compile(r"(.*?)[-_.]?(\d+)(?:-of-(\d+))?(?:-[0-9a-f]{8,}[\w.-]*)?\.parquet")
NOT_UTF8 = "not UTF-8: save it as UTF-8, or convert it (of a spreadsheet: iconv -f CP1252 -t UTF-8)"


def form_of(path: Path) -> str:
    """Return the ending that tells how a file is read: `.jsonl` of `my.jsonl.gz` too."""
    name = Path(path.stem) if path.suffix.lower() in PACKED else path
    ending = name.suffix.lower()
    return {".ndjson": ".jsonl", ".tsv": ".csv"}.get(ending, ending)


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
            if not tables and not all(isinstance(value, list) for value in content.values()):
                return iter([("1", content)])  # one row
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


def files_of(path: Path) -> list[Path]:
    """Return the files of the set at a path: a file, a folder, or a pattern such as `test-*`.

    Raises:
        VlsbenchError: There is none, or there are several.
    """
    if path.is_file():
        if form_of(path) not in FORMS:
            raise VlsbenchError(
                f"{path}: not one of {', '.join(FORMS)} (.tsv and .ndjson too; packed as "
                f"{', '.join(PACKED)})"
            )
        return [path]
    if "*" in path.name and (files := sorted(path.parent.glob(path.name))):
        return _one_set(path, files)
    if not path.is_dir():
        raise VlsbenchError(unreadable(path, FileNotFoundError()))
    if found := _in_folder(path):
        return found
    below = (p for p in (*path.glob("*"), *path.glob("*/*")) if p.is_dir() and p.name[0] != ".")
    within = {folder: files for folder in sorted(below) if (files := _in_folder(folder))}
    if len(within) == 1:
        return next(iter(within.values()))
    what = "no metadata.jsonl, .csv or .parquet file"
    if within:
        what = f"several sets (name one folder): {', '.join(map(str, [*within][:8]))}"
    raise VlsbenchError(f"{path} holds {what}")


def _in_folder(path: Path) -> list[Path]:
    """Return the files of the set in a folder; empty where it holds none.

    Raises:
        VlsbenchError: It holds several.
    """
    if (path / DISK).is_file():
        return sorted(path.glob("*.arrow"))
    inside = sorted(p for p in path.glob("*") if form_of(p) in FORMS and p.is_file())
    if stated := [p for p in inside if p.name.startswith("metadata.") and form_of(p) in FORMS[:3]]:
        return stated[:1]
    shards = [p for p in inside if form_of(p) == ".parquet"] or sorted(path.glob("data/*.parquet"))
    if shards and (path / RELEASE).is_file():
        # What else lies in a release, its provenance say, is no set; its splits are one.
        return shards
    found = [*shards, *(p for p in inside if form_of(p) in (".jsonl", ".csv"))]
    found = found or [p for p in inside if form_of(p) == ".json" and p.name not in ABOUT]
    return _one_set(path, found)


def _one_set(path: Path, files: list[Path]) -> list[Path]:
    """Return files that are one set: a single one, or shards that are numbered through.

    Raises:
        VlsbenchError: They are several, or shards are missing; what is there would be read as a
            set that nobody published.
    """
    if len(files) < 2 and "-of-" not in "".join(file.name for file in files):
        return files
    shards = [shard for file in files if (shard := _SHARD.fullmatch(file.name))]
    alike = len(shards) == len(files) and len({shard[1] for shard in shards}) == 1
    if alike and (count := int(shards[0][3] or 0)) > len(files):
        raise VlsbenchError(
            f"{path} holds {len(files)} of {count} shards, such as {files[0]}: fetch the rest, or "
            "name one file"
        )
    # Years and versions are no numbers of shards, which begin at 0 or 1.
    if not alike or max(int(shard[2]) for shard in shards) > len(files):
        raise VlsbenchError(
            f"{path} holds several sets ({', '.join(file.name for file in files[:8])}): name one "
            f"(its shards as 'NAME-*.parquet'), such as {files[-1]}"
        )
    return files
