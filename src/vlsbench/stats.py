"""Rates with intervals that know which pairs share an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEVEL = 0.95


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


def effective_size(hits: NDArray[np.bool_], clusters: NDArray[np.intp]) -> float:
    """Return how many independent observations clustered ones are worth for their mean.

    Where no variance is seen (all or none hit) that is the number of clusters: the data cannot
    tell whether pairs that share an image differ.

    Args:
        hits: Shape (n,).
        clusters: Shape (n,), cluster number of each observation, from 0.

    Source: Korn and Graubard 1998, "Confidence intervals for proportions with small expected
    number of positive counts estimated from survey data"; cluster-robust variance of a mean.
    """
    n = len(hits)
    groups = int(clusters.max()) + 1
    share = hits.mean()
    if groups < 2 or share in (0.0, 1.0):
        return float(groups)
    sums = np.bincount(clusters, weights=hits - share, minlength=groups)
    variance = groups / (groups - 1) * float(sums @ sums) / n**2
    return min(float(n), float(share * (1 - share)) / variance) if variance else float(n)


def normal_quantile(probability: float) -> float:
    """Return the quantile of the standard normal distribution."""
    return NormalDist().inv_cdf(probability)


def t_quantile(probability: float, freedom: float) -> float:
    """Return the quantile of Student's t distribution with `freedom` degrees of freedom."""
    # scipy.stats has a function of this name too, but its import costs half a second of CPU.
    from scipy.special import stdtrit

    return float(stdtrit(freedom, probability))


def wilson(share: float, size: float, level: float = LEVEL) -> Interval:
    """Return Wilson's interval for a share, at a sample size that need not be whole.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference".
    """
    z2 = normal_quantile((1 + level) / 2) ** 2
    middle = share + z2 / (2 * size)
    reach = (z2 * (share * (1 - share) / size + z2 / (4 * size**2))) ** 0.5
    scale = 1 + z2 / size
    return Interval(max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale))


def clustered_interval(
    hits: Sequence[bool] | NDArray[np.bool_],
    clusters: Sequence[str] | NDArray[np.int64],
    level: float = LEVEL,
) -> Interval | None:
    """Wilson's interval for a share, at the effective sample size of clustered observations.

    Args:
        hits: Shape (n,), whether each observation counts.
        clusters: Shape (n,), names or numbers of what each belongs to (its image).
        level: Coverage.

    Returns:
        The bounds; None where there is no observation.

    Source: Dean and Pagano 2015, "Evaluating confidence interval methods for binomial
    proportions in clustered surveys" (Wilson with an effective sample size covers best).
    """
    flags = np.asarray(hits, dtype=np.bool_)
    if not len(flags):
        return None
    numbers = np.unique(np.asarray(clusters), return_inverse=True)[1]
    return wilson(float(flags.mean()), effective_size(flags, numbers), level)


def paired_interval(
    before: Sequence[bool],
    after: Sequence[bool],
    clusters: Sequence[str],
    level: float = LEVEL,
) -> Interval | None:
    """Return an interval for the difference of two shares on the same clustered observations.

    The mean of the differences with cluster-robust variance and Student's t for the number of
    clusters (Liang and Zeger 1986). Where all differences are equal the data show no variance,
    which does not mean that there is none: there it is the score interval at as many independent
    pairs as there are clusters (Tango 1998, "Equivalence test and confidence interval for the
    difference in proportions for the paired-sample design").

    Args:
        before: Shape (n,).
        after: Shape (n,), of the same observations.
        clusters: Shape (n,), what each belongs to (its image).
        level: Coverage.

    Returns:
        Bounds of `mean(after) - mean(before)`; None with fewer than two clusters.
    """
    numbers = np.unique(np.asarray(clusters), return_inverse=True)[1]
    groups = int(numbers.max()) + 1 if len(numbers) else 0
    if groups < 2:
        return None
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    mean = float(differences.mean())
    if (differences == mean).all():
        z2 = normal_quantile((1 + level) / 2) ** 2
        nearest, reach = (groups - z2) / (groups + z2), z2 / (groups + z2)
        return {
            0.0: Interval(-reach, reach),
            1.0: Interval(nearest, 1.0),
            -1.0: Interval(-1.0, -nearest),
        }[mean]
    sums = np.bincount(numbers, weights=differences - mean, minlength=groups)
    variance = groups / (groups - 1) * float(sums @ sums) / len(differences) ** 2
    reach = t_quantile((1 + level) / 2, groups - 1) * variance**0.5
    return Interval(max(-1.0, mean - reach), min(1.0, mean + reach))


