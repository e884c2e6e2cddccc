"""Rows of one's own, here or on the Hub: TRL's conversational format, or ShareGPT's.

A row has `messages`; or `prompt`, `chosen`, `rejected`; or `prompt`, `completion`, `kind`; or
`prompt` alone. Each is a list of messages with `role` and `content`, or plain text. `images` (or
`image`) holds paths relative to the file, or in Parquet the images themselves.

ShareGPT's rows have `conversations`, a list of turns with `from` and `value`, in which `<image>`
stands for an image (github.com/haotian-liu/LLaVA, docs/Finetune_Custom_Data.md). Preferences have
`chosen` and `rejected` turns beside it (github.com/hiyouga/LLaMA-Factory, data/README.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from typing import Any

from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import Rows, TrainingSet, assistant, made, sound_image, user
from vlsbench.aligning.rows import message_fault
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import (
    Embedded,
    Fields,
    Home,
    MissingFile,
    RowError,
    card_licence,
    home_folder,
    read_pin,
    read_table,
)

_TURNS = ("messages", "prompt", "chosen", "rejected", "completion")
_KEPT = ("kind", "harmful")
_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "system": "system",
}
IMAGE = "<image>"
SUFFIXES = (".jsonl", ".parquet")
"""Files that a folder is searched for; other tables are read where they are named."""
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
    """Yield the rows of a file, of any form that `pairs.read_table` knows."""
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
    return made(name, read_table(path), partial(read_row, folder=path.parent))


def read_row(row: Fields, folder: Path) -> Iterator[Row]:
    """Read the training rows of one row of a file, whose images lie under `folder`."""
    images = _images(row.fields.get("images", row.fields.get("image")), folder)
    shared = row.fields.get("conversations") is not None
    fields = _conversation(row, len(images)) if shared else row.fields
    found = {key: _turns(key, fields[key]) for key in _TURNS if fields.get(key) is not None}
    if not found:
        raise RowError(f"has none of {', '.join((*_TURNS, 'conversations'))}")
    if images:
        found["images"] = images
    yield {**found, **row.only(*_KEPT)}


def _conversation(row: Fields, images: int) -> dict[str, Any]:
    """Return a row of ShareGPT's form as one of ours."""
    messages = _shared("conversations", row.fields["conversations"])
    marks = [message["content"].count(IMAGE) for message in messages]
    first = next((at for at, one in enumerate(messages) if one["role"] == "user"), 0)
    if sum(marks) not in (0, images):
        raise RowError(f"{IMAGE} occurs {sum(marks)} times, and the row has {images} images")
    if sum(marks) != sum(marks[first : first + 1]):
        raise RowError(f"{IMAGE} occurs after the first question, where no image can be placed")
    for message in messages:
        message["content"] = message["content"].replace(IMAGE, "").strip()
    answers = {
        key: _shared(key, [row.fields[key]])
        for key in ("chosen", "rejected")
        if row.fields.get(key) is not None
    }
    return {"prompt": messages, **answers} if answers else {"messages": messages}


def _shared(key: str, turns: object) -> list[dict[str, str]]:
    """Return ShareGPT's turns as messages."""
    if not isinstance(turns, list) or not all(isinstance(turn, dict) for turn in turns):
        raise RowError(f"{key!r} must be a list of turns with 'from' and 'value'")
    messages = []
    for turn in map(Fields, turns):
        if (speaker := turn.text("from")) not in _ROLES:
            raise RowError(f"{key!r}: from {speaker[:20]!r} is not {', '.join(_ROLES)}")
        messages.append({"role": _ROLES[speaker], "content": turn.text("value")})
    return messages


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
