"""PKU-SafeRLHF: two answers to a question, which of them is safe, and which is safer. Text only.

Ji et al. 2024, arXiv 2406.15513. `data/<model>/train.jsonl`; fields `prompt`, `response_0`,
`response_1`, `is_response_0_safe`, `is_response_1_safe`, `safer_response_id`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from vlsbench.aligning._rows import HARMFUL, RETAIN, SAFE
from vlsbench.aligning._settings import Row
from vlsbench.aligning.data._rows import (
    Rows,
    TrainingSet,
    made,
    messages,
    preference,
    truth,
    unlearning,
    user,
    which,
)
from vlsbench.pairs import Fields, Home, MissingFile, read_jsonl


def read(root: Path, form: str) -> Rows:
    """Yield the training rows of every model's file.

    SFT takes the safer answer where it is safe; preferences, the safer against the other;
    unlearning, unsafe answers as harmful, the safe answer beside an unsafe one as safe, and safe
    answers to questions that got no unsafe one as retained.
    """
    files = sorted(root.glob("**/train.jsonl"))
    if not files:
        raise MissingFile(f"no data/<model>/train.jsonl in {root}")
    for file in files:
        name = str(file.relative_to(root))
        yield from made(name, read_jsonl(file), partial(_rows, form=form))


def _rows(row: Fields, form: str) -> Iterator[Row]:
    question = row.text("prompt")
    answers = row.text("response_0"), row.text("response_1")
    safe = truth(row, "is_response_0_safe"), truth(row, "is_response_1_safe")
    safer = which(row, "safer_response_id")
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


SAFERLHF = TrainingSet(
    name="saferlhf",
    title="PKU-SafeRLHF",
    paper="2406.15513",
    licence="CC BY-NC 4.0",
    free=False,
    home=Home(hub="PKU-Alignment/PKU-SafeRLHF", files=("data/*/train.jsonl",)),
    layout="data/<model>/train.jsonl",
    serves=("sft", "preference", "unlearning", "prompts"),
    read=read,
)
