"""What the readers share: from the fields of a file's row to a training row."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from vlsbench.aligning._settings import Row
from vlsbench.aligning.rows import HARMFUL, RETAIN, SAFE
from vlsbench.errors import BadRow
from vlsbench.pairs import Fields, FileImage, Home, Labelled, MissingFile, RowError, file_image

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


@dataclass(frozen=True, slots=True)
class Example:
    """A question as published sets have it, with one answer or two."""

    question: str
    answers: tuple[tuple[str, bool], ...]
    """Each with whether it is good enough to be learnt."""
    best: int = 0
    """Which of them is preferred."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Further fields of its rows."""

    def rows(self, form: str) -> Iterator[Row]:
        """Yield what a form makes of it. SFT learns a good best answer alone.

        Unlearning takes what is not good as harmful, a good answer beside it as safe, and of two
        good ones the best as retained.
        """
        prompt, (text, good) = user(self.question), self.answers[self.best]
        if form == "prompts":
            yield {"prompt": prompt, **self.more}
            return
        best = _answer(text)
        if form == "preference":
            if len(self.answers) < 2:
                raise RowError("one answer and no preference; take saferlhf-v/BeaverTails-V")
            other = _answer(self.answers[1 - self.best][0])
            yield {"prompt": prompt, "chosen": best, "rejected": other, **self.more}
        elif form == "sft" and good:
            yield {"messages": [*prompt, *best], **self.more}
        elif form == "unlearning":
            if all(fine for _, fine in self.answers):
                yield {"prompt": prompt, "completion": best, "kind": RETAIN}
                return
            for text, fine in self.answers:
                kind = SAFE if fine else HARMFUL
                yield {"prompt": prompt, "completion": _answer(text), "kind": kind}


def _answer(text: str) -> list[dict[str, str]]:
    if not text.strip():
        raise RowError("an answer is empty")
    return assistant(text)


def sound_image(folder: Path, name: str) -> FileImage:
    """Return the image of this name. Raises `RowError` where it is missing or damaged."""
    image = file_image(folder, name)
    if fault := image.fault():
        raise RowError(fault)
    return image


def made(file: str, rows: Labelled, make: Callable[[Fields], Iterator[Row]]) -> Rows:
    """Turn a file's rows into training rows, several or none each; bad ones into `BadRow`s."""
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
    """Yield the training rows of the files of the first pattern that fits any, or `MissingFile`."""
    files = next(filter(None, (sorted(root.glob(pattern)) for pattern in patterns)), [])
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
