"""Rows of one's own, here or on the Hub: JSONL or Parquet in TRL's conversational format.

A row has `messages`; or `prompt`, `chosen`, `rejected`; or `prompt`, `completion`, `kind`; or
`prompt` alone. Each is a list of messages with `role` and `content`, or plain text. `images` (or
`image`) holds paths relative to the file, or in Parquet the images themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from vlsbench.aligning._rows import message_fault
from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import Rows, TrainingSet, assistant, made, sound_image, user
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import (
    Embedded,
    Fields,
    Home,
    MissingFile,
    RowError,
    card_licence,
    home_folder,
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

HUB = "hub:"
FREE = re.compile(
    r"apache-2\.0|mit|bsd(-.+)?|cc0-1\.0|cc-by(-sa)?-[1-4]\.0|odc-by|odbl|pddl|unlicense"
    r"|cdla-(permissive|sharing)-.+"
)
"""Licences, as the Hub names them, that let anyone train on a set for any purpose."""
_SPEC = re.compile(
    r"(?P<hub>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w.-]*))?(:(?P<split>\w[\w.-]*))?", re.ASCII
)
_FILES = ("*.jsonl", "*.parquet", "*.png", "*.jpg", "*.jpeg", "*.webp", "README.md")


def read(path: Path) -> Rows:
    """Yield the rows of a file. Raises `VlsbenchError` where its form is not known."""
    if path.suffix not in SUFFIXES:
        raise VlsbenchError(f"{path}: give {' or '.join(SUFFIXES)} in TRL's conversational format")
    return _read(path, path.name)


def read_folder(root: Path, split: str = TRAIN) -> Rows:
    """Yield the rows of a folder's files, or of those of one split where they have splits.

    What a fetch from the Hub brought counts, and nothing that lay there before.
    """
    pin = read_pin(root)
    names: Iterable[PurePath] = (path.relative_to(root) for path in root.rglob("*"))
    if pin:
        names = map(PurePosixPath, pin.files)
    files = sorted(name for name in names if name.suffix in SUFFIXES)
    of_split = re.compile(rf"{re.escape(split)}(?![a-zA-Z])")
    chosen = [name for name in files if any(map(of_split.match, name.parts))]
    if not chosen and split == TRAIN:
        chosen = [name for name in files if not any(map(SPLITS.match, name.parts))]
    if not chosen:
        held = f"; it holds {', '.join(map(str, files[:5]))}" if files else ""
        raise MissingFile(f"no {' or '.join(SUFFIXES)} file of the split {split!r} in {root}{held}")
    for name in chosen:
        yield from _read(root / name, str(name))


def _read(path: Path, name: str) -> Rows:
    rows = read_jsonl(path) if path.suffix == ".jsonl" else read_parquet(path)
    return made(name, rows, partial(_row, folder=path.parent))


def _row(row: Fields, folder: Path) -> Iterator[Row]:
    found = {key: _turns(key, row.fields[key]) for key in _TURNS if row.fields.get(key) is not None}
    if not found:
        raise RowError(f"has none of {', '.join(_TURNS)}")
    if images := _images(row.fields.get("images", row.fields.get("image")), folder):
        found["images"] = images
    yield {**found, **row.only(*_KEPT)}


def _turns(key: str, value: Any) -> list[dict[str, Any]]:
    if isinstance(value, str):
        if not value.strip():
            raise RowError(f"{key!r} is empty")
        if key == "messages":
            raise RowError("'messages' is text, not a list of messages")
        return user(value) if key == "prompt" else assistant(value)
    if fault := message_fault(value):
        raise RowError(f"{key!r}: {fault}")
    return [{"role": one["role"], "content": _content(one["content"])} for one in value]


def _content(content: str | list[Any]) -> str | list[dict[str, Any]]:
    if isinstance(content, str):
        return content
    # Parquet gives every part every field.
    parts = (Fields(part) for part in content if isinstance(part, dict))
    return [part.only("type", "text") for part in parts]


def _images(value: object, folder: Path) -> list[Any]:
    if value is None or value == "" or value == []:
        return []
    if isinstance(value, Embedded):
        return list(value.images)
    names: list[Any] = value if isinstance(value, list) else [value]
    if not all(isinstance(name, str) for name in names):
        raise RowError("'images' holds something else than paths")
    return [sound_image(folder, name) for name in names]


def of_the_hub(spec: str) -> TrainingSet:
    """Describe `hub:OWNER/NAME@REVISION:SPLIT`, its licence as its card states it.

    Fetches nothing else; raises `VlsbenchError` where it has another form or the Hub does not
    know it.
    """
    found = _SPEC.fullmatch(spec.removeprefix(HUB))
    if found is None:
        raise VlsbenchError(f"{spec!r} is not hub:OWNER/NAME, with @REVISION or :SPLIT behind it")
    hub, split = found["hub"], found["split"] or TRAIN
    home = Home(hub=hub, revision=found["revision"] or "", files=_FILES)
    name = f"hub/{hub}"
    licence = card_licence(home, home_folder(name))
    return TrainingSet(
        name=name,
        licence=licence or "none stated",
        free=FREE.fullmatch(licence.lower()) is not None,
        home=home,
        layout=f"JSONL or Parquet files of the split {split!r}, in TRL's conversational format",
        # Whether its rows suit the method is seen row by row.
        serves=("sft", "preference", "unlearning", "prompts"),
        read=lambda root, form: read_folder(root, split),
    )
