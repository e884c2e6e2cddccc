"""Rates with intervals that know which pairs share an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95
TAIL = (1 + LEVEL) / 2
Z = NormalDist().inv_cdf(TAIL)
PRIOR = 4.0
"""Clusters at either end that `effective_size` adds."""


class Interval(NamedTuple):
    """Bounds of a share, both in [0, 1]."""

    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of scored pairs."""

    k: int
    n: int
    """Scored pairs: the denominator."""
    rate: float | None
    """k / n; None where nothing was scored."""
    low: float | None
    high: float | None
    """95 % interval, clustered by image."""


def effective_size(
    values: NDArray[np.bool_] | NDArray[np.float64],
    *clusterings: NDArray[np.intp],
    least: float = 0.0,
) -> float:
    """Return how many independent observations clustered ones are worth for their mean.

    The design effect is the cluster-robust variance of the mean over that of independent
    observations, drawn towards the largest that the clusters allow (all observations of a cluster
    equal) by `PRIOR` clusters of average size that are at `least` throughout, and as many at 1. Few
    clusters, or few observations that differ, say little of how alike the observations of a cluster
    are; what they leave open counts as alike, so that a worse result never gets a better bound.
    Few clusters also get Student's factor.

    Args:
        values: Shape (n,), between `least` and 1.
        clusterings: Each of shape (n,): the cluster number of each observation, from 0. Of two
            (images and queries, say) the variances add up, less that of observations which share
            both, and the sum is never less than the larger of the two.
        least: Smallest value that an observation can have; -1 for differences.

    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data"; Liang and Zeger 1986 (cluster-robust
    variance of a mean); Cameron, Gelbach and Miller 2011, "Robust inference with multiway
    clustering". The prior is ours; benchmarks/coverage.py holds it to its coverage.
    """
    if len(clusterings) == 2:
        both = numbered(zip(*clusterings, strict=True))
        one, other, shared = (
            1 / effective_size(values, numbers, least=least) for numbers in (*clusterings, both)
        )
        return 1 / max(one + other - shared, one, other)
    (clusters,) = clusterings
    n = len(values)
    sizes = np.bincount(clusters)
    groups = len(sizes)
    largest = float(sizes @ sizes) / n
    apart = values - values.mean()
    sums = np.bincount(clusters, weights=apart)
    robust = float(sums @ sums) * groups / max(1, groups - 1)
    squares = float(apart @ apart)
    return _worth(n, groups, largest, float(values.sum()), squares, robust, least)


def planned_size(n: int, per_cluster: float, rate: float, alike: float) -> float:
    """Return what `effective_size` is expected to give of observations that are yet to be made.

    Args:
        n: How many observations there will be.
        per_cluster: Observations of a cluster.
        rate: Share of them that are 1.
        alike: Correlation of the observations of a cluster.
    """
    squares = n * rate * (1 - rate)
    robust = squares * (1 + (per_cluster - 1) * alike)
    return _worth(n, n / per_cluster, per_cluster, n * rate, squares, robust, 0.0)


