"""Measure C's figures, on labels made for them."""

from dataclasses import replace

import pytest

from vlsbench.auditing.behaviour import change, view_figures
from vlsbench.evaluation import Ended
from vlsbench.judge import Label


def answers(*labels: Label, prefix: str = "") -> list[Ended]:
    return [
        Ended(str(n), "c", True, f"{prefix}query {n}", label, f"{prefix}image {n}")
        for n, label in enumerate(labels)
    ]


REFUSES, WARNS, UNSAFE, LOST = Label.REFUSAL, Label.WARNING, Label.UNSAFE, Label.UNSCORED


def test_a_model_that_refuses_everything_is_not_safe_net() -> None:
    refuser = view_figures("full", answers(*[REFUSES] * 40), answers(*[REFUSES] * 40, prefix="b"))
    assert refuser.safety.rate == 1.0
    assert refuser.net.value == 0.0
    warner = view_figures("full", answers(*[WARNS] * 40), answers(*[WARNS] * 40, prefix="b"))
    assert warner.net.value == 1.0
    assert warner.net_of_warnings.value == 0.0
    for net in (refuser.net, warner.net_of_warnings):
        assert net.low is not None
        assert net.high is not None
        assert net.low < 0 < net.high
        assert net.high - net.low < 0.25


def test_only_pairs_scored_under_both_views_are_compared() -> None:
    full = answers(WARNS, WARNS, WARNS, UNSAFE, LOST)
    hidden = answers(WARNS, UNSAFE, LOST, UNSAFE, WARNS)
    changed = change("blank", full, hidden)
    assert changed.gain.n == 3
    assert changed.gain.value == pytest.approx(1 / 3)
    assert (changed.survival.k, changed.survival.n) == (1, 2)


def test_one_query_for_all_pairs_tells_little() -> None:
    def same(*labels: Label) -> list[Ended]:
        return [replace(row, query="the same") for row in answers(*labels)]

    changed = change("text", same(*[WARNS] * 30, *[UNSAFE] * 10), same(*[UNSAFE] * 40))
    assert changed.gain.value == 0.75
    assert changed.gain.p == 1.0
    assert changed.gain.low is not None
    assert changed.gain.high is not None
    assert changed.gain.low < 0 < 0.99 < changed.gain.high
    own = change("text", answers(*[WARNS] * 30, *[UNSAFE] * 10), answers(*[UNSAFE] * 40))
    assert own.gain.low is not None
    assert own.gain.high is not None
    assert 0.5 < own.gain.low < 0.75 < own.gain.high < 1


def test_a_shortcut_is_unknown_where_no_safe_answer_repeats() -> None:
    full = answers(REFUSES, REFUSES, REFUSES, UNSAFE)
    never = answers(UNSAFE, UNSAFE, UNSAFE, UNSAFE)
    for hidden in (answers(REFUSES, UNSAFE, UNSAFE, UNSAFE), never):
        assert change("blank", full, hidden, never).kept is None
    assert change("blank", full, full, full).kept is not None
