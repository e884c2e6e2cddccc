"""Harmless pairs to review, and people who review them."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from pathlib import Path

from PIL import Image as Pillow

from vlsbench.pairs import MadeImage, Pair, PairSet
from vlsbench.reviewing import (
    STEPS,
    Answer,
    Question,
    Review,
    Role,
    Said,
    Step,
    Store,
    asked,
    open_review,
)

YES, NO, UNSURE = Answer.YES, Answer.NO, Answer.UNSURE
GOOD = {
    Question.QUERY_HARMFUL: NO,
    Question.IMAGE_HARMFUL: NO,
    Question.MATCHED: YES,
    Question.PAIR_HARMFUL: YES,
    Question.CATEGORY_RIGHT: YES,
}
"""Answers with which a harmful pair is kept."""


def image_bytes(colour: str, form: str = "PNG", size: tuple[int, int] = (40, 30)) -> bytes:
    out = io.BytesIO()
    Pillow.new("RGB", size, colour).save(out, form)
    return out.getvalue()


def pair(number: int, **changes: object) -> Pair:
    colour = f"#{number % 16:x}08040"[:7]
    fields: dict[str, object] = {
        "id": f"toast-{number}",
        "query": f"May my toddler have this one, number {number}?",
        "images": (MadeImage(f"toaster-{number}.png", lambda: image_bytes(colour)),),
        "category": "Kitchen",
        "subcategory": "toasters",
    }
    return Pair(**{**fields, **changes})  # type: ignore[arg-type]


def pair_set(pairs: Iterable[Pair], name: str = "toast") -> PairSet:
    held = list(pairs)
    return PairSet(name, lambda: iter(held))


def begin(folder: Path, pairs: int | Iterable[Pair] = 3, **options: object) -> Review:
    some = [pair(n) for n in range(pairs)] if isinstance(pairs, int) else pairs
    return open_review(pair_set(some), Store.write(folder), **options)  # type: ignore[arg-type]


def say(
    review: Review,
    person: str,
    answers: Mapping[Question, Answer] = GOOD,
    *,
    codes: tuple[str, ...] = (),
    comment: str = "",
) -> str:
    """Answer all screens of the pair a reviewer is at; returns its id."""
    answered = ""
    for step in STEPS:
        at = review.screen(person, Role.REVIEWER)
        assert at is not None
        answered = at.pair.id
        assert at.step is step
        last = step is Step.PAIR
        said = Said(
            {q: answers[q] for q in asked(at.pair, step)},
            codes if last else (),
            comment if last else "",
        )
        assert review.answer(person, Role.REVIEWER, at.number, step, said)
    return answered
