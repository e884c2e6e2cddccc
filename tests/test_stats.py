from itertools import combinations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, norm, t
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from vlsbench.agreement import nominal_agreement
from vlsbench.stats import (
    Interval,
    auroc,
    bounded_interval,
    clustered_interval,
    effective_size,
    holm,
    interval_p,
    numbered,
    paired_interval,
    paired_p,
    t_quantile,
    variance_components,
)

SHARES = st.floats(0, 1)


@pytest.mark.parametrize("pairs", [30, 100, 200, 400])
@pytest.mark.parametrize("share", [0.01, 0.02, 0.05, 0.1, 0.5])
def test_intervals_of_independent_pairs_cover_what_they_say(pairs: int, share: float) -> None:
    """Counted exactly, over all results that there can be."""
    chances = binom.pmf(range(pairs + 1), pairs, share)
    of_rate = of_loss = 0.0
    for hits in np.flatnonzero(chances > 1e-7):
        flags = np.arange(pairs) < hits
        rate = clustered_interval(flags, range(pairs))
        loss = paired_interval(list(flags), [False] * pairs, range(pairs))
        assert rate
        assert loss
        of_rate += chances[hits] * (rate.low <= share <= rate.high)
        of_loss += chances[hits] * (loss.low <= -share <= loss.high)
    assert min(of_rate, of_loss) > 0.93


@given(st.integers(1, 3000), SHARES)
def test_independent_pairs_give_the_mid_p_interval(n: int, share: float) -> None:
    """At its ends, the probability beyond and half of that at the count are the tail."""
    k = round(share * n)
    found = clustered_interval([True] * k + [False] * (n - k), range(n))
    assert found is not None
    tail = 0.025
    if k > 0:
        assert binom.sf(k, n, found.low) + binom.pmf(k, n, found.low) / 2 == pytest.approx(tail)
    if k < n:
        assert binom.cdf(k, n, found.high) - binom.pmf(k, n, found.high) / 2 == pytest.approx(tail)
    exact = proportion_confint(k, n, alpha=0.05, method="beta")
    assert exact[0] - 1e-9 <= found.low
    assert found.high <= exact[1] + 1e-9


def test_copies_of_a_pair_tell_nothing_new() -> None:
    hits = [True] * 12 + [False] * 28
    names = [str(n) for n in range(40)]
    once = clustered_interval(hits, names)
    five_times = clustered_interval(hits * 5, names * 5)
    assert once is not None
    assert five_times is not None
    # Wider by what forty images leave open about how alike the pairs of an image are.
    assert once.low - 0.03 < five_times.low <= once.low
    assert once.high <= five_times.high < once.high + 0.03


@pytest.mark.long
@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=2, max_size=30),
    st.randoms(use_true_random=False),
    st.booleans(),
)
def test_a_worse_result_never_gets_a_better_bound(
    sizes: list[int], random: Random, in_order: bool
) -> None:
    clusters = [image for image, size in enumerate(sizes) for _ in range(size)]
    order = list(range(len(clusters)))
    if not in_order:
        random.shuffle(order)
    hits = [True] * len(clusters)
    last = clustered_interval(hits, clusters)
    for place in order[:60]:
        hits[place] = False
        now = clustered_interval(hits, clusters)
        assert now is not None
        assert last is not None
        assert now.low <= last.low + 0.003
        assert now.high <= last.high + 0.003
        last = now


def test_one_unsafe_answer_of_two_hundred_is_worse_than_none() -> None:
    clusters = np.repeat(np.arange(10), 20)
    best = clustered_interval([True] * 200, clusters)
    worse = clustered_interval([True] * 199 + [False], clusters)
    assert best is not None
    assert worse is not None
    assert worse.low <= best.low < 0.8
    assert worse.high <= best.high


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
    size = effective_size(np.array(hits), numbered(c for _, c in rows))
    assert 0 < size <= len(rows) + 1e-9


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


def test_a_change_on_the_same_pairs() -> None:
    before = [False] * 40 + [True] * 60
    after = [True] * 30 + [False] * 10 + [True] * 55 + [False] * 5
    found = paired_interval(before, after, range(100))
    assert found is not None
    assert found.low < 0.25 < found.high
    assert found.low > 0.1
    assert paired_p(before, after, range(100)) < 0.001
    assert paired_p(before, before, range(100)) == 1.0
    assert paired_interval([], [], []) is None
    # Where nothing changes Tango's bounds are z² / (n + z²).
    same = paired_interval([False] * 50, [False] * 50, range(50))
    assert same == pytest.approx((-3.8415 / 53.8415, 3.8415 / 53.8415), abs=1e-4)


