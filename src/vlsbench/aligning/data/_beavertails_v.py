"""BeaverTails-V: pictures with questions and answers, safe and unsafe, in twenty categories.

Ji et al. 2025, arXiv 2503.17682. Parquet in two forms: one answer and whether it is safe
(`PKU-Alignment/BeaverTails-V`), or two answers with which is safer (`saferlhf-v/BeaverTails-V`).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import (
    Rows,
    TrainingSet,
    made,
    messages,
    preference,
    truth,
    user,
)
from vlsbench.pairs import Embedded, Fields, Home, MissingFile, RowError, read_parquet


def read(root: Path, form: str) -> Rows:
    """Yield the training split; SFT learns safe answers alone."""
    files = sorted(root.glob("**/train-*.parquet"))
    if not files:
        raise MissingFile(f"no train-*.parquet in {root}")
    for file in files:
        name = str(file.relative_to(root))
        yield from made(name, read_parquet(file), partial(_rows, form=form))


def _rows(row: Fields, form: str) -> Iterator[Row]:
    image = row.fields.get("image")
    if not isinstance(image, Embedded) or not image.images:
        raise RowError("no 'image'")
    more: dict[str, Any] = {"images": list(image.images), "harmful": True}
    question = row.text("question")
    if form == "prompts":
        yield {"prompt": user(question), **more}
    elif "response" in row.fields:
        if form == "preference":
            raise RowError("one answer and no preference; take saferlhf-v/BeaverTails-V")
        if truth(row, "is_response_safe"):
            yield messages(question, row.text("response"), **more)
    else:
        # Published as 1 and 2, like the answers' names.
        safer = row.fields.get("safer_response_id")
        if safer not in (1, 2):
            raise RowError("'safer_response_id' is neither 1 nor 2")
        chosen, rejected = row.text(f"response_{safer}"), row.text(f"response_{3 - safer}")
        if form == "preference":
            yield preference(question, chosen, rejected, **more)
        elif row.fields.get(f"is_response_{safer}_safe") in (True, "yes"):
            yield messages(question, chosen, **more)


BEAVERTAILS_V = TrainingSet(
    name="beavertails-v",
    title="BeaverTails-V",
    paper="2503.17682",
    licence="CC BY-NC 4.0",
    free=False,
    home=Home(hub="saferlhf-v/BeaverTails-V", files=("*train-*.parquet",)),
    layout="<category>/train-*.parquet",
    serves=("sft", "preference", "prompts"),
    read=read,
)
