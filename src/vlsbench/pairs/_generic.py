"""The generic form: a user's own pairs in JSON, tables, Parquet or a Hugging Face folder.

The columns are found by name; docs/benchmarks.md has the table.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._decode import ImageError
from vlsbench.pairs._pair import (
    Grade,
    GradedBy,
    Grades,
    Image,
    Pair,
    RowError,
    StoredImage,
    file_image,
)
from vlsbench.pairs._parquet import Embedded
from vlsbench.pairs._readers import PACKED, READERS, files_of, form_of, read_json_rows
from vlsbench.pairs._rows import Fields, Rows, pairs_from
from vlsbench.pairs._source import Columns, PairSet
from vlsbench.pairs._whole import sniff_mime
from vlsbench.text import first_line

CONVERSATIONS = ("conversations", "messages")
"""Columns that hold a conversation, of which the first question is asked."""
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id",),
    "query": ("query", "question", "prompt", "instruction", "text", *CONVERSATIONS),
    "image": ("image", "image_path", "file_name", "images", "file_names"),
    "category": ("category",),
    "subcategory": ("subcategory", "sub_category"),
    "harmful": ("harmful",),
    "description": ("description", "image_description"),
    "reason": ("reason", "safety_reason"),
    "source": ("source",),
    "language": ("language",),
    "twin": ("twin",),
    "graded_by": ("graded_by",),
    "text_grade": ("text_grade",),
    "image_grade": ("image_grade",),
    "pair_grade": ("pair_grade",),
}
"""Field of a pair → columns that it is looked for in; the first that a row has is taken."""

MARK = "<image>"
"""Where an image stands in a conversation."""
LOOKED_AT = 1000
"""Rows whose unused columns are looked at."""
_IMAGE_NAME = re.compile(r"\S.*\.(?:png|jpe?g|gif|webp|bmp|tiff?|avif|heic)", re.IGNORECASE)
_BASE64 = ("iVBOR", "/9j/", "R0lGOD", "UklGR", "data:image/")
"""How an image begins that is written as text."""
_TRUTH = {
    "true": True, "1": True, "yes": True, "harmful": True, "unsafe": True,
    "false": False, "0": False, "no": False, "benign": False, "safe": False,
    "1.0": True, "0.0": False,
}  # fmt: skip
_WORDS = {word for word in _TRUTH if word.isalpha()} - {"true", "false", "yes", "no"}


def parse_columns(
    text: str, fields: Collection[str] = COLUMNS.keys(), option: str = "--columns"
) -> dict[str, str]:
    """Read `query=prompt,image=img` as the command line gives it.

    Args:
        text: What is given.
        fields: Those that there are; by default, of a pair.
        option: What the error calls it.

    Raises:
        VlsbenchError: It is not of that form, or names another field.
    """
    parts = [part.partition("=") for part in text.split(",") if part.strip()]
    if wrong := next((field for field, _, column in parts if not column.strip()), ""):
        raise VlsbenchError(f"{option}: {wrong.strip()!r} is not FIELD=COLUMN")
    columns = {field.strip(): column.strip() for field, _, column in parts}
    _check_columns(columns, fields, option)
    return columns


def _check_columns(
    columns: Mapping[str, str], fields: Collection[str] = COLUMNS.keys(), option: str = "columns"
) -> None:
    for field in columns:
        if field not in fields:
            raise VlsbenchError(f"{option}: no field {field!r}; there are {', '.join(fields)}")


def open_generic(
    path: Path, *, columns: Mapping[str, str] | None = None, skip_bad: bool = False
) -> PairSet:
    """Open a set in the generic form.

    Args:
        path: A file of one of `FORMS`, perhaps packed, or a folder that holds one (`metadata.*`
            first; several Parquet files are read in the order of their names).
        columns: Field of a pair → column, where the names in `COLUMNS` do not fit.
        skip_bad: Leave unusable rows out rather than raise.

    Raises:
        BadRows: Some rows are unusable; lists every one.
        VlsbenchError: There is no such file, or it has no query column.
    """
    _check_columns(columns or {})
    files = files_of(path)
    name = path.resolve().name
    if path.is_file():
        name = name.removesuffix(path.suffix) if path.suffix.lower() in PACKED else name
        name = Path(name).stem
    seen = Columns()
    root = path if path.is_dir() else path.parent

    def rows() -> Rows:
        for file in files:
            prefix = f"{file.stem}/" if len(files) > 1 else ""
            yield from _rows(file, root, prefix, columns or {}, seen)

    opened = PairSet(name, rows, skip_bad=skip_bad, root=path)
    opened.columns = replace(seen)  # later walks count on
    return opened


def _rows(file: Path, root: Path, prefix: str, given: Mapping[str, str], seen: Columns) -> Rows:
    form = form_of(file)
    table = None if form in (".jsonl", ".json") else file
    # Finding the columns costs more than reading a row; most sets have one kind of row.
    columns = lru_cache(maxsize=64)(partial(_columns, given, table))

    def make(row: Fields) -> Pair:
        column, others = columns(tuple(row.fields))
        pair = _pair(row, column, others, file, root, prefix)
        _look(file.name, row, column, others, given, seen)
        return pair

    return pairs_from(file.name, READERS[form](file) if table else read_json_rows(file), make)


def _columns(
    given: Mapping[str, str], table: Path | None, keys: tuple[str, ...]
) -> tuple[dict[str, str], list[str]]:
    """Return field → column (absent ones are left out), and the columns that are no field's.

    Raises:
        VlsbenchError: There is no query in a file whose rows all have the same columns.
        RowError: There is no query, or not a column that the user named: left out in silence,
            a slip in `--columns image=` would run the set without its images.
    """
    known = {key.strip().lower(): key for key in reversed(keys)} | {key: key for key in keys}
    found = {}
    for field, usual in COLUMNS.items():
        wanted = (given[field],) if field in given else usual
        if name := next((known[name] for name in wanted if name in known), None):
            found[field] = name
        elif field == "query":
            what = f"no column {' or '.join(wanted)}; name it with --columns query=COLUMN"
            if table:
                raise VlsbenchError(f"{table}: {what} (has {', '.join(keys)})")
            raise RowError(f"{what} (has {', '.join(keys)})"[:400])
        elif field in given:
            raise RowError(f"no column {wanted[0]} for {field}, as --columns has it")
    return found, [key for key in keys if key not in found.values()]


def _look(
    file: str,
    row: Fields,
    column: Mapping[str, str],
    others: list[str],
    given: Mapping[str, str],
    seen: Columns,
) -> None:
    """Look at what a row holds that is not used.

    Raises:
        VlsbenchError: Images, which nobody said are not wanted.
    """
    seen.rows += 1
    seen.assumed += "harmful" not in column or row.fields[column["harmful"]] in (None, "")
    for key in others if seen.rows <= LOOKED_AT else ():
        value = row.fields[key]
        if key in seen.unused or value in (None, "", []):
            continue
        embedded = value.images[:1] if isinstance(value, Embedded) else ()
        if "image" not in given and any(not image.fault() for image in embedded):
            raise VlsbenchError(
                f"{file}: column {key} holds images and is not used: give --columns image={key}"
                + (f", or image={column['image']} for that alone" if "image" in column else "")
            )
        seen.unused[key] = _hint(key, value, column)


def _hint(key: str, value: object, column: Mapping[str, str]) -> str:
    """Say what an unused column could be; empty where nothing is known."""
    if isinstance(value, list) and value:
        value = value[0]
    said = str(value.get("path") if isinstance(value, Mapping) else value).strip()
    if "image" not in column and _IMAGE_NAME.fullmatch(said):
        return f"column {key} looks like images: --columns image={key}"
    if "harmful" not in column and said.lower() in _WORDS:
        return f"column {key} holds {said}: --columns harmful={key}"
    return ""


def _pair(
    row: Fields, column: Mapping[str, str], others: list[str], file: Path, root: Path, prefix: str
) -> Pair:
    fields = row.fields
    images = _images(file, root, fields[column["image"]]) if "image" in column else ()
    texts = ("category", "subcategory", "description", "reason", "source", "language")
    return Pair(
        id=row.id(column["id"]) if "id" in column else prefix + row.label,
        query=_query(row, column["query"], len(images)),
        images=images,
        harmful=_harmful(fields[column["harmful"]]) if "harmful" in column else True,
        twin=row.id(twin) if (twin := column.get("twin", "")) and fields[twin] else "",
        grades=_grades(row, column),
        meta={key: plain_value(fields[key]) for key in others},
        **{name: _word(row, column, name) for name in texts},
    )


def _word(row: Fields, column: Mapping[str, str], field: str) -> str:
    """Return an optional text; class labels are often whole numbers."""
    if field not in column:
        return ""
    value = row.fields[column[field]]
    return str(value) if type(value) is int else row.maybe(column[field])


def _grades(row: Fields, column: Mapping[str, str]) -> Grades | None:
    """Return what a row says of harm; people's word, unless it says that it is the authors'."""
    said = {
        part: one.strip().lower()
        for part in ("text", "image", "pair")
        if (one := _word(row, column, f"{part}_grade"))
    }
    if not said:
        return None
    by = _word(row, column, "graded_by") or GradedBy.PEOPLE
    try:
        return Grades(GradedBy(by), **{part: Grade(one) for part, one in said.items()})
    except ValueError as error:
        raise RowError(
            f"{error}: grades are {', '.join(Grade)}; graded_by is {', '.join(GradedBy)}"
        ) from None


def _harmful(value: object) -> bool:
    if value is None or value == "" or value != value:
        return True
    truth = _TRUTH.get(str(value).strip().lower())
    if truth is None:
        raise RowError(f"'harmful' is {str(value)[:40]!r}, not true or false")
    return truth


def _images(file: Path, root: Path, value: object) -> tuple[Image, ...]:
    if value is None or (value == "" and form_of(file) == ".csv"):
        return ()  # a row of text alone
    if isinstance(value, Embedded):
        return value.images
    if isinstance(value, str) and value.startswith("["):
        try:
            # pandas, and so VLMEvalKit, writes lists as Python does.
            value = json.loads(value if '"' in value else value.replace("'", '"'))
        except ValueError:
            raise RowError("the image cell starts with '[' and is no JSON list") from None
    paths = value if isinstance(value, list) and value else [value]
    return tuple(_image(file.parent, root, path) for path in paths)


def _image(folder: Path, root: Path, path: object) -> Image:
    if isinstance(path, Mapping) and not path.get("bytes"):
        path = path.get("path")
    if not isinstance(path, str) or not path.strip():
        raise RowError("the image cell is empty or no path (a row without an image has none)")
    if path.startswith(_BASE64):
        return _written_image(path)
    image = file_image(folder, path)
    if root == folder or os.path.exists(image.place):
        return image
    # In a repository, a table in `data/` may name files by their place in the whole.
    other = file_image(root, path)
    return other if os.path.exists(other.place) else image


def _written_image(text: str) -> StoredImage:
    """Refer to an image written into a table as base64, as those of VLMEvalKit are.

    It is named by its digest, so that rows with the same image are one cluster.

    Raises:
        RowError: It does not begin like an image; the rest is looked at when it is shown.
    """
    text = text.partition("base64,")[2] or text
    if not sniff_mime(base64.b64decode(f"{text[:64]:=<64}")):
        raise RowError("the image cell is base64 of no image")
    ref = hashlib.sha256(text.encode()).hexdigest()[:16]

    def load() -> bytes:
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except ValueError as error:
            raise ImageError(f"image {ref}: not base64 ({first_line(error)})") from None

    return StoredImage(ref, load)


def _query(row: Fields, key: str, images: int) -> str:
    """Return a row's query: a text, or what is asked first in a conversation.

    A list is a conversation of LLaVA or ShareGPT (`from`, `value`) or of chat messages (`role`,
    `content`), whose `<image>` marks are taken out; where there are marks, there must be as many
    as `images`.

    Raises:
        RowError: There is no query.
    """
    turns = row.fields.get(key)
    if not isinstance(turns, list):
        return row.text(key)
    asked = [
        turn.get("value") or turn.get("content")
        for turn in turns
        if isinstance(turn, Mapping) and (turn.get("from") or turn.get("role")) in ("human", "user")
    ]
    parts = asked[0] if asked and isinstance(asked[0], list) else asked[:1]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    text = "\n".join(part for part in texts if isinstance(part, str))
    if (marks := text.count(MARK)) not in (0, images):
        raise RowError(f"{key!r} asks about {marks} images ({MARK}), and the row has {images}")
    query = re.sub(rf"\s*(?:{MARK}\s*)+", " ", text).strip()
    if not query:
        raise RowError(f"{key!r} holds no text of a human or user")
    return query


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
