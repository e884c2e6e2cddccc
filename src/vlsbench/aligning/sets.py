"""The published training sets, by name, and their readers.

- PKU-SafeRLHF (Ji et al. 2024, arXiv 2406.15513): two answers to a question, which of them is safe,
  and which is safer. Text only. `prompt`, `response_0`, `response_1`, `is_response_0_safe`,
  `is_response_1_safe`, `safer_response_id`.
- VLGuard (Zong et al. 2024, arXiv 2402.02207): unsafe images refused, safe ones asked safely and
  unsafely. `train.json` and the images of `train.zip`; `instr-resp` holds an instruction with its
  response, or a safe and an unsafe one each with theirs.
- SPA-VL (Zhang et al. 2024, arXiv 2406.12030): `image`, `question`, `chosen`, `rejected`.
- BeaverTails-V (Ji et al. 2025, arXiv 2503.17682): two answers with which is safer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.aligning._settings import Row
from vlsbench.aligning.rows import HARMFUL, RETAIN, SAFE
from vlsbench.errors import BadRow
from vlsbench.pairs import (
    Embedded,
    Fields,
    FileImage,
    Home,
    Labelled,
    MissingFile,
    RowError,
    file_image,
    find,
    folder_of,
    read_json,
    read_jsonl,
    read_parquet,
)

Rows = Iterator[Row | BadRow]
FORMS = ("sft", "preference", "unlearning", "prompts")
"""What methods learn from; `Method.form` is one of them."""
Answer = tuple[str, bool]
"""A text, and whether it is good enough to be learnt."""


@dataclass(frozen=True, slots=True)
class TrainingSet:
    """A published set that vlsbench can train on."""

    name: str
    licence: str
    free: bool
    """Whether the licence lets anyone train on it for any purpose."""
    home: Home
    serves: tuple[str, ...]
    """Forms that it has rows for: `sft`, `preference`, `unlearning`, `prompts`."""
    read: Callable[[Path, str], Rows]
    """From folder and form to rows."""


def user(text: str) -> list[dict[str, str]]:
    """Return a question."""
    return [{"role": "user", "content": text}]


def assistant(text: str) -> list[dict[str, str]]:
    """Return an answer. Raises `RowError` where it is empty."""
    if not text.strip():
        raise RowError("an answer is empty")
    return [{"role": "assistant", "content": text}]


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


def sound_image(folder: Path, name: str) -> FileImage:
    """Return the image of this name. Raises `RowError` where it is missing or damaged."""
    image = file_image(folder, name)
    if fault := image.fault():
        raise RowError(fault)
    return image


def _as_form(
    form: str, question: str, answers: Sequence[Answer], best: int = 0, **more: Any
) -> Iterator[Row]:
    """Yield what a form makes of a question and its answers. SFT learns a good best answer alone.

    Unlearning takes what is not good as harmful, a good answer beside it as safe, and of two
    good ones the best as retained.
    """
    prompt, (text, good) = user(question), answers[best]
    if form == "prompts":
        yield {"prompt": prompt, **more}
    elif form == "preference":
        if len(answers) < 2:
            raise RowError("one answer and no preference")
        other = assistant(answers[1 - best][0])
        yield {"prompt": prompt, "chosen": assistant(text), "rejected": other, **more}
    elif form == "sft" and good:
        yield {"messages": [*prompt, *assistant(text)], **more}
    elif form == "unlearning" and all(fine for _, fine in answers):
        yield {"prompt": prompt, "completion": assistant(text), "kind": RETAIN}
    elif form == "unlearning":
        for text, fine in answers:
            kind = SAFE if fine else HARMFUL
            yield {"prompt": prompt, "completion": assistant(text), "kind": kind}


def _number(row: Fields, key: str, *allowed: int) -> int:
    """Return a number, or truth, that is one of some. Raises `RowError`."""
    value = row.fields.get(key)
    if value not in allowed:
        raise RowError(f"{key!r} is none of {', '.join(map(str, allowed))}")
    return int(value)


def _saferlhf(root: Path, form: str) -> Rows:
    """Yield the training rows of every model's file."""

    def rows(row: Fields) -> Iterator[Row]:
        answers = [
            (row.text(f"response_{n}"), bool(_number(row, f"is_response_{n}_safe", 0, 1)))
            for n in (0, 1)
        ]
        best = _number(row, "safer_response_id", 0, 1)
        return _as_form(form, row.text("prompt"), answers, best)

    return _each(root, "**/train.jsonl", read_jsonl, rows)


