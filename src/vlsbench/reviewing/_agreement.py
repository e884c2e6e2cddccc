"""How well reviewers agree, question by question."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from vlsbench.reviewing._questions import Answer, Question
from vlsbench.reviewing._verdicts import PersonVerdict, Role
from vlsbench.stats import alpha_interval, disagreements, krippendorff_alpha


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
    """Bounds of the 95 % interval of alpha, by the bootstrap over pairs."""
    high: float | None


def agreement(verdicts: Iterable[PersonVerdict]) -> tuple[QuestionAgreement, ...]:
    """Measure agreement on each question. Neither `unsure` nor adjudicators count."""
    found: dict[Question, dict[str, list[int]]] = {question: {} for question in Question}
    for verdict in verdicts:
        if verdict.role is Role.REVIEWER:
            for question, answer in verdict.answers.items():
                if answer is not Answer.UNSURE:
                    counts = found[question].setdefault(verdict.pair, [0, 0])
                    counts[answer is Answer.YES] += 1
    return tuple(_one(question, list(counts.values())) for question, counts in found.items())


def _one(question: Question, counts: list[list[int]]) -> QuestionAgreement:
    rated = np.array([c for c in counts if sum(c) >= 2], dtype=np.int64).reshape(-1, 2)
    interval = alpha_interval(rated)
    return QuestionAgreement(
        question,
        n=len(rated),
        agreement=1 - float(disagreements(rated).mean()) if len(rated) else None,
        alpha=krippendorff_alpha(rated),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
    )
