"""Rows of one's own: JSONL or Parquet in TRL's conversational format.

A row has `messages`; or `prompt`, `chosen`, `rejected`; or `prompt`, `completion`, `kind`; or
`prompt` alone. Each is a list of messages with `role` and `content`, or plain text. `images` (or
`image`) holds paths relative to the file, or in Parquet the pictures themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import Rows, assistant, made, user
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import (
    Embedded,
    Fields,
    MissingFile,
    RowError,
    file_image,
    read_jsonl,
    read_parquet,
    read_pin,
)

_TURNS = ("messages", "prompt", "chosen", "rejected", "completion")
_KEPT = ("kind", "harmful")
SUFFIXES = (".jsonl", ".parquet")
TRAIN = "train"
SPLITS = re.compile(r"(train|test|valid|validation|val|dev|eval)\b.*")
"""What files of a split, or their folder, are called, as on the Hub: `train-00000.parquet`."""


def read(path: Path) -> Rows:
    """Yield the rows of a file. Raises `VlsbenchError` where its form is not known."""
    if path.suffix not in SUFFIXES:
        raise VlsbenchError(f"{path}: give {' or '.join(SUFFIXES)} in TRL's conversational format")
    return _read(path, path.name)


def read_folder(root: Path, split: str = TRAIN) -> Rows:
    """Yield the rows of a folder's files, or of those of one split where they have splits.

    What a fetch from the Hub brought counts, and nothing that lay there before.

    Raises:
        MissingFile: There is no such file.
    """
    pin = read_pin(root)
    names: Iterable[PurePath] = (path.relative_to(root) for path in root.rglob("*"))
    if pin:
        names = map(PurePosixPath, pin.files)
    files = sorted(name for name in names if name.suffix in SUFFIXES)
    chosen = [name for name in files if any(_is_of(part, split) for part in name.parts)]
    if not chosen and split == TRAIN:
        chosen = [name for name in files if not any(SPLITS.match(part) for part in name.parts)]
    if not chosen:
        held = f"; it holds {', '.join(map(str, files[:5]))}" if files else ""
        raise MissingFile(f"no {' or '.join(SUFFIXES)} file of the split {split!r} in {root}{held}")
    for name in chosen:
        yield from _read(root / name, str(name))


def _is_of(part: str, split: str) -> bool:
    return re.match(rf"{re.escape(split)}(?![a-zA-Z])", part) is not None


def _read(path: Path, name: str) -> Rows:
    rows = read_jsonl(path) if path.suffix == ".jsonl" else read_parquet(path)
    return made(name, rows, partial(_row, folder=path.parent))


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