def _vlguard(root: Path, form: str) -> Rows:
    """Yield one row for each instruction; its answer is the published response."""
    file = find(root, "train.json")
    images = folder_of(root, "train", ".")
    harmful = {"instruction": True, "unsafe_instruction": True, "safe_instruction": False}

    def rows(row: Fields) -> Iterator[Row]:
        image = sound_image(images, row.text("image"))
        items = row.fields.get("instr-resp")
        if not isinstance(items, list) or not items:
            raise RowError("no 'instr-resp'")
        for item in items:
            fields = Fields(item if isinstance(item, dict) else {})
            key = next((key for key in harmful if key in fields.fields), None)
            if key is None:
                raise RowError("'instr-resp' has no instruction")
            answers = [(fields.text("response"), True)]
            more: dict[str, Any] = {"images": [image], "harmful": harmful[key]}
            yield from _as_form(form, fields.text(key), answers, **more)

    return made(file.name, read_json(file), rows)


def _with_image(root: Path, form: str) -> Rows:
    """Yield the training split of SPA-VL or BeaverTails-V."""

    def rows(row: Fields) -> Iterator[Row]:
        image = row.fields.get("image")
        if not isinstance(image, Embedded) or not image.images:
            raise RowError("no 'image'")
        if "safer_response_id" in row.fields:
            # Published as 1 and 2, like the answers' names.
            best = _number(row, "safer_response_id", 1, 2) - 1
            safe = [row.fields.get(f"is_response_{n}_safe") in (True, "yes") for n in (1, 2)]
            answers = [(row.maybe(f"response_{n}"), safe[n - 1]) for n in (1, 2)]
        else:
            best, answers = 0, [(row.maybe("chosen"), True), (row.maybe("rejected"), False)]
        more: dict[str, Any] = {"images": list(image.images), "harmful": True}
        return _as_form(form, row.text("question"), answers, best, **more)

    return _each(root, "**/*train*.parquet", read_parquet, rows)


def _each(
    root: Path,
    pattern: str,
    read: Callable[[Path], Labelled],
    make: Callable[[Fields], Iterator[Row]],
) -> Rows:
    """Yield the training rows of all files of a pattern. Raises `MissingFile`."""
    files = sorted(root.glob(pattern))
    if not files:
        raise MissingFile(f"no {pattern.removeprefix('**/')} in {root}")
    for file in files:
        yield from made(str(file.relative_to(root)), read(file), make)


TRAINING_SETS: Mapping[str, TrainingSet] = {
    one.name: one
    for one in (
        TrainingSet(
            name="saferlhf",
            licence="CC BY-NC 4.0",
            free=False,
            home=Home(hub="PKU-Alignment/PKU-SafeRLHF", files=("data/*/train.jsonl",)),
            serves=FORMS,
            read=_saferlhf,
        ),
        TrainingSet(
            name="vlguard-train",
            licence="none stated; research use, access on request",
            free=False,
            home=Home(hub="ys-zong/VLGuard", files=("train.json", "train.zip")),
            serves=("sft", "prompts"),
            read=_vlguard,
        ),
        TrainingSet(
            name="spa-vl",
            licence="CC BY 4.0",
            free=True,
            home=Home(hub="sqrti/SPA-VL", files=("*train-*.parquet",)),
            serves=("sft", "preference", "prompts"),
            read=_with_image,
        ),
        TrainingSet(
            name="beavertails-v",
            licence="CC BY-NC 4.0",
            free=False,
            home=Home(hub="saferlhf-v/BeaverTails-V", files=("*train-*.parquet",)),
            serves=("sft", "preference", "prompts"),
            read=_with_image,
        ),
    )
}
