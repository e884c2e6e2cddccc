"""VLGuard's training part: unsafe pictures refused, safe ones asked safely and unsafely.

Zong et al. 2024, arXiv 2402.02207. `train.json` and the images of `train.zip`; `instr-resp` holds
an instruction with its response, or a safe and an unsafe one each with theirs.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import Rows, TrainingSet, made, messages, user
from vlsbench.pairs import Fields, Home, RowError, file_image, find, folder_of, read_json

_HARMFUL = {"instruction": True, "unsafe_instruction": True, "safe_instruction": False}


def read(root: Path, form: str) -> Rows:
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


VLGUARD_TRAIN = TrainingSet(
    name="vlguard-train",
    title="VLGuard (train)",
    paper="2402.02207",
    licence="none stated; research use, access on request",
    free=False,
    home=Home(hub="ys-zong/VLGuard", files=("train.json", "train.zip")),
    layout="train.json, and the images of train.zip in train/ or beside it",
    serves=("sft", "prompts"),
    read=read,
)
