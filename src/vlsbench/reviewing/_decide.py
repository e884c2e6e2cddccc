"""Keep or drop, by majority or else the adjudicator; and how well reviewers agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from vlsbench.agreement import nominal_agreement
from vlsbench.pairs import Pair
from vlsbench.reviewing._verdicts import Answer, PersonVerdict, Question, Role, wanted
from vlsbench.text import counted


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
