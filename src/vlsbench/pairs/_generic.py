"""The generic form: a user's own pairs in JSONL, CSV, Parquet or a Hugging Face imagefolder.

The columns are found by name; docs/benchmarks.md has the table.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.pairs._pair import Image, Pair
from vlsbench.pairs._parquet import Embedded
from vlsbench.pairs._rows import (
    READERS,
    Fields,
    RowError,
    file_image,
    pairs_from,
)
from vlsbench.pairs._source import PairSet

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "query": ("query", "question", "prompt", "instruction", "text"),
    "image": ("image", "image_path", "file_name", "images", "file_names"),
    "category": ("category",),
    "subcategory": ("subcategory", "sub_category"),
    "harmful": ("harmful",),
    "description": ("description", "image_description"),
    "reason": ("reason", "safety_reason"),
    "source": ("source",),
}
"""Field of a pair → columns that it is looked for in; the first that a row has is taken."""

RELEASE = "release.json"
"""Marks a folder that `vlsbench release` wrote: its pairs are in `data/`."""
FORMS = (".jsonl", ".csv", ".parquet")
_Names = Mapping[str, tuple[str, ...]]
_TRUTH = {
    "true": True, "1": True, "yes": True, "harmful": True, "unsafe": True,
    "false": False, "0": False, "no": False, "benign": False, "safe": False,
}  # fmt: skip


def parse_columns(text: str) -> dict[str, str]:
    """Read `query=prompt,image=img` as the command line gives it.

    Raises:
        VlsbenchError: It is not of that form, or names no field of a pair.
    """
    columns = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        field, equals, column = part.partition("=")
        if not equals or not column:
            raise VlsbenchError(f"--columns: {part!r} is not FIELD=COLUMN")
        columns[field.strip()] = column.strip()
    _check_columns(columns)
    return columns


def _check_columns(columns: Mapping[str, str]) -> None:
    for field in columns:
        if field not in COLUMNS:
            raise VlsbenchError(f"columns: no field {field!r}; there are {', '.join(COLUMNS)}")


def open_generic(
    path: Path, *, columns: Mapping[str, str] | None = None, skip_bad: bool = False
) -> PairSet:
    """Open a set in the generic form.

    Args:
        path: A `.jsonl`, `.csv` or `.parquet` file, or a folder that holds one (`metadata.*`
            first; several Parquet files are read in the order of their names).
        columns: Field of a pair → column, where the names in `COLUMNS` do not fit.
        skip_bad: Leave unusable rows out rather than raise.

    Raises:
        BadRows: Some rows are unusable; lists every one.
        VlsbenchError: There is no such file, or it has no query column.
    """
    _check_columns(columns or {})
    names = {
        field: (columns[field],) if columns and field in columns else found
        for field, found in COLUMNS.items()
    }
    files = _files(path)
    return PairSet(
        path.resolve().stem if path.is_file() else path.resolve().name,
        partial(_rows, files, names),
        skip_bad=skip_bad,
        root=path,
    )


def _files(path: Path) -> list[Path]:
    if path.is_file():
        if path.suffix.lower() not in FORMS:
            raise VlsbenchError(f"{path}: not one of {', '.join(FORMS)}")
        return [path]
    if not path.is_dir():
        raise VlsbenchError(f"no set at {path}")
    for form in FORMS:
        if (path / f"metadata{form}").is_file():
            return [path / f"metadata{form}"]
    shards = sorted(path.glob("*.parquet")) or sorted(path.glob("data/*.parquet"))
    if shards and (path / RELEASE).is_file():
        # What else lies in a release, its provenance say, is no set.
        return shards
    found = sorted(p for form in (".jsonl", ".csv") for p in path.glob(f"*{form}"))
    if shards and not found:
        return shards
    if len(found) == 1 and not shards:
        return found
    what = "several sets (name one file)" if found else "no metadata.jsonl, .csv or .parquet file"
    raise VlsbenchError(f"{path} holds {what}")


def _rows(files: list[Path], names: _Names) -> Iterator[Pair | BadRow]:
    for file in files:
        form = file.suffix.lower()
        table = None if form == ".jsonl" else file
        prefix = f"{file.stem}/" if len(files) > 1 else ""
        # Finding the columns costs more than reading a row; most sets have one kind of row.
        columns = lru_cache(maxsize=64)(partial(_columns, names, table))
        make = partial(_pair, file.parent, columns, prefix)
        yield from pairs_from(file.name, READERS[form](file), make)


def _columns(
    names: _Names, table: Path | None, keys: tuple[str, ...]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return field → column (absent ones left out), and the columns that are no field's.

    Raises:
        VlsbenchError: There is no query in a file whose rows all have the same columns.
        RowError: There is no query, or not a column that the user named: left out in silence, a
            slip in `--columns image=` would run the set without its images.
    """
    found = {
        field: name
        for field, wanted in names.items()
        if (name := next((name for name in wanted if name in keys), None)) is not None
    }
    if "query" not in found:
        what = f"no column {' or '.join(names['query'])}; name it with --columns query=COLUMN"
        if table:
            raise VlsbenchError(f"{table}: {what} (has {', '.join(keys)})")
        raise RowError(what)
    for field, wanted in names.items():
        if field not in found and wanted != COLUMNS[field]:
            raise RowError(f"no column {wanted[0]} for {field}, as --columns has it")
    return found, tuple(key for key in keys if key not in found.values())


def _pair(
    folder: Path,
    columns: Callable[[tuple[str, ...]], tuple[dict[str, str], tuple[str, ...]]],
    prefix: str,
    row: Fields,
) -> Pair:
    fields = row.fields
    column, others = columns(tuple(fields))
    return Pair(
        id=row.id(column["id"]) if "id" in column else prefix + row.label,
        query=row.text(column["query"]),
        images=_images(folder, fields[column["image"]]) if "image" in column else (),
        category=_word(row, column, "category"),
        subcategory=_word(row, column, "subcategory"),
        harmful=_harmful(fields[column["harmful"]]) if "harmful" in column else True,
        description=_word(row, column, "description"),
        reason=_word(row, column, "reason"),
        source=_word(row, column, "source"),
        meta={key: plain_value(fields[key]) for key in others},
    )


def _word(row: Fields, column: Mapping[str, str], field: str) -> str:
    """Return an optional text; class labels are often whole numbers."""
    if field not in column:
        return ""
    value = row.fields[column[field]]
    return str(value) if type(value) is int else row.maybe(column[field])


def _harmful(value: object) -> bool:
    if value is None or value == "":
        return True
    truth = _TRUTH.get(str(value).strip().lower())
    if truth is None:
        raise RowError(f"'harmful' is {str(value)[:40]!r}, not true or false")
    return truth


def _images(folder: Path, value: object) -> tuple[Image, ...]:
    if isinstance(value, Embedded):
        if not value.images:
            raise RowError("the image cell is empty")
        return value.images
    if isinstance(value, str) and value.startswith("["):
        try:
            value = json.loads(value)
        except ValueError:
            raise RowError("the image cell starts with '[' and is no JSON list") from None
    if isinstance(value, list) and value:
        return tuple(_image(folder, path) for path in value)
    return (_image(folder, value),)


def _image(folder: Path, path: object) -> Image:
    if not isinstance(path, str) or not path.strip():
        raise RowError("the image cell is empty or no path (a set without images has no column)")
    return file_image(folder, path)


def plain_value(value: Any) -> Any:
    """Return a JSON value: Parquet also holds dates, decimals and bytes."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Embedded):
        return list(value.names)
    if isinstance(value, Mapping):
        return {str(key): plain_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_value(item) for item in value]
    return str(value)
