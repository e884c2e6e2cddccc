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
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.aligning._rows import HARMFUL, RETAIN, SAFE
from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import (
    Rows,
    TrainingSet,
    each,
    either,
    made,
    messages,
    preference,
    unlearning,
    user,
)
from vlsbench.pairs import (
    Embedded,
    Fields,
    Home,
    RowError,
    file_image,
    find,
    folder_of,
    read_json,
    read_jsonl,
    read_parquet,
)

_HARMFUL = {"instruction": True, "unsafe_instruction": True, "safe_instruction": False}
_SHARDS = ("**/train-*.parquet", "train*.parquet")


_safe = partial(either, one=True, other=False)


def _saferlhf(root: Path, form: str) -> Rows:
    """Yield the training rows of every model's file.

    SFT takes the safer answer where it is safe; preferences, the safer against the other;
    unlearning, unsafe answers as harmful, the safe answer beside an unsafe one as safe, and safe
    answers to questions that got no unsafe one as retained.
    """
    return each(root, ("**/train.jsonl",), read_jsonl, partial(_saferlhf_rows, form=form))


def _saferlhf_rows(row: Fields, form: str) -> Iterator[Row]:
    question = row.text("prompt")
    answers = row.text("response_0"), row.text("response_1")
    safe = _safe(row, "is_response_0_safe"), _safe(row, "is_response_1_safe")
    safer = either(row, "safer_response_id", 0, 1)
    if form == "sft" and safe[safer]:
        yield messages(question, answers[safer])
    elif form == "preference":
        yield preference(question, answers[safer], answers[1 - safer])
    elif form == "prompts":
        yield {"prompt": user(question), "harmful": True}
    elif form == "unlearning":
        if all(safe):
            yield unlearning(question, answers[safer], RETAIN)
            return
        for answer, fine in zip(answers, safe, strict=True):
            yield unlearning(question, answer, SAFE if fine else HARMFUL)


def _vlguard(root: Path, form: str) -> Rows:
    """Yield one row for each instruction; its answer is the published response."""
    file = find(root, "train.json")
    images = folder_of(root, "train", ".")

    def rows(row: Fields) -> Iterator[Row]:
        image = file_image(images, row.text("image"))
        if fault := image.fault():
            raise RowError(fault)
        for harmful, question, answer in _instructions(row):
            more = {"images": [image], "harmful": harmful}
            if form == "prompts":
                yield {"prompt": user(question), **more}
            else:
                yield messages(question, answer, **more)

    return made(file.name, read_json(file), rows)


def _instructions(row: Fields) -> Iterator[tuple[bool, str, str]]:
    items = row.fields.get("instr-resp")
    if not isinstance(items, list) or not items:
        raise RowError("no 'instr-resp'")
    for item in items:
        fields = Fields(item if isinstance(item, dict) else {})
        key = next((key for key in _HARMFUL if key in fields.fields), None)
        if key is None:
            raise RowError("'instr-resp' has no instruction")
        yield _HARMFUL[key], fields.text(key), fields.text("response")


def _with_image(root: Path, form: str) -> Rows:
    """Yield the training split of SPA-VL or BeaverTails-V; SFT learns good answers alone."""
    return each(root, _SHARDS, read_parquet, partial(_with_image_rows, form=form))


def _with_image_rows(row: Fields, form: str) -> Iterator[Row]:
    image = row.fields.get("image")
    if not isinstance(image, Embedded) or not image.images:
        raise RowError("no 'image'")
    more: dict[str, Any] = {"images": list(image.images), "harmful": True}
    question = row.text("question")
    if form == "prompts":
        yield {"prompt": user(question), **more}
        return
    good, chosen, other = _answers(row)
    if form == "preference":
        if not other:
            raise RowError("one answer and no preference; take saferlhf-v/BeaverTails-V")
        yield preference(question, chosen, row.text(other), **more)
    elif good:
        yield messages(question, chosen, **more)


def _answers(row: Fields) -> tuple[bool, str, str]:
    """Return whether the better answer is good, that answer, and the field of the worse one."""
    if "response" in row.fields:
        return _safe(row, "is_response_safe"), row.text("response"), ""
    if "safer_response_id" not in row.fields:
        return True, row.text("chosen"), "rejected"
    # Published as 1 and 2, like the answers' names.
    safer = either(row, "safer_response_id", 1, 2)
    good = row.fields.get(f"is_response_{safer}_safe") in (True, "yes")
    return good, row.text(f"response_{safer}"), f"response_{3 - safer}"


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
