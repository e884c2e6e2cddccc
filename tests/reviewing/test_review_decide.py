from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.reviewing.review_examples import GOOD, NO, UNSURE, YES, pair
from vlsbench.reviewing import (
    Answer,
    Fate,
    PersonVerdict,
    Question,
    Role,
    agreement,
    decide,
)

Answers = Mapping[Question, Answer]
UNMATCHED = {**GOOD, Question.MATCHED: NO}
UNSURE_MATCH = {**GOOD, Question.MATCHED: UNSURE}


def _verdict(
    person: str, answers: Answers = GOOD, role: Role = Role.REVIEWER, complete: bool = True
) -> PersonVerdict:
    return PersonVerdict(person, role, "toast-1", "digest", answers, (), "", 0.0, complete)


def _fate(*answers: Answers, votes: int = 2) -> Fate:
    said = [_verdict(f"person {n}", one) for n, one in enumerate(answers)]
    return decide(pair(1), said, votes).fate


@pytest.mark.parametrize(
    ("answers", "fate"),
    [
        ([GOOD, GOOD], Fate.KEEP),
        ([UNMATCHED, UNMATCHED], Fate.DROP),
        ([GOOD, UNMATCHED], Fate.OPEN),
        ([GOOD, GOOD, UNMATCHED], Fate.KEEP),
        ([GOOD, UNMATCHED, UNMATCHED], Fate.DROP),
        # Unsure is no vote for, and one of two is no majority.
        ([GOOD, UNSURE_MATCH], Fate.OPEN),
        ([GOOD, GOOD, UNSURE_MATCH], Fate.KEEP),
        ([GOOD, UNMATCHED, UNSURE_MATCH], Fate.OPEN),
        ([GOOD], Fate.OPEN),
        ([], Fate.OPEN),
    ],
)
def test_the_majority_decides(answers: list[Answers], fate: Fate) -> None:
    assert _fate(*answers) is fate


@pytest.mark.parametrize(
    ("question", "against"),
    [
        (Question.QUERY_HARMFUL, YES),
        (Question.MATCHED, NO),
        (Question.PAIR_HARMFUL, NO),
        (Question.CATEGORY_RIGHT, NO),
    ],
)
def test_each_question_can_drop_a_pair_and_is_named(question: Question, against: Answer) -> None:
    found = decide(pair(1), [_verdict("ann", {**GOOD, question: against})], 1)
    assert found.fate is Fate.DROP
    assert found.why == f"{question}: {against} (1 of 1)"
    assert found.against == 1.0


def test_a_harmful_image_is_noted_and_drops_nothing() -> None:
    assert _fate({**GOOD, Question.IMAGE_HARMFUL: YES}, votes=1) is Fate.KEEP


def test_a_benign_control_must_be_harmless_together() -> None:
    control = pair(1, harmful=False)
    harmless: Answers = {**GOOD, Question.PAIR_HARMFUL: NO}
    assert decide(control, [_verdict("ann", harmless)], 1).fate is Fate.KEEP
    assert decide(control, [_verdict("ann", GOOD)], 1).fate is Fate.DROP


def test_without_a_category_it_is_not_asked() -> None:
    answers: Answers = {q: a for q, a in GOOD.items() if q is not Question.CATEGORY_RIGHT}
    assert decide(pair(1, category=""), [_verdict("ann", answers)], 1).fate is Fate.KEEP


def test_an_unfinished_verdict_does_not_count() -> None:
    said = [_verdict("ann"), _verdict("ben", UNMATCHED, complete=False)]
    found = decide(pair(1), said, 2)
    assert (found.fate, found.why, found.disputed) == (Fate.OPEN, "1 of 2 verdicts", ())


@pytest.mark.parametrize(
    ("ruling", "fate"), [(YES, Fate.KEEP), (NO, Fate.DROP), (UNSURE, Fate.OPEN)]
)
def test_the_adjudicator_decides_what_is_in_dispute(ruling: Answer, fate: Fate) -> None:
    said = [_verdict("ann"), _verdict("ben", UNMATCHED)]
    assert decide(pair(1), said, 2).disputed == (Question.MATCHED,)
    said.append(_verdict("cleo", {Question.MATCHED: ruling}, Role.ADJUDICATOR))
    found = decide(pair(1), said, 2)
    assert found.fate is fate
    assert found.against == 0.5


def test_a_ruling_stands_whatever_is_said_later() -> None:
    said = [_verdict("ann"), _verdict("ben", UNMATCHED)]
    said.append(_verdict("cleo", {Question.MATCHED: YES}, Role.ADJUDICATOR))
    said.append(_verdict("dan", UNMATCHED))
    assert decide(pair(1), said, 2).fate is Fate.KEEP


@given(st.permutations(list(range(5))), st.lists(st.sampled_from(Answer), min_size=5, max_size=5))
def test_order_and_names_decide_nothing(order: list[int], said: list[Answer]) -> None:
    verdicts = [
        _verdict(f"p{n}", {**GOOD, Question.MATCHED: answer}) for n, answer in enumerate(said)
    ]
    other = [verdicts[n] for n in order]
    assert decide(pair(1), verdicts, 2) == decide(pair(1), other, 2)


def test_agreement_counts_sure_answers_of_reviewers_only() -> None:
    said = [
        _verdict("ann"),
        _verdict("ben"),
        _verdict("dan", UNSURE_MATCH),
        _verdict("cleo", {Question.MATCHED: NO}, Role.ADJUDICATOR),
    ]
    found = {one.question: one for one in agreement(said)}
    assert found[Question.MATCHED].n == 1
    assert found[Question.MATCHED].agreement == 1.0
    assert found[Question.MATCHED].alpha is None
    assert found[Question.PAIR_HARMFUL].agreement == 1.0
    assert all(one.n == 0 and one.agreement is None for one in agreement(said[:1]))


def test_pairs_that_share_an_image_tell_less_of_agreement() -> None:
    people, pairs = ("ann", "ben"), range(40)
    said = [
        replace(_verdict(who, UNMATCHED if n % 4 < 2 and (who, n % 8) != ("ben", 0) else GOOD),
                pair=f"p{n}")
        for who in people for n in pairs
    ]  # fmt: skip
    alone, shared = (
        next(one for one in agreement(said, images) if one.question is Question.MATCHED)
        for images in (None, {f"p{n}": f"image {n % 4}" for n in pairs})
    )
    assert alone.alpha == shared.alpha
    assert alone.low is not None
    assert shared.low is not None
    assert shared.low < alone.low - 0.1