def _worth(
    n: int, groups: float, largest: float, total: float,
    squares: float, robust: float, least: float,
) -> float:  # fmt: skip
    if largest == 1.0:
        return float(n)
    weight = PRIOR * largest
    centre = (total + weight * (1 + least)) / (n + 2 * weight)
    prior = weight * ((1 - centre) ** 2 + (least - centre) ** 2)
    effect = (robust + prior * largest) / (squares + prior)
    return n / max(1.0, effect) * (Z / t_quantile(TAIL, groups + 1)) ** 2


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom."""
    # scipy.stats has a function of this name too, but its import costs half a second of CPU.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def binomial_interval(share: float, size: float) -> Interval:
    """Return the 95 % mid-P interval for a share, at a sample size that need not be whole.

    It covers as stated where Wilson's interval does not: 91 % for a rate of 1 % in 50.

    Source: Lancaster 1961, "Significance tests in discrete distributions"; Berry and Armitage 1995,
    "Mid-P confidence intervals: a brief review".
    """
    from scipy.special import betainc

    hits, misses = share * size, (1 - share) * size

    def below(rate: float) -> float:
        """Return the probability of more hits at `rate`, and half of that of as many."""
        more = float(betainc(hits + 1, misses, rate)) if misses > 0 else 0.0
        at_least = float(betainc(hits, misses + 1, rate)) if hits > 0 else 1.0
        return (more + at_least) / 2

    low = root_of(lambda rate: below(rate) - 1 + TAIL, 0.0, share) if hits > 0 else 0.0
    high = root_of(lambda rate: below(rate) - TAIL, share, 1.0) if misses > 0 else 1.0
    return Interval(low, high)


def estimate_interval(
    share: float, errors: NDArray[np.float64], size: float, perfect: float
) -> Interval:
    """Return a 95 % interval for an estimate in [0, 1] that is no count: a mean grade, an area.

    The mid-P interval at the size at which a count would have the estimate's variance. Few clusters
    say little of a variance: it gets Student's factor, and is drawn towards that of a count of
    `size` observations by `PRIOR` clusters. No bound is better than that of a perfect result.

    Args:
        share: The estimate.
        errors: Shape (clusters,), what each adds to the estimate's error; the sum of their squares
            is its variance. Few that are larger than the rest count as few clusters.
        size: What its observations would be worth if each were yes or no; see `effective_size`.
        perfect: The same, were the estimate 0 or 1.

    Source: as for `clustered_interval`; the prior is ours.
    """
    squares = errors**2
    variance, expected = float(squares.sum()), share * (1 - share) / size
    if expected > 0:
        told = variance**2 / float(squares @ squares) if variance > 1e-18 else 0.0
        student = t_quantile(TAIL, told + 1) / Z
        size *= (told + PRIOR) / (told * student**2 * variance / expected + PRIOR)
    found = binomial_interval(share, size)
    reach = binomial_interval(0.0, perfect).high
    return Interval(min(found.low, 1 - reach), max(found.high, reach))


def bounded_interval(
    values: NDArray[np.float64],
    clusters: NDArray[np.integer[Any]],
    least: float = 0.0,
    most: float = 1.0,
) -> Interval | None:
    """Return a 95 % interval for the mean of clustered observations between two bounds.

    Unlike that of `mean_interval` it holds where most observations are at one of the bounds.

    Args:
        values: Shape (n,), from `least` to `most`.
        clusters: Shape (n,), what each belongs to (its image).
        least: Smallest possible value.
        most: Largest possible value, another one.

    Returns:
        The bounds; None where there is no observation.
    """
    if not len(values):
        return None
    numbers = np.unique(clusters, return_inverse=True)[1]
    shares = (values - least) / (most - least)
    sizes = effective_size(shares, numbers), effective_size(np.zeros(len(shares)), numbers)
    found = estimate_interval(float(shares.mean()), _errors(shares, numbers), *sizes)
    return Interval(*(least + (most - least) * end for end in found))


def _errors(values: NDArray[np.float64], numbers: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return what each cluster adds to the error of a mean (Liang and Zeger 1986)."""
    sums = np.bincount(numbers, weights=values - values.mean()) / len(values)
    return np.asarray(sums * sqrt(len(sums) / max(1, len(sums) - 1)))


def root_of(rising: Callable[[float], float], low: float, high: float) -> float:
    """Return where a rising function crosses 0, or the end nearest to that."""
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return (low + high) / 2


