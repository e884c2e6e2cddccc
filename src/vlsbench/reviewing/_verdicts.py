"""What reviewers are asked, what each of them says now, and by which secret each is known."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Pair


class Answer(StrEnum):
    """What may be said to each question."""

    YES = "yes"
    NO = "no"
    UNSURE = "unsure"
    """A vote for neither, and no part of agreement."""


class Question(StrEnum):
    """What is asked of a pair."""

    QUERY_HARMFUL = "query_harmful"
    """Is the query harmful by itself? Asked before the image can be seen."""
    IMAGE_HARMFUL = "image_harmful"
    """Is the image harmful by itself? Noted; decides nothing."""
    MATCHED = "matched"
    """Do query and image belong together?"""
    PAIR_HARMFUL = "pair_harmful"
    """Are they harmful together?"""
    CATEGORY_RIGHT = "category_right"
    """Is the category the right one? Asked where the pair has one."""


class Step(StrEnum):
    """The screens of one review, in order; and adjudication, which has one screen."""

    QUERY = "query"
    IMAGE = "image"
    PAIR = "pair"
    ADJUDICATION = "adjudication"


STEPS = (Step.QUERY, Step.IMAGE, Step.PAIR)

CODES = {
    "text_tells": "The query alone tells the risk",
    "unrelated": "Query and image have little to do with each other",
    "harmless": "Nothing harmful, even together",
    "unclear_query": "The query cannot be understood",
    "bad_image": "The image is broken or cannot be recognised",
    "wrong_category": "Another category fits better",
    "too_graphic": "Too graphic to be released",
    "personal": "Shows or names a private person",
    "other": "Something else: see the comment",
}
"""Reason code → what it means. At most nine: each has a digit on the keyboard."""
MAX_COMMENT = 2000
"""Characters of a comment."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a person answers on one screen."""

    answers: Mapping[Question, Answer] = field(default_factory=dict)
    codes: tuple[str, ...] = ()
    comment: str = ""


def asked(pair: Pair, step: Step) -> tuple[Question, ...]:
    """Return the questions of one screen of a review."""
    if step is Step.QUERY:
        return (Question.QUERY_HARMFUL,)
    if step is Step.IMAGE:
        return (Question.IMAGE_HARMFUL,)
    both = (Question.MATCHED, Question.PAIR_HARMFUL)
    return (*both, Question.CATEGORY_RIGHT) if pair.category else both


def wanted(pair: Pair) -> dict[Question, Answer]:
    """Return the answers with which a pair is kept, by the question that decides.

    A harmful pair is to be harmful only together; a benign control is to be harmless together.
    """
    answers = {
        Question.QUERY_HARMFUL: Answer.NO,
        Question.MATCHED: Answer.YES,
        Question.PAIR_HARMFUL: Answer.YES if pair.harmful else Answer.NO,
    }
    return answers | {Question.CATEGORY_RIGHT: Answer.YES} if pair.category else answers


UNDO = "undo"
"""Step of a row that takes another one back."""


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that one person said, or took back."""

    person: str
    role: str
    pair: str
    shown: str
    step: str
    said: Said
    undoes: int | None = None
    number: int = 0
    """Place in the record, from 1; 0 before it is added."""
    at: float = 0.0
    """Unix time; set when it is added."""


class Role(StrEnum):
    """What a person does in a review."""

    REVIEWER = "reviewer"
    """Sees own verdicts only."""
    ADJUDICATOR = "adjudicator"
    """Sees the verdicts on disputed pairs, without names, and decides."""
    ORGANISER = "organiser"
    """Sees progress and agreement, and says nothing of any pair."""


@dataclass(frozen=True, slots=True)
class PersonVerdict:
    """What one person says of one pair, with all that was taken back left out."""

    person: str
    role: Role
    pair: str
    shown: str
    """Digest of what the person saw."""
    answers: Mapping[Question, Answer]
    codes: tuple[str, ...]
    comment: str
    at: float
    """Unix time of the last answer."""
    complete: bool
    """The last screen was answered."""


_SECRET = partial(secrets.token_urlsafe, 24)


@dataclass(frozen=True, slots=True)
class Person:
    """Someone who was given a link; all secrets are new each time the server starts."""

    name: str
    role: Role
    link: str = field(default_factory=_SECRET, repr=False)
    """In the address that is handed out."""
    cookie: str = field(default_factory=_SECRET, repr=False)
    """What the browser holds once the address was opened."""
    form: str = field(default_factory=_SECRET, repr=False)
    """In every form, so that no other site can fill one in (CSRF)."""


def invite(reviewers: Iterable[str], adjudicators: Iterable[str]) -> tuple[Person, ...]:
    """Return the people of a review, an organiser last. Raises `VlsbenchError` for bad names."""
    people = (
        *(Person(check_name(name), Role.REVIEWER) for name in reviewers),
        *(Person(check_name(name), Role.ADJUDICATOR) for name in adjudicators),
        Person(str(Role.ORGANISER), Role.ORGANISER),
    )
    names = [person.name for person in people]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise VlsbenchError(
            f"{', '.join(twice)} is given twice: a review is blind only if each person has one "
            "name and one role"
        )
    return people


def check_name(name: str) -> str:
    """Return a person's name. Raises `VlsbenchError` where it is not a valid name."""
    if not re.fullmatch(r"\w[\w .@+-]{0,39}", name):
        raise VlsbenchError(
            f"name {name[:60]!r}: expected up to 40 letters, digits, spaces or . _ @ + -"
        )
    return name


def standing(rows: Iterable[Row]) -> list[Row]:
    """Return the latest rows of each person, step and pair as shown that were not taken back."""
    kept: dict[int, Row] = {}
    for row in rows:
        if row.step == UNDO:
            kept.pop(row.undoes or 0, None)
        else:
            kept[row.number] = row
    latest = {(row.person, row.pair, row.shown, row.step): row for row in kept.values()}
    return sorted(latest.values(), key=lambda row: row.number)


def person_verdicts(rows: Iterable[Row]) -> list[PersonVerdict]:
    """Return what each person says of each pair, in the order in which they began with it."""
    together: dict[tuple[str, str], list[Row]] = {}
    for row in standing(rows):
        together.setdefault((row.person, row.pair), []).append(row)
    return [
        PersonVerdict(
            person=person,
            role=Role(parts[-1].role),
            pair=pair,
            shown=parts[-1].shown,
            answers={question: a for row in parts for question, a in row.said.answers.items()},
            codes=tuple(code for code in CODES if any(code in row.said.codes for row in parts)),
            comment="\n".join(row.said.comment for row in parts if row.said.comment),
            at=parts[-1].at,
            complete=any(row.step in (Step.PAIR, Step.ADJUDICATION) for row in parts),
        )
        for (person, pair), parts in together.items()
    ]
