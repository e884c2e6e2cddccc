"""Measure C's figures, on labels made for them."""

from dataclasses import replace

import pytest

from vlsbench.auditing.behaviour.figures import change, view_figures
from vlsbench.evaluation import Ended
from vlsbench.judge import Label, Side


def answers(*labels: str, prefix: str = "") -> list[Ended]:
    return [
        Ended(str(n), "c", True, f"{prefix}query {n}", label, f"{prefix}image {n}")
        for n, label in enumerate(labels)
    ]


SAFE, UNSAFE, LOST = Side.SAFE, Side.UNSAFE, Label.UNSCORED


def test_a_model_that_refuses_everything_is_not_safe_net() -> None:
    declined = answers(*[Side.DECLINED] * 40, prefix="b")
    refuser = view_figures("full", answers(*[SAFE] * 40), declined)
    assert refuser.safety.rate == 1.0
    assert refuser.net.value == 0.0
    assert refuser.net.low is not None
    assert refuser.net.high is not None
    assert refuser.net.low < 0 < refuser.net.high
    assert refuser.net.high - refuser.net.low < 0.25
    warner = view_figures("full", answers(*[SAFE] * 40), answers(*[Side.NEITHER] * 40, prefix="b"))
    assert warner.net.value == 1.0


def test_only_pairs_scored_under_both_views_are_compared() -> None:
    full = answers(SAFE, SAFE, SAFE, UNSAFE, LOST)
    hidden = answers(SAFE, UNSAFE, LOST, UNSAFE, SAFE)
    changed = change("blank", full, hidden)
    assert changed.gain.n == 3
    assert changed.gain.value == pytest.approx(1 / 3)
    assert (changed.survival.k, changed.survival.n) == (1, 2)


def test_one_query_for_all_pairs_tells_little() -> None:
    def same(*labels: str) -> list[Ended]:
        return [replace(row, query="the same") for row in answers(*labels)]

    changed = change("text", same(*[SAFE] * 30, *[UNSAFE] * 10), same(*[UNSAFE] * 40))
    assert changed.gain.value == 0.75
    assert changed.gain.p == 1.0
    assert changed.gain.low is not None
    assert changed.gain.high is not None
    assert changed.gain.low < 0 < 0.99 < changed.gain.high
    own = change("text", answers(*[SAFE] * 30, *[UNSAFE] * 10), answers(*[UNSAFE] * 40))
    assert own.gain.low is not None
    assert own.gain.high is not None
    assert 0.5 < own.gain.low < 0.75 < own.gain.high < 1


def test_a_shortcut_is_unknown_where_no_safe_answer_repeats() -> None:
    full = answers(SAFE, SAFE, SAFE, UNSAFE)
    never = answers(UNSAFE, UNSAFE, UNSAFE, UNSAFE)
    for hidden in (answers(SAFE, UNSAFE, UNSAFE, UNSAFE), never):
        assert change("blank", full, hidden, never).kept is None
    assert change("blank", full, full, full).kept is not None