def clustered_interval(
    hits: Sequence[bool] | NDArray[np.bool_],
    *clusterings: Sequence[object] | NDArray[np.integer[Any]],
) -> Interval | None:
    """Return a 95 % interval for a share: mid-P at the effective size of clustered observations.

    Args:
        hits: Shape (n,), whether each observation counts.
        clusterings: One or two, each of shape (n,): names or numbers of what each observation
            belongs to (its image; its query).

    Returns:
        The bounds; None where there is no observation.

    Source: Dean and Pagano 2015, "Evaluating confidence interval methods for binomial
    proportions in clustered surveys", for intervals at an effective sample size.
    """
    flags = np.asarray(hits, dtype=np.bool_)
    if not len(flags):
        return None
    size = effective_size(flags, *map(numbered, clusterings))
    return binomial_interval(float(flags.mean()), size)


def clustered_rate(
    hits: Sequence[bool] | NDArray[np.bool_],
    *clusterings: Sequence[object] | NDArray[np.integer[Any]],
) -> Rate:
    """Return the share of hits with its clustered interval; see `clustered_interval`."""
    interval = clustered_interval(hits, *clusterings)
    if interval is None:
        return Rate(0, 0, None, None, None)
    k, n = int(np.sum(hits)), len(hits)
    return Rate(k, n, k / n, interval.low, interval.high)


def numbered(names: Iterable[object]) -> NDArray[np.intp]:
    """Give each distinct name a number, from 0."""
    if isinstance(names, np.ndarray) and names.dtype.kind == "i":
        return np.unique(names, return_inverse=True)[1]
    known: dict[object, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.intp)


def difference_interval(
    one: float,
    one_interval: Interval,
    other: float,
    other_interval: Interval,
    *,
    correlation: float = 0.0,
) -> Interval:
    """Return an interval for `one - other`, two shares, from their own.

    Source: Newcombe 1998, "Interval estimation for the difference between independent
    proportions", method 10; Zou and Donner 2008 for intervals of any kind, and correlated ones.
    """
    below = one - one_interval.low, other_interval.high - other
    above = one_interval.high - one, other - other_interval.low
    reaches = ((a * a + b * b - 2 * correlation * a * b) ** 0.5 for a, b in (below, above))
    return Interval(one - other - next(reaches), one - other + next(reaches))


def mean_interval(
    values: NDArray[np.float64], clusters: NDArray[np.integer[Any]]
) -> Interval | None:
    """Return a 95 % interval for the mean of clustered observations.

    Cluster-robust variance and Student's t for the number of clusters (Liang and Zeger 1986).

    Args:
        values: Shape (n,), in any unit; the bounds are in the same.
        clusters: Shape (n,), what each belongs to (its image).

    Returns:
        The bounds; None with fewer than two clusters.
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    groups = int(numbers.max()) + 1 if len(numbers) else 0
    if groups < 2:
        return None
    mean = float(values.mean())
    errors = _errors(values, numbers)
    reach = t_quantile(TAIL, groups - 1) * float(errors @ errors) ** 0.5
    return Interval(mean - reach, mean + reach)


def median_interval(
    values: NDArray[np.float64], clusters: NDArray[np.integer[Any]]
) -> Interval | None:
    """Return a 95 % interval for the median of clustered observations.

    The observations between which the median lies if their share below it is anywhere in the
    clustered interval of one half (Woodruff 1952).

    Args:
        values: Shape (n,), in any unit; the bounds are in the same.
        clusters: Shape (n,), what each belongs to (its image).

    Returns:
        The bounds; None with fewer than six clusters, which can all lie on one side of it.
    """
    if len(np.unique(clusters)) < 6:
        return None
    below = values <= np.median(values)
    size = effective_size(below, numbered(clusters))
    low, high = np.quantile(values, binomial_interval(0.5, size))
    return Interval(float(low), float(high))


def interval_p(value: float, interval: Interval) -> float:
    """Return the two-sided p of a difference being 0, from its 95 % interval.

    Source: Altman and Bland 2011, "How to obtain the P value from a confidence interval", with the
    half of the interval that faces 0 where it is not symmetric.
    """
    reach = value - interval.low if value > 0 else interval.high - value
    if value == 0 or reach <= 0:
        return float(value == 0)
    return 2 * (1 - NormalDist().cdf(Z * abs(value) / reach))