def test_a_test_over_shared_images_does_not_take_copies_for_news() -> None:
    before, after = [False] * 6 + [True] * 2, [True] * 6 + [False] * 2
    once = paired_p(before, after, range(8))
    assert once == pytest.approx(0.2890625)
    assert paired_p(before * 10, after * 10, list(range(8)) * 10) == pytest.approx(once)
    assert paired_p(before * 10, after * 10, range(80)) < 1e-4
    assert paired_p(before, after, ["one image"] * 8) == 1.0
    # Two ways: the larger p.
    both = paired_p(before * 10, after * 10, range(80), list(range(8)) * 10)
    assert both == pytest.approx(once)


@pytest.mark.parametrize("queries", [10, 400])
def test_a_test_over_images_and_queries_errs_as_rarely_as_it_says(queries: int) -> None:
    """The larger p of images and of queries alone errs in 8 to 12 %."""
    random = np.random.default_rng(6)
    images, erred = (100 if queries == 10 else 400), 0
    n = 2 * images
    for _ in range(300):
        image, query = random.integers(0, images, n), random.integers(0, queries, n)
        drawn = random.normal(size=images)[image] + random.normal(size=queries)[query]
        before, after = drawn < -1.19, drawn > 1.19  # a fifth each
        erred += paired_p(before, after, image, query) <= 0.05
    assert erred <= 25  # 15 are expected; the binomial's 99.5 % point is 25


@pytest.mark.parametrize(("n", "in_an_image"), [(100, 1), (100, 4)])
def test_a_mean_grade_covers_where_few_replies_are_graded_high(n: int, in_an_image: int) -> None:
    """Student's t over images covers 91 and 85 %."""
    random = np.random.default_rng(8)
    grades, shares = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), [0.95, 0.02, 0.01, 0.01, 0.01]
    images, truth, inside = np.arange(n) // in_an_image, float(grades @ shares), 0
    for _ in range(300):
        drawn = random.choice(grades, n, p=shares)
        found = bounded_interval(drawn[images * in_an_image], images, 1.0, 5.0)
        assert found
        assert 1.0 <= found.low <= found.high <= 5.0
        inside += found.low <= truth <= found.high
    assert inside >= 275  # of 300


def test_a_bounded_mean_of_yes_and_no_is_near_their_rate() -> None:
    hits, images = np.arange(400) % 10 < 3, np.arange(400)
    rate, mean = clustered_interval(hits, images), bounded_interval(hits.astype(float), images)
    assert rate
    assert mean == pytest.approx(rate, abs=0.003)


@given(pairs=st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 5)), max_size=40))
def test_an_interval_holds_the_difference_and_is_never_a_point(
    pairs: list[tuple[bool, bool, int]],
) -> None:
    before, after = [a for a, _, _ in pairs], [b for _, b, _ in pairs]
    interval = paired_interval(before, after, [c for _, _, c in pairs])
    if not pairs:
        assert interval is None
        return
    assert interval is not None
    difference = (sum(after) - sum(before)) / len(pairs)
    assert -1 <= interval.low <= difference + 1e-9
    assert difference - 1e-9 <= interval.high <= 1
    assert interval.high - interval.low > 0


def test_crossed_clusters_are_worth_no_more_than_the_fewer_of_them() -> None:
    random = np.random.default_rng(2)
    hits = random.random(400) < 0.3
    alone = np.arange(400)
    assert effective_size(hits, alone, alone) == pytest.approx(400)
    copies, forty = np.repeat(hits[:40], 10), np.repeat(np.arange(40), 10)
    assert effective_size(copies, alone, forty) < 40
    assert effective_size(copies, forty, alone) < 40
    assert effective_size(copies, alone, np.zeros(400, dtype=np.intp)) <= 1


@given(st.floats(0.001, 0.999), st.integers(1, 10_000))
def test_quantiles_of_t_are_those_of_scipy(probability: float, freedom: int) -> None:
    assert t_quantile(probability, freedom) == pytest.approx(t.ppf(probability, freedom), rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=200))
def test_without_shared_images_the_test_is_mcnemars(pairs: list[tuple[bool, bool]]) -> None:
    table = np.zeros((2, 2), dtype=int)
    for before, after in pairs:
        table[int(before), int(after)] += 1
    found = paired_p([a for a, _ in pairs], [b for _, b in pairs], range(len(pairs)))
    assert found == pytest.approx(mcnemar(table, exact=True).pvalue, abs=1e-12)


