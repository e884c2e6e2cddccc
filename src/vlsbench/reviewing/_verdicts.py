"""From the rows of the record to what each person says of each pair now."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vlsbench.errors import VlsbenchError
from vlsbench.reviewing._questions import CODES, Answer, Question, Step
from vlsbench.reviewing._store import UNDO, Row

_NAME = re.compile(r"[\w][\w .@+-]{0,39}")


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
    """Digest of what the person saw; see `shown_digest`."""
    answers: Mapping[Question, Answer]
    codes: tuple[str, ...]
    comment: str
    at: float
    """Unix time of the last answer."""
    complete: bool
    """The last screen was answered."""


def check_name(name: str) -> str:
    """Return a person's name. Raises `VlsbenchError` where it is not a valid name."""
    if not _NAME.fullmatch(name):
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
    return [_merged(parts) for parts in together.values()]


def _merged(rows: list[Row]) -> PersonVerdict:
    last = rows[-1]
    answers = {question: said for row in rows for question, said in row.said.answers.items()}
    return PersonVerdict(
        person=last.person,
        role=Role(last.role),
        pair=last.pair,
        shown=last.shown,
        answers=answers,
        codes=tuple(code for code in CODES if any(code in r.said.codes for r in rows)),
        comment="\n".join(row.said.comment for row in rows if row.said.comment),
        at=last.at,
        complete=any(row.step in (Step.PAIR, Step.ADJUDICATION) for row in rows),
    )
