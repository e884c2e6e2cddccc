"""SPA-VL: a picture, a question, a preferred and a rejected answer.

Zhang et al. 2024, arXiv 2406.12030. Parquet; `image`, `question`, `chosen`, `rejected`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import Rows, TrainingSet, made, messages, preference, user
from vlsbench.pairs import Embedded, Fields, Home, MissingFile, RowError, read_parquet


def read(root: Path, form: str) -> Rows:
    """Yield the training split; for SFT the preferred answer is the one to learn."""
    files = sorted(root.glob("**/train-*.parquet")) or sorted(root.glob("train*.parquet"))
    if not files:
        raise MissingFile(f"no train-*.parquet in {root}")
    for file in files:
        name = str(file.relative_to(root))
        yield from made(name, read_parquet(file), partial(_rows, form=form))


def _rows(row: Fields, form: str) -> Iterator[Row]:
    image = row.fields.get("image")
    if not isinstance(image, Embedded) or not image.images:
        raise RowError("no 'image'")
    more = {"images": list(image.images), "harmful": True}
    question, chosen = row.text("question"), row.text("chosen")
    if form == "sft":
        yield messages(question, chosen, **more)
    elif form == "preference":
        yield preference(question, chosen, row.text("rejected"), **more)
    else:
        yield {"prompt": user(question), **more}


SPA_VL = TrainingSet(
    name="spa-vl",
    title="SPA-VL",
    paper="2406.12030",
    licence="CC BY 4.0",
    free=True,
    home=Home(hub="sqrti/SPA-VL", files=("*train-*.parquet",)),
    layout="train-*.parquet, in any folder",
    serves=("sft", "preference", "prompts"),
    read=read,
)
