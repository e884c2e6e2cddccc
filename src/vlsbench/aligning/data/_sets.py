"""The published training sets, by name, and their readers.

- PKU-SafeRLHF (Ji et al. 2024, arXiv 2406.15513): two answers to a question, which of them is safe,
  and which is safer. Text only. `prompt`, `response_0`, `response_1`, `is_response_0_safe`,
  `is_response_1_safe`, `safer_response_id`.
- VLGuard (Zong et al. 2024, arXiv 2402.02207): unsafe images refused, safe ones asked safely and
  unsafely. `train.json` and the images of `train.zip`; `instr-resp` holds an instruction with its
  response, or a safe and an unsafe one each with theirs.
- SPA-VL (Zhang et al. 2024, arXiv 2406.12030): `image`, `question`, `chosen`, `rejected`.
- BeaverTails-V (Ji et al. 2025, arXiv 2503.17682), in two forms: one answer and whether it is safe
  (`PKU-Alignment/BeaverTails-V`), or two answers with which is safer (`saferlhf-v/BeaverTails-V`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import Example, Rows, TrainingSet, each, either, made, sound_image
from vlsbench.pairs import (
    Embedded,
    Fields,
    Home,
    RowError,
    find,
    folder_of,
    read_json,
    read_jsonl,
    read_parquet,
)

_HARMFUL = {"instruction": True, "unsafe_instruction": True, "safe_instruction": False}


def _safe(row: Fields, key: str) -> bool:
    return either(row, key, True, False)


def _saferlhf(root: Path, form: str) -> Rows:
    """Yield the training rows of every model's file."""

    def rows(row: Fields) -> Iterator[Row]:
        numbers = (0, 1)
        answers = [
            (row.text(f"response_{n}"), _safe(row, f"is_response_{n}_safe")) for n in numbers
        ]
        best = either(row, "safer_response_id", *numbers)
        return Example(row.text("prompt"), tuple(answers), best).rows(form)

    return each(root, ("**/train.jsonl",), read_jsonl, rows)


def _vlguard(root: Path, form: str) -> Rows:
    """Yield one row for each instruction; its answer is the published response."""
    file = find(root, "train.json")
    images = folder_of(root, "train", ".")

    def rows(row: Fields) -> Iterator[Row]:
        image = sound_image(images, row.text("image"))
        items = row.fields.get("instr-resp")
        if not isinstance(items, list) or not items:
            raise RowError("no 'instr-resp'")
        for item in items:
            fields = Fields(item if isinstance(item, dict) else {})
            key = next((key for key in _HARMFUL if key in fields.fields), None)
            if key is None:
                raise RowError("'instr-resp' has no instruction")
            more = {"images": [image], "harmful": _HARMFUL[key]}
            answers = ((fields.text("response"), True),)
            yield from Example(fields.text(key), answers, more=more).rows(form)

    return made(file.name, read_json(file), rows)


def _with_image(root: Path, form: str) -> Rows:
    """Yield the training split of SPA-VL or BeaverTails-V."""

    def rows(row: Fields) -> Iterator[Row]:
        image = row.fields.get("image")
        if not isinstance(image, Embedded) or not image.images:
            raise RowError("no 'image'")
        answers, best = _answers(row)
        more = {"images": list(image.images), "harmful": True}
        return Example(row.text("question"), answers, best, more).rows(form)

    return each(root, ("**/train-*.parquet", "train*.parquet"), read_parquet, rows)


def _answers(row: Fields) -> tuple[tuple[tuple[str, bool], ...], int]:
    """Return the answers, each with whether it is good, and which is the better one."""
    if "response" in row.fields:
        return ((row.text("response"), _safe(row, "is_response_safe")),), 0
    if "safer_response_id" not in row.fields:
        return ((row.maybe("chosen"), True), (row.maybe("rejected"), False)), 0
    # Published as 1 and 2, like the answers' names.
    numbers = (1, 2)
    safe = [row.fields.get(f"is_response_{n}_safe") in (True, "yes") for n in numbers]
    answers = [(row.maybe(f"response_{n}"), fine) for n, fine in zip(numbers, safe, strict=True)]
    return tuple(answers), either(row, "safer_response_id", *numbers) - 1


TRAINING_SETS: Mapping[str, TrainingSet] = {
    one.name: one
    for one in (
        TrainingSet(
            name="saferlhf",
            licence="CC BY-NC 4.0",
            free=False,
            home=Home(hub="PKU-Alignment/PKU-SafeRLHF", files=("data/*/train.jsonl",)),
            layout="data/<model>/train.jsonl",
            serves=("sft", "preference", "unlearning", "prompts"),
            read=_saferlhf,
        ),
        TrainingSet(
            name="vlguard-train",
            licence="none stated; research use, access on request",
            free=False,
            home=Home(hub="ys-zong/VLGuard", files=("train.json", "train.zip")),
            layout="train.json, and the images of train.zip in train/ or beside it",
            serves=("sft", "prompts"),
            read=_vlguard,
        ),
        TrainingSet(
            name="spa-vl",
            licence="CC BY 4.0",
            free=True,
            home=Home(hub="sqrti/SPA-VL", files=("*train-*.parquet",)),
            layout="train-*.parquet, in any folder",
            serves=("sft", "preference", "prompts"),
            read=_with_image,
        ),
        TrainingSet(
            name="beavertails-v",
            licence="CC BY-NC 4.0",
            free=False,
            home=Home(hub="saferlhf-v/BeaverTails-V", files=("*train-*.parquet",)),
            layout="<category>/train-*.parquet",
            serves=("sft", "preference", "prompts"),
            read=_with_image,
        ),
    )
}