@given(st.lists(SHARES, min_size=1, max_size=6))
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    """A test falls where Bonferroni refuses every family of tests that it is in."""
    tests = range(len(p_values))
    families = [f for size in tests for f in combinations(tests, size + 1)]
    refused = {f: min(1.0, len(f) * min(p_values[test] for test in f)) for f in families}
    expected = [max(p for family, p in refused.items() if test in family) for test in tests]
    assert holm(p_values) == pytest.approx(expected, abs=1e-12)


def test_holm_is_that_of_statsmodels() -> None:
    p_values = np.random.default_rng(3).beta(
        0.3, 1, 40
    )  # once: every call of theirs collects garbage
    assert holm(list(p_values)) == pytest.approx(
        multipletests(p_values, method="holm")[1], abs=1e-12
    )


def test_variance_components_of_a_balanced_design_are_those_of_the_analysis_of_variance() -> None:
    rng = np.random.default_rng(5)
    pairs, samples = 40, 6
    values = rng.normal(size=(pairs, 1)) + rng.normal(size=(pairs, samples))
    within = float(values.var(axis=1, ddof=1).mean())
    between = float(values.mean(axis=1).var(ddof=1)) - within / samples
    names = [pair for pair in range(pairs) for _ in range(samples)]
    sample, pair = variance_components(list(values.ravel()), names)
    assert [sample, pair] == pytest.approx([within, between])


def test_variance_components_find_what_the_truth_is() -> None:
    rng = np.random.default_rng(9)
    chances = rng.uniform(size=3000)
    answers = rng.uniform(size=(3000, 4)) < chances[:, None]
    flipped = rng.uniform(size=(3000, 4, 3)) < 0.1
    votes = answers[:, :, None] ^ flipped
    place = list(np.ndindex(votes.shape))
    judge, sample, pair = variance_components(
        votes.ravel().tolist(), [(p, a) for p, a, _ in place], [p for p, _, _ in place]
    )
    # A vote flips with chance 0.1, so an answer's expected votes are 0.1 or 0.9.
    assert judge == pytest.approx(0.1 * 0.9, abs=0.005)
    assert sample == pytest.approx(0.8**2 / 6, abs=0.01)
    assert pair == pytest.approx(0.8**2 / 12, abs=0.01)


def test_what_was_never_repeated_is_unknown_and_not_zero() -> None:
    answers = [True, False, True, True]
    judge, sample, pair = variance_components(answers, range(4), [0, 0, 1, 1])
    assert judge is None
    assert sample == 0.25
    assert pair == 0.0
    assert variance_components([True], [0], [0]) == [None, None, None]


@given(st.floats(-0.5, 0.5), st.floats(0.001, 0.3))
def test_p_from_an_interval_is_that_of_the_normal_difference(value: float, error: float) -> None:
    reach = norm.ppf(0.975) * error
    found = interval_p(value, Interval(value - reach, value + reach))
    assert found == pytest.approx(2 * norm.sf(abs(value) / error), abs=1e-9)
    # Where the interval ends at 0, p is 5 %, whichever side is the longer one.
    assert interval_p(0.2, Interval(0.0, 0.9)) == pytest.approx(0.05)
    assert interval_p(-0.2, Interval(-0.9, 0.0)) == pytest.approx(0.05)


@given(
    images=st.integers(2, 12),
    in_an_image=st.integers(1, 12),
    worse=st.lists(st.integers(0, 143), min_size=1, max_size=6),
    by=st.floats(0.05, 1),
)
def test_no_worse_result_has_a_better_bound_than_a_perfect_one(
    images: int, in_an_image: int, worse: list[int], by: float
) -> None:
    n = images * in_an_image
    of, low = np.repeat(np.arange(images), in_an_image), np.array(worse) % n
    values = np.ones(n)
    perfect = bounded_interval(values, of)
    values[low] -= by
    found = bounded_interval(values, of)
    assert perfect
    assert found
    assert found.low <= perfect.low + 1e-9

    harmful = of % 2 == 0
    scores = np.where(harmful, 2.0, 0.0)
    best = auroc(scores, harmful, of)
    scores[low[harmful[low]]] -= 2 * by + 0.5
    area = auroc(scores, harmful, of)
    assert best
    assert area
    assert area.low <= best.low + 1e-9

    # One disagreement of either label, so that what chance would make is the same.
    counts = np.stack([2 * harmful, 2 * ~harmful], axis=1)
    agreed = nominal_agreement(counts, of)
    counts[[0, in_an_image]] = 1
    fewer = nominal_agreement(counts, of)
    assert agreed.low is not None
    assert fewer.low is not None
    assert fewer.low <= agreed.low + 1e-9
