"""What reviewers are asked, who they are, what each of them says now, and what it comes to."""

from __future__ import annotations

import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial

import numpy as np

from vlsbench.agreement import nominal_agreement
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Pair
from vlsbench.text import counted


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


class Fate(StrEnum):
    """What becomes of a pair."""

    KEEP = "keep"
    DROP = "drop"
    OPEN = "open"
    """Not decided."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the verdicts on one pair come to."""

    pair: str
    fate: Fate
    why: str
    """What it is dropped for, or what it still waits for; empty where it is kept."""
    against: float
    """Share of the reviewers whose answers would drop it."""
    disputed: tuple[Question, ...]
    """Questions that decide and have no majority, once there are verdicts enough."""


def decide(pair: Pair, verdicts: Sequence[PersonVerdict], votes: int) -> Decision:
    """Decide on one pair.

    Each question that decides is settled by what more than half of the complete verdicts say, those
    that are unsure included; where there is no such majority, by the adjudicator. One question
    settled against the pair drops it; all settled for it keep it.

    Args:
        pair: The pair.
        verdicts: All that was said of it, adjudicators' included.
        votes: Complete verdicts of reviewers below which it stays open.
    """
    want = wanted(pair)
    reviews = [v for v in verdicts if v.role is Role.REVIEWER and v.complete]
    ruled = [v for v in verdicts if v.role is Role.ADJUDICATOR]
    enough = len(reviews) >= votes
    why: list[str] = []
    unsettled: list[Question] = []
    for question, answer in want.items():
        ruling = next((a for v in reversed(ruled) if _sure(a := v.answers.get(question))), None)
        said = Counter(a for v in reviews if (a := _sure(v.answers.get(question))))
        majority = next((a for a, n in said.items() if enough and 2 * n > len(reviews)), None)
        settled = ruling or majority
        if not settled:
            unsettled.append(question)
        elif settled is not answer:
            by = "adjudicated" if ruling else f"{said[settled]} of {len(reviews)}"
            why.append(f"{question}: {settled} ({by})")
    fate = Fate.DROP if why else Fate.OPEN if unsettled else Fate.KEEP
    if fate is Fate.DROP:
        codes = Counter(code for verdict in reviews + ruled for code in verdict.codes)
        why += [f"{code} ×{count}" if count > 1 else code for code, count in codes.items()]
    elif fate is Fate.OPEN:
        waits = "disputed: " + ", ".join(unsettled)
        why = [waits if enough else f"{len(reviews)} of {counted(votes, 'verdict')}"]
    against = sum(
        any((a := _sure(v.answers.get(question))) and a is not want[question] for question in want)
        for v in reviews
    )
    return Decision(
        pair=pair.id,
        fate=fate,
        why="; ".join(why),
        against=against / len(reviews) if reviews else 0.0,
        disputed=tuple(unsettled) if fate is Fate.OPEN and enough else (),
    )


def _sure(answer: Answer | None) -> Answer | None:
    return None if answer is Answer.UNSURE else answer


@dataclass(frozen=True, slots=True)
class QuestionAgreement:
    """Agreement on one question, over the pairs that two reviewers or more were sure about."""

    question: Question
    n: int
    """Pairs."""
    agreement: float | None
    """Mean share of a pair's reviewers, two by two, who say the same."""
    alpha: float | None
    """Krippendorff's, nominal; None where undefined, as when all answers are the same."""
    low: float | None
    """Bounds of the 95 % interval of alpha, clustered by image."""
    high: float | None


def agreement(
    verdicts: Iterable[PersonVerdict], images: Mapping[str, str] | None = None
) -> tuple[QuestionAgreement, ...]:
    """Measure agreement on each question. Neither `unsure` nor adjudicators count.

    `images` tells the image of a pair, which others may share; by default each has its own.
    """
    found: dict[Question, dict[str, list[int]]] = {question: {} for question in Question}
    for verdict in verdicts:
        if verdict.role is Role.REVIEWER:
            for question, answer in verdict.answers.items():
                if answer is not Answer.UNSURE:
                    counts = found[question].setdefault(verdict.pair, [0, 0])
                    counts[answer is Answer.YES] += 1
    agreed = []
    for question, pairs in found.items():
        table = np.array([*pairs.values()], dtype=np.intp).reshape(-1, 2)
        clusters = [images.get(pair, pair) if images else pair for pair in pairs]
        agreed.append(QuestionAgreement(question, *nominal_agreement(table, clusters)))
    return tuple(agreed)
