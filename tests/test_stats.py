import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from vlsbench.stats import (
    clustered_interval,
    effective_size,
    holm,
    mcnemar_p,
    paired_interval,
    t_quantile,
    wilson,
)

SHARES = st.floats(0, 1)


def test_independent_pairs_give_wilsons_interval() -> None:
    hits = [True] * 30 + [False] * 70
    found = clustered_interval(hits, [str(n) for n in range(100)])
    assert found is not None
    # Cluster-robust variance of n clusters of one is the binomial one times n / (n - 1).
    low, high = proportion_confint(30 * 0.99, 99, method="wilson")
    assert found.low == pytest.approx(low)
    assert found.high == pytest.approx(high)


def test_copies_of_a_pair_tell_nothing_new() -> None:
    hits = [True] * 12 + [False] * 28
    names = [str(n) for n in range(40)]
    once = clustered_interval(hits, names)
    five_times = clustered_interval(hits * 5, names * 5)
    assert once is not None
    assert five_times is not None
    assert five_times.low == pytest.approx(once.low, abs=1e-9)
    assert five_times.high == pytest.approx(once.high, abs=1e-9)


def test_all_safe_is_not_certainly_safe() -> None:
    found = clustered_interval([True] * 20, ["one image"] * 10 + ["another"] * 10)
    assert found is not None
    assert found.high == 1.0
    assert found.low < 0.4


def test_nothing_scored_has_no_interval() -> None:
    assert clustered_interval([], []) is None


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60))
def test_the_interval_holds_the_share(rows: list[tuple[bool, int]]) -> None:
    hits = [hit for hit, _ in rows]
    found = clustered_interval(hits, [str(c) for _, c in rows])
    assert found is not None
    share = sum(hits) / len(hits)
    assert 0 <= found.low <= share + 1e-9
    assert share - 1e-9 <= found.high <= 1
    size = effective_size(np.array(hits), np.unique([c for _, c in rows], return_inverse=True)[1])
    assert 1 <= size <= len(rows) + 1e-9


def test_coverage_with_shared_images_is_near_what_it_says() -> None:
    random = np.random.default_rng(7)
    inside = plain_inside = 0
    rounds = 600
    for _ in range(rounds):
        share = random.beta(2, 3, size=80)  # an image's own risk
        hits = (random.random((80, 4)) < share[:, None]).ravel()
        names = np.repeat(np.arange(80), 4)
        found = clustered_interval(hits, names)
        assert found is not None
        inside += found.low <= 0.4 <= found.high
        low, high = proportion_confint(hits.sum(), hits.size, method="wilson")
        plain_inside += low <= 0.4 <= high
    assert inside / rounds >= 0.93
    assert plain_inside < inside


def test_paired_interval_and_mcnemar() -> None:
    before = [False] * 40 + [True] * 60
    after = [True] * 30 + [False] * 10 + [True] * 55 + [False] * 5
    found = paired_interval(before, after, [str(n) for n in range(100)])
    assert found is not None
    assert found.low < 0.25 < found.high
    assert found.low > 0.1
    assert mcnemar_p(before, after) < 0.001
    assert mcnemar_p(before, before) == 1.0
    assert paired_interval([True], [False], ["a"]) is None


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), max_size=40))
def test_an_interval_holds_the_difference_and_is_never_a_point_for_nothing(
    pairs: list[tuple[bool, bool, int]],
) -> None:
    before, after = [a for a, _, _ in pairs], [b for _, b, _ in pairs]
    clusters = [str(c) for _, _, c in pairs]
    interval = paired_interval(before, after, clusters)
    if len(set(clusters)) < 2:
        assert interval is None
        return
    assert interval is not None
    difference = (sum(after) - sum(before)) / len(pairs)
    assert -1 <= interval.low <= difference + 1e-12
    assert difference - 1e-12 <= interval.high <= 1
    if len({b - a for a, b in zip(before, after, strict=True)}) == 1:
        assert interval.high - interval.low > 0


@given(SHARES, st.floats(1, 1e6), st.sampled_from([0.8, 0.95, 0.999]))
def test_wilson_is_that_of_statsmodels(share: float, size: float, level: float) -> None:
    found = wilson(share, size, level)
    expected = proportion_confint(share * size, size, alpha=1 - level, method="wilson")
    assert found == pytest.approx(expected, abs=1e-12)


@given(st.floats(0.001, 0.999), st.integers(1, 10_000))
def test_quantiles_of_t_are_those_of_scipy(probability: float, freedom: int) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(t.ppf(probability, freedom), rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_mcnemar_is_that_of_statsmodels(pairs: list[tuple[bool, bool]]) -> None:
    table = np.zeros((2, 2), dtype=int)
    for before, after in pairs:
        table[int(before), int(after)] += 1
    found = mcnemar_p([before for before, _ in pairs], [after for _, after in pairs])
    assert found == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)


@given(st.lists(SHARES, min_size=1, max_size=40))
def test_holm_is_that_of_statsmodels(p_values: list[float]) -> None:
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1], abs=1e-12)