def mcnemar_p(before: Sequence[bool], after: Sequence[bool]) -> float:
    """Return the exact two-sided p of McNemar's test on paired yes-or-no observations."""
    from scipy.special import bdtr

    gained = sum(b and not a for a, b in zip(before, after, strict=True))
    lost = sum(a and not b for a, b in zip(before, after, strict=True))
    return min(1.0, 2 * float(bdtr(min(gained, lost), gained + lost, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of a family of tests by Holm's method.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    ascending = np.argsort(p_values)
    left = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[ascending] = np.maximum.accumulate(np.asarray(p_values)[ascending] * left).clip(max=1)
    return [float(p) for p in corrected]


def numbered(names: Iterable[str]) -> NDArray[np.intp]:
    """Give each distinct name a number, from 0."""
    known: dict[str, int] = {}
    return np.array([known.setdefault(name, len(known)) for name in names], dtype=np.intp)


def crossed_size(
    hits: NDArray[np.bool_], images: NDArray[np.intp], queries: NDArray[np.intp]
) -> float:
    """Return the effective size of observations that share images with some, queries with others.

    The variances by image and by query add up, less that of observations which share both; never
    less than the larger of the two.

    Args:
        hits: Shape (n,).
        images: Shape (n,), number of each observation's image.
        queries: Shape (n,), number of its query.

    Source: Cameron, Gelbach and Miller 2011, "Robust inference with multiway clustering".
    """
    one, other, both = (
        effective_size(hits, np.unique(numbers, return_inverse=True, axis=0)[1].ravel())
        for numbers in (images, queries, np.stack([images, queries], axis=1))
    )
    return 1 / max(1 / one + 1 / other - 1 / both, 1 / one, 1 / other)


def crossed_interval(
    hits: NDArray[np.bool_],
    images: NDArray[np.intp],
    queries: NDArray[np.intp],
    level: float = LEVEL,
) -> Interval | None:
    """Wilson's interval for a share of observations clustered two ways; see `crossed_size`.

    Returns:
        The bounds; None where there is no observation.
    """
    if not len(hits):
        return None
    return wilson(float(hits.mean()), crossed_size(hits, images, queries), level)


def difference_interval(
    one: float, one_interval: Interval, other: float, other_interval: Interval
) -> Interval:
    """Return an interval for `one - other`, two shares of independent samples, from their own.

    Source: Newcombe 1998, "Interval estimation for the difference between independent
    proportions", method 10; Zou and Donner 2008 for intervals of any kind.
    """
    below = np.hypot(one - one_interval.low, other_interval.high - other)
    above = np.hypot(one_interval.high - one, other - other_interval.low)
    return Interval(float(one - other - below), float(one - other + above))


def mean_interval(
    values: NDArray[np.float64], clusters: NDArray[np.integer[Any]], level: float = LEVEL
) -> Interval | None:
    """Return an interval for the mean of clustered observations.

    Cluster-robust variance and Student's t for the number of clusters (Liang and Zeger 1986).

    Args:
        values: Shape (n,), in any unit; the bounds are in the same.
        clusters: Shape (n,), what each belongs to (its image).
        level: Coverage.

    Returns:
        The bounds; None with fewer than two clusters.
    """
    numbers = np.unique(clusters, return_inverse=True)[1]
    groups = int(numbers.max()) + 1 if len(numbers) else 0
    if groups < 2:
        return None
    mean = float(values.mean())
    sums = np.bincount(numbers, weights=values - mean, minlength=groups)
    variance = groups / (groups - 1) * float(sums @ sums) / len(values) ** 2
    reach = t_quantile((1 + level) / 2, groups - 1) * variance**0.5
    return Interval(mean - reach, mean + reach)


def median_interval(
    values: NDArray[np.float64], clusters: NDArray[np.integer[Any]], level: float = LEVEL
) -> Interval | None:
    """Return an interval for the median of clustered observations.

    The observations between which the median lies if their share below it is anywhere in the
    clustered interval of one half (Woodruff 1952).

    Args:
        values: Shape (n,), in any unit; the bounds are in the same.
        clusters: Shape (n,), what each belongs to (its image).
        level: Coverage.

    Returns:
        The bounds; None with fewer than two clusters.
    """
    if len(np.unique(clusters)) < 2:
        return None
    below = values <= np.median(values)
    size = effective_size(below, np.unique(clusters, return_inverse=True)[1])
    low, high = np.quantile(values, wilson(0.5, size, level))
    return Interval(float(low), float(high))


def krippendorff_alpha(counts: NDArray[np.integer[Any]]) -> float | None:
    """Return Krippendorff's alpha of nominal values: 1 is agreement, 0 what chance would give.

    Args:
        counts: Shape (n, k): how many raters gave unit i the value j. Units need not have equally
            many raters; those with fewer than two say nothing of agreement and are left out.

    Returns:
        Alpha; None where it is undefined: no unit with two raters, or only one value in use.

    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section D.
    """
    rated = counts[counts.sum(axis=1) >= 2]
    return _alpha(disagreements(rated), rated, np.ones(len(rated)))


def disagreements(counts: NDArray[np.integer[Any]]) -> NDArray[np.float64]:
    """Return the share of each unit's pairs of raters that disagree.

    Args:
        counts: Shape (n, k) as in `krippendorff_alpha`, two raters or more in each row.

    Returns:
        Shape (n,), in [0, 1].
    """
    raters = counts.sum(axis=1, dtype=float)
    agreeing = (counts * (counts - 1.0)).sum(axis=1)
    return np.asarray(1 - agreeing / (raters * (raters - 1)), dtype=float)


def _alpha(
    apart: NDArray[np.float64], counts: NDArray[np.integer[Any]], times: NDArray[np.float64]
) -> float | None:
    """Return alpha of units of which each occurs a number of times."""
    values = times @ counts
    total = float(values.sum())
    by_chance = total**2 - float(values @ values)
    if not by_chance:
        return None
    observed = float(times @ (apart * counts.sum(axis=1)))
    return 1 - observed * (total - 1) / by_chance


def alpha_interval(
    counts: NDArray[np.integer[Any]], level: float = LEVEL, *, resamples: int = 1000, seed: int = 0
) -> Interval | None:
    """Return an interval for Krippendorff's alpha, by the bootstrap over units (percentiles).

    Resamples in which alpha is undefined are left out. Where all raters agree on all units no
    resample disagrees, and the interval would have no width; its lower bound is then the alpha that
    holds if as many units are in dispute as n without one do not rule out (Clopper-Pearson).

    Args:
        counts: As in `krippendorff_alpha`.
        level: Coverage.
        resamples: Drawn with replacement, n units each.
        seed: Of the draws.

    Returns:
        The bounds, at most 1 and possibly below 0; None where alpha is undefined in the sample or
        in half of the resamples.
    """
    rated = counts[counts.sum(axis=1) >= 2]
    n = len(rated)
    alpha = krippendorff_alpha(rated)
    if alpha is None:
        return None
    tail = (1 - level) / 2
    apart = disagreements(rated)
    if not apart.any():
        values = rated.sum(axis=0, dtype=float)
        total = float(values.sum())
        expected = (total**2 - float(values @ values)) / (total * (total - 1))
        return Interval(1 - (1 - tail ** (1 / n)) / expected, 1.0)
    random = np.random.default_rng(seed)
    drawn = (
        np.bincount(random.integers(0, n, n), minlength=n).astype(float) for _ in range(resamples)
    )
    found = [value for times in drawn if (value := _alpha(apart, rated, times)) is not None]
    if len(found) < resamples / 2:
        return None
    return Interval(*(float(bound) for bound in np.quantile(found, (tail, 1 - tail))))
