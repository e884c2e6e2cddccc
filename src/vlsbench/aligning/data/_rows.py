"""What the readers share: from the fields of a file's row to a training row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from vlsbench.aligning._settings import Row
from vlsbench.errors import BadRow
from vlsbench.pairs import Fields, Home, Labelled, MissingFile, RowError

Rows = Iterator[Row | BadRow]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A published set that vlsbench can train on."""

    name: str
    licence: str
    free: bool
    """Whether the licence lets anyone train on it for any purpose."""
    home: Home
    layout: str
    """The files that its folder holds."""
    serves: tuple[str, ...]
    """Forms that it has rows for: `sft`, `preference`, `unlearning`, `prompts`."""
    read: Callable[[Path, str], Rows]
    """From folder and form to rows."""


def user(text: str) -> list[dict[str, str]]:
    """Return a question."""
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    """Return an answer."""
    return [{"role": "assistant", "content": text}]


def messages(question: str, answer: str, **more: Any) -> Row:
    """Return a row for SFT."""
    return {"messages": [*user(question), *assistant(answer)], **more}


def preference(question: str, chosen: str, rejected: str, **more: Any) -> Row:
    """Return a row for DPO."""
    return {
        "prompt": user(question),
        "chosen": assistant(chosen),
        "rejected": assistant(rejected),
        **more,
    }


def unlearning(question: str, answer: str, kind: str, **more: Any) -> Row:
    """Return a row for unlearning."""
    return {"prompt": user(question), "completion": assistant(answer), "kind": kind, **more}


def made(file: str, rows: Labelled, make: Callable[[Fields], Iterator[Row]]) -> Rows:
    """Turn a file's rows into training rows, several or none each.

    A row that `make` rejects with `RowError` becomes a `BadRow`.
    """
    for label, fields in rows:
        try:
            if isinstance(fields, RowError):
                raise fields
            if not isinstance(fields, dict):
                raise RowError("must be an object")
            yield from list(make(Fields(fields)))
        except RowError as error:
            yield BadRow(file, label, str(error))


def each(
    root: Path,
    patterns: tuple[str, ...],
    read: Callable[[Path], Labelled],
    make: Callable[[Fields], Iterator[Row]],
) -> Rows:
    """Yield the training rows of the files of the first pattern that there are any of.

    Raises:
        MissingFile: There are none.
    """
    found = (sorted(root.glob(pattern)) for pattern in patterns)
    files = next(filter(None, found), [])
    if not files:
        raise MissingFile(f"no {patterns[0].removeprefix('**/')} in {root}")
    for file in files:
        yield from made(str(file.relative_to(root)), read(file), make)


def either(row: Fields, key: str, one: T, other: T) -> T:
    """Return a required value that is one of two. Raises `RowError`."""
    value = row.fields.get(key)
    for option in (one, other):
        if type(value) is type(option) and value == option:
            return option
    raise RowError(f"{key!r} is neither {json.dumps(one)} nor {json.dumps(other)}")
