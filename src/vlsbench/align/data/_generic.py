"""Rows of one's own: JSONL or Parquet in TRL's conversational format.

A row has `messages`; or `prompt`, `chosen`, `rejected`; or `prompt`, `completion`, `kind`; or
`prompt` alone. Each is a list of messages with `role` and `content`, or plain text. `images` (or
`image`) holds paths relative to the file, or in Parquet the pictures themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.align._types import Row
from vlsbench.align.data._rows import Rows, assistant, made, user
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Embedded, Fields, RowError, file_image, read_jsonl, read_parquet

_TURNS = ("messages", "prompt", "chosen", "rejected", "completion")
_KEPT = ("kind", "harmful")
SUFFIXES = (".jsonl", ".parquet")


def read(path: Path) -> Rows:
    """Yield the rows of a file. Raises `VlsbenchError` where its form is not known."""
    if path.suffix not in SUFFIXES:
        raise VlsbenchError(f"{path}: give {' or '.join(SUFFIXES)} in TRL's conversational format")
    rows = read_jsonl(path) if path.suffix == ".jsonl" else read_parquet(path)
    return made(path.name, rows, partial(_row, folder=path.parent))


def _row(row: Fields, folder: Path) -> Iterator[Row]:
    found = {key: _turns(key, row.fields[key]) for key in _TURNS if row.fields.get(key) is not None}
    if not found:
        raise RowError(f"has none of {', '.join(_TURNS)}")
    pictures = row.fields.get("images", row.fields.get("image"))
    if images := _images(pictures, folder):
        found["images"] = images
    yield {**found, **row.only(*_KEPT)}


def _turns(key: str, value: object) -> list[dict[str, Any]]:
    if isinstance(value, str):
        if not value.strip():
            raise RowError(f"{key!r} is empty")
        if key == "messages":
            raise RowError("'messages' is text, not a list of messages")
        return user(value) if key == "prompt" else assistant(value)
    if not isinstance(value, list) or not value:
        raise RowError(f"{key!r} is no list of messages")
    return [_message(key, message) for message in value]


def _message(key: str, message: object) -> dict[str, Any]:
    if not isinstance(message, Mapping) or not isinstance(message.get("role"), str):
        raise RowError(f"{key!r} holds a message without a role")
    content = message.get("content")
    if isinstance(content, list):
        # Parquet gives every part every field.
        content = [
            {k: v for k, v in part.items() if k in ("type", "text") and v is not None}
            for part in content
            if isinstance(part, Mapping)
        ]
    elif not isinstance(content, str):
        raise RowError(f"{key!r} holds a message without content")
    return {"role": message["role"], "content": content}


def _images(value: object, folder: Path) -> list[Any]:
    if value is None or value == "" or value == []:
        return []
    if isinstance(value, Embedded):
        return list(value.images)
    names = value if isinstance(value, list) else [value]
    images = []
    for name in names:
        if not isinstance(name, str):
            raise RowError("'images' holds something else than paths")
        image = file_image(folder, name)
        if fault := image.fault():
            raise RowError(fault)
        images.append(image)
    return images
