"""Keep or drop: the majority's answers, and where there is none, the adjudicator's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from vlsbench.pairs import Pair
from vlsbench.reviewing._questions import Answer, Question, wanted
from vlsbench.reviewing._verdicts import PersonVerdict, Role


class Fate(StrEnum):
    """What becomes of a pair."""

    KEEP = "keep"
    DROP = "drop"
    OPEN = "open"
    """Not decided: it is on neither list."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What the verdicts on one pair come to."""

    pair: str
    fate: Fate
    why: str
    """What it is dropped for, or what it still waits for; empty where it is kept."""
    against: float
    """Share of the reviewers whose answers would drop it."""
    verdicts: int
    """Complete ones of reviewers."""
    disputed: tuple[Question, ...]
    """Questions that decide and have no majority, once there are verdicts enough."""
    adjudicated: bool


def votes_needed(reviewers: int) -> int:
    """Return how many verdicts a pair needs unless told otherwise: two, if there are two people."""
    return 2 if reviewers > 1 else 1


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
    said = {question: _counts(reviews, question) for question in want}
    enough = len(reviews) >= votes
    answers: dict[Question, Answer] = {}
    why: list[str] = []
    disputed: list[Question] = []
    for question, answer in want.items():
        ruling = next((a for v in reversed(ruled) if _sure(a := v.answers.get(question))), None)
        majority = _majority(said[question], len(reviews)) if enough else None
        if settled := ruling or majority:
            answers[question] = settled
            if settled is not answer:
                by = "adjudicated" if ruling else f"{said[question][settled]} of {len(reviews)}"
                why.append(f"{question}: {settled} ({by})")
        elif enough:
            disputed.append(question)
    if why:
        fate, why = Fate.DROP, why + _codes(reviews + ruled)
    elif len(answers) == len(want):
        fate = Fate.KEEP
    else:
        fate = Fate.OPEN
        waits = "disputed: " + ", ".join(disputed)
        why = [waits if enough else f"{len(reviews)} of {votes} verdicts"]
    against = [v for v in reviews if _against(v, want)]
    return Decision(
        pair=pair.id,
        fate=fate,
        why="; ".join(why),
        against=len(against) / len(reviews) if reviews else 0.0,
        verdicts=len(reviews),
        disputed=() if fate is Fate.DROP else tuple(disputed),
        adjudicated=bool(ruled),
    )


def _against(verdict: PersonVerdict, want: Mapping[Question, Answer]) -> bool:
    return any((said := _sure(verdict.answers.get(q))) and said is not want[q] for q in want)


def _sure(answer: Answer | None) -> Answer | None:
    return None if answer is Answer.UNSURE else answer


def _counts(verdicts: Iterable[PersonVerdict], question: Question) -> Counter[Answer]:
    return Counter(answer for v in verdicts if (answer := _sure(v.answers.get(question))))


def _majority(counts: Counter[Answer], of: int) -> Answer | None:
    return next((answer for answer, count in counts.items() if 2 * count > of), None)


def _codes(verdicts: Iterable[PersonVerdict]) -> list[str]:
    counts = Counter(code for verdict in verdicts for code in verdict.codes)
    return [f"{code} ×{count}" if count > 1 else code for code, count in counts.items()]
