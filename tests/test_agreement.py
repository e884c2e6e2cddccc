from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

from vlsbench.agreement import nominal_agreement
from vlsbench.stats import Interval


def krippendorff_alpha(counts: NDArray[np.int64]) -> float | None:
    return nominal_agreement(counts).alpha


def alpha_interval(counts: NDArray[np.int64], clusters: Any = None) -> Interval | None:
    _, _, alpha, low, high = nominal_agreement(counts, clusters)
    return None if alpha is None or low is None or high is None else Interval(low, high)


def _counts(ratings: list[list[int | None]], values: int) -> NDArray[np.int64]:
    """Raters by units → units by values."""
    table = np.zeros((len(ratings[0]), values), dtype=np.int64)
    for rater in ratings:
        for unit, value in enumerate(rater):
            if value is not None:
                table[unit, value - 1] += 1
    return table


def test_the_example_of_the_paper() -> None:
    ratings = [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    ]
    assert krippendorff_alpha(_counts(ratings, 5)) == pytest.approx(0.743, abs=0.0005)


@given(
    st.tuples(st.integers(1, 30), st.integers(2, 6)).flatmap(
        lambda shape: arrays(np.int64, shape, elements=st.integers(0, 3))
    )
)
def test_complete_data_give_fleiss_kappa_corrected_for_size(ratings: NDArray[np.int64]) -> None:
    table = aggregate_raters(ratings, n_cat=4)[0].astype(np.int64)
    found = krippendorff_alpha(table)
    if len(np.unique(ratings)) == 1:
        assert found is None
        return
    size = ratings.size
    assert found == pytest.approx(1 - (1 - fleiss_kappa(table)) * (size - 1) / size)


@given(arrays(np.int64, st.tuples(st.integers(0, 12), st.just(3)), elements=st.integers(0, 3)))
def test_units_with_fewer_than_two_raters_change_nothing(table: NDArray[np.int64]) -> None:
    single = np.array([[1, 0, 0], [0, 0, 0], [0, 0, 1]])
    assert krippendorff_alpha(np.vstack([table, single])) == krippendorff_alpha(table)
    assert alpha_interval(np.vstack([table, single])) == alpha_interval(table)


@given(arrays(np.int64, st.tuples(st.integers(1, 12), st.just(2)), elements=st.integers(0, 3)))
def test_alpha_is_at_most_one_and_one_only_where_all_agree(table: NDArray[np.int64]) -> None:
    found = krippendorff_alpha(table)
    rated = table[table.sum(axis=1) >= 2]
    if found is not None:
        assert found <= 1
        assert (found == 1) == bool(((rated > 0).sum(axis=1) == 1).all())


def test_the_interval_covers_what_it_should() -> None:
    random = np.random.default_rng(3)
    # Two raters who each see the truth, even odds, with 0.9: they agree on 0.82, chance on 0.5.
    truth = 1 - 0.18 / 0.5
    inside = 0
    for _ in range(120):
        real = random.random(150) < 0.5
        said = [np.where(random.random(150) < 0.9, real, ~real) for _ in range(2)]
        yes = said[0].astype(int) + said[1].astype(int)
        found = alpha_interval(np.stack([yes, 2 - yes], axis=1))
        assert found is not None
        inside += found.low <= truth <= found.high
    assert inside >= 0.88 * 120


@pytest.mark.parametrize("alike", [False, True])
def test_the_interval_covers_where_units_share_an_image(alike: bool) -> None:
    """The bootstrap over units, as if all were independent, covered 41 % here."""
    random = np.random.default_rng(4)
    truth, inside, images = 1 - 0.18 / 0.5, 0, np.repeat(np.arange(40), 10)

    def drawn() -> NDArray[np.float64]:
        return random.random(40)[images] if alike else random.random(400)

    for _ in range(200):
        real = drawn() < 0.5
        yes = sum((real ^ (drawn() > 0.9)).astype(int) for _ in range(2))
        found = alpha_interval(np.stack([yes, 2 - yes], axis=1), images)
        assert found is not None
        inside += found.low <= truth <= found.high
    assert inside >= 182  # 190 are expected, and the binomial's 0.5 % point is 182


def test_the_interval_covers_where_a_value_is_rare() -> None:
    """30 units, 3 in 100 of them yes: 94 % of many rounds, where the bootstrap covered 76 %."""
    random = np.random.default_rng(5)
    both = 0.03 * 0.99**2 + 0.97 * 0.01**2
    yes_share = 0.03 * 0.99 + 0.97 * 0.01
    truth = 1 - 2 * (yes_share - both) / (2 * yes_share * (1 - yes_share))
    inside = defined = 0
    for _ in range(300):
        real = random.random(30) < 0.03
        yes = sum((real ^ (random.random(30) > 0.99)).astype(int) for _ in range(2))
        found = alpha_interval(np.stack([yes, 2 - yes], axis=1))
        if found:
            defined += 1
            inside += found.low <= truth <= found.high
    assert defined > 200
    assert inside >= 0.9 * defined  # the binomial's 0.5 % point


def test_few_units_that_agree_prove_little() -> None:
    few, many = (alpha_interval(np.array([[2, 0]] * n + [[0, 2]] * n)) for n in (3, 300))
    assert few is not None
    assert many is not None
    assert few.high == many.high == 1.0
    # As many units in dispute as none of six makes no less likely than 5 %, half of which counts.
    assert few.low == pytest.approx(1 - (1 - 0.05 ** (1 / 6)) / (6 / 11))
    assert many.low > 0.95


def test_one_value_only_has_no_alpha() -> None:
    assert krippendorff_alpha(np.array([[3, 0], [2, 0]])) is None
    assert alpha_interval(np.array([[3, 0], [2, 0]])) is None
    assert alpha_interval(np.zeros((0, 2), dtype=np.int64)) is None
