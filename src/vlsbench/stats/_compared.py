"""Comparisons of clustered observations: pairs before and after, classes, repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from vlsbench.stats._intervals import (
    Interval,
    Z,
    effective_size,
    estimate_interval,
    numbered,
    root_of,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray


def variance_components(
    values: Sequence[float] | Sequence[bool], *nested: Sequence[object]
) -> list[float | None]:
    """Split the variance of one value by the levels of what was repeated.

    Each level's part is the variance of its units' means within the next level, less what the parts
    below it explain, and not below zero.

    Args:
        values: Shape (n,).
        nested: Names of what each value belongs to, each of shape (n,), from the innermost level
            (the answer that was judged) to the outermost (the pair).

    Returns:
        A part for what differs within each level, innermost first, and one between the outermost
        units. None where nothing was repeated, so that a part cannot be told from the next one.

    Source: Searle, Casella and McCulloch 1992, "Variance components", chapter 3: the analysis of
    variance of nested random effects, by moments of unweighted means.
    """
    means = np.asarray(values, dtype=float)
    noise = np.zeros(len(means))
    units = [numbered(level) for level in nested] + [np.zeros(len(means), dtype=np.intp)]
    parts: list[float | None] = []
    for place, owners in enumerate(units):
        sizes = np.bincount(owners)
        centres = np.bincount(owners, weights=means) / sizes
        freedom = len(means) - len(sizes)
        part = None
        if freedom > 0:
            square = float(((means - centres[owners]) ** 2).sum()) / freedom
            part = max(0.0, square - float(noise.mean()))
        parts.append(part)
        noise = np.bincount(owners, weights=noise + (part or 0.0)) / sizes**2
        firsts = np.unique(owners, return_index=True)[1]
        means = centres
        units[place + 1 :] = [above[firsts] for above in units[place + 1 :]]
    return parts


def paired_interval(
    before: Sequence[bool] | NDArray[np.bool_],
    after: Sequence[bool] | NDArray[np.bool_],
    *clusterings: Sequence[object] | NDArray[np.integer[Any]],
) -> Interval | None:
    """Return a 95 % interval for the difference of two shares on the same clustered observations.

    Args:
        before: Shape (n,).
        after: Shape (n,), of the same observations.
        clusterings: As for `clustered_interval`.

    Returns:
        Bounds of `mean(after) - mean(before)`; None where there is no observation.

    Source: Tango 1998, "Equivalence test and confidence interval for the difference in proportions
    for the paired-sample design", at the effective size of the differences.
    """
    differences = np.asarray(after, dtype=float) - np.asarray(before, dtype=float)
    if not len(differences):
        return None
    size = effective_size(differences, *map(numbered, clusterings), least=-1.0)
    gained, lost = (float((differences == sign).mean()) for sign in (1, -1))

    def score(difference: float) -> float:
        # The maximum-likelihood share of losses if the difference were this.
        linear = (2 - gained + lost) * difference - gained - lost
        root = sqrt(max(linear**2 + 8 * lost * difference * (1 - difference), 0.0))
        variance = (root - linear) / 2 + difference * (1 - difference)
        return (difference - (gained - lost)) * sqrt(size / max(variance, 1e-12))

    centre = gained - lost
    low = root_of(lambda difference: score(difference) + Z, -1.0, centre)
    high = root_of(lambda difference: score(difference) - Z, centre, 1.0)
    return Interval(low, high)


def paired_p(
    before: Sequence[bool] | NDArray[np.bool_],
    after: Sequence[bool] | NDArray[np.bool_],
    *clusterings: Sequence[object] | NDArray[np.integer[Any]],
) -> float:
    """Return the exact two-sided p of a sign-flip test on clustered yes-or-no observations.

    If nothing but chance distinguishes before from after, each cluster's sum of differences is as
    likely to have the other sign. With one observation a cluster this is McNemar's exact test.

    Args:
        before: Shape (n,).
        after: Shape (n,), of the same observations.
        clusterings: As for `clustered_interval`; of two the larger p stands, or that of a t-test
            with the variances of both added up, less what is shared, if it is larger still.

    Source: Fisher 1935, "The design of experiments", chapter 3, over clusters; Cameron, Gelbach
    and Miller 2011 for both.
    """
    from scipy.special import gammaln, stdtr

    differences = np.asarray(after, dtype=int) - np.asarray(before, dtype=int)
    found = [0.0]
    numbers = [numbered(clusters) for clusters in clusterings]
    if len(numbers) == 2:
        both = [*numbers, numbered(zip(*numbers, strict=True))]
        squares = [float((np.bincount(of, weights=differences) ** 2).sum()) for of in both]
        variance = max(squares[0] + squares[1] - squares[2], *squares, 1e-12)
        freedom = max(1, min(of.max(initial=1) for of in numbers))
        found.append(2 * float(stdtr(freedom, -abs(differences.sum()) / sqrt(variance))))
    for clusters in numbers:
        sums = np.abs(np.bincount(clusters, weights=differences).astype(int))
        # The distribution of the sum over all signs: one binomial for each size of summand.
        chances = np.ones(1)
        for size, times in zip(*np.unique(sums[sums > 0], return_counts=True), strict=True):
            ways = (
                gammaln(times + 1) - gammaln(ups := np.arange(times + 1) + 1) - gammaln(ups[::-1])
            )
            steps = np.zeros(2 * size * times + 1)
            steps[:: 2 * size] = np.exp(ways - times * np.log(2))
            chances = np.convolve(chances, steps)
        reach = len(chances) // 2
        beyond = np.abs(np.arange(-reach, reach + 1)) >= abs(differences.sum())
        found.append(min(1.0, float(chances[beyond].sum())))
    return max(found)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p values of a family of tests by Holm's method.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    ascending = np.argsort(p_values)
    left = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[ascending] = np.maximum.accumulate(np.asarray(p_values)[ascending] * left).clip(max=1)
    return [float(p) for p in corrected]


@dataclass(frozen=True, slots=True)
class Area:
    """The area under a ROC curve: how often a harmful pair scores above a benign one."""

    value: float
    low: float
    high: float
    """95 % interval, clustered."""


def auroc(
    scores: NDArray[np.float64], positive: NDArray[np.bool_], clusters: Iterable[object]
) -> Area | None:
    """Return the area under the ROC curve of clustered observations; ties count one half.

    The variance is that of the clusters' summed placements. Where few observations of a class, or
    few clusters, leave it open, it is drawn towards that of exponential scores, which depends on
    the area and the classes' effective sizes alone; see `estimate_interval`.

    Args:
        scores: Shape (n,), higher for what should be positive.
        positive: Shape (n,).
        clusters: Shape (n,), what each belongs to (its image); may hold both kinds.

    Returns:
        None unless there are both kinds.

    Source: Obuchowski 1997, "Nonparametric analysis of clustered ROC curve data"; DeLong, DeLong
    and Clarke-Pearson 1988 for the placements; Newcombe 2006, "Confidence intervals for an effect
    size measure based on the Mann-Whitney statistic. Part 2", method 5, for exponential scores.
    """
    numbers = numbered(clusters)
    kinds = [np.flatnonzero(positive == kind) for kind in (True, False)]
    if not all(map(len, kinds)):
        return None
    ordered = [np.sort(scores[kind]) for kind in kinds]

    def below(values: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
        ends = (np.searchsorted(others, values, side) for side in ("left", "right"))
        return np.asarray(sum(ends) / (2 * len(others)), dtype=np.float64)

    above = below(scores[kinds[0]], ordered[1])
    area = float(above.mean())
    placed = (above, 1 - below(scores[kinds[1]], ordered[0]))
    errors, sizes, most = np.zeros(numbers.max() + 1), [], []
    for kind, places in zip(kinds, placed, strict=True):
        own = numbered(numbers[kind])
        sizes.append(effective_size(places, own))
        most.append(effective_size(np.ones(len(own)), own))
        groups = int(own.max()) + 1
        freely = sqrt(groups / max(1, groups - 1)) / len(kind)
        np.add.at(errors, numbers[kind], (places - area) * freely)

    def worth(area: float, m: float, n: float) -> float:
        spread = max(0.0, (m + n) / 2 - 1) * ((1 - area) / (2 - area) + area / (1 + area))
        return m * n / (1 + spread)

    return Area(area, *estimate_interval(area, errors, worth(area, *sizes), worth(1.0, *most)))
