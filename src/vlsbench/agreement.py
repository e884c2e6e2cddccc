"""How far people or judges who labelled the same things agree, and what their labels make."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import compress
from math import sqrt
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vlsbench.stats import Interval, effective_size, estimate_interval, numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Numbers = NDArray[np.float64]


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
    disagreed = disagreements(rated) @ rated.sum(axis=1)
    return _coefficient(_disagreed, np.array([disagreed, *rated.sum(axis=0)], dtype=float))


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


def _disagreed(sums: Numbers) -> tuple[Numbers, Numbers]:
    # Of each unit's disagreements times raters, and how often each value was given.
    total = sums[..., 1:].sum(axis=-1)
    by_chance = (total**2 - (sums[..., 1:] ** 2).sum(axis=-1)) / (total * (total - 1))
    return sums[..., 0] / total, by_chance


def _interval(
    apart: Numbers,
    clusters: NDArray[np.intp],
    sums: Numbers,
    disagreement: Callable[[Numbers], tuple[Numbers, Numbers]],
) -> Interval | None:
    """Return an interval for 1 less the observed disagreement over the expected.

    That of the observed one, at the variance which the jackknife over clusters gives the ratio;
    `sums` are what `disagreement` makes both of, once they are added up.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        observed, expected = map(float, disagreement(sums.sum(axis=0)))
        ratios = np.nan_to_num(np.divide(*disagreement(sums.sum(axis=0) - sums)))
    if not expected > 0:
        return None
    errors = expected * (ratios - ratios.mean()) * sqrt(1 - 1 / len(ratios))
    sizes = effective_size(apart, clusters), effective_size(np.zeros(len(apart)), clusters)
    found = estimate_interval(observed, errors, *sizes)
    return Interval(*(max(-1.0, 1 - end / expected) for end in reversed(found)))


def alpha_interval(
    counts: NDArray[np.integer[Any]], clusters: Iterable[object] | None = None
) -> Interval | None:
    """Return a 95 % interval for Krippendorff's alpha, by the jackknife over clusters.

    Args:
        counts: As in `krippendorff_alpha`.
        clusters: Shape (n,), what each unit belongs to (its image); by default its own.

    Returns:
        The bounds, in [-1, 1]; None where alpha is undefined in the sample.

    Source: Fleiss and Davies 1982, "Jackknifing functions of multinomial frequencies, with an
    application to a measure of concordance"; for few disagreements see `estimate_interval`.
    """
    several = counts.sum(axis=1) >= 2
    if not several.any():
        return None
    names = range(len(counts)) if clusters is None else clusters
    rated, images = counts[several], numbered(compress(names, several))
    apart = disagreements(rated)
    sums = np.zeros((images.max() + 1, 1 + rated.shape[1]))
    np.add.at(sums, images, np.column_stack([apart * rated.sum(axis=1), rated]))
    return _interval(apart, images, sums, _disagreed)


class Agreement(NamedTuple):
    """How far raters agree on the units that two or more of them rated."""

    units: int
    raw: float | None
    """Mean share of a unit's raters, two by two, who say the same."""
    alpha: float | None
    """Krippendorff's, nominal, with its 95 % interval; None where undefined."""
    low: float | None
    high: float | None


def nominal_agreement(
    counts: NDArray[np.integer[Any]], clusters: Iterable[object] | None = None
) -> Agreement:
    """Measure agreement; arguments as in `alpha_interval`."""
    rated = counts[counts.sum(axis=1) >= 2]
    raw = 1 - float(disagreements(rated).mean()) if len(rated) else None
    low, high = alpha_interval(counts, clusters) or (None, None)
    return Agreement(len(rated), raw, krippendorff_alpha(rated), low, high)


SMOOTHING = 0.1
"""Votes of each label added to each row of a rater's errors, so that no error is impossible."""
ROUNDS = 500


def dawid_skene(votes: NDArray[np.integer[Any]], kinds: int) -> NDArray[np.float64]:
    """Return how likely each label is the right one, once each rater's errors are estimated.

    Expectation maximisation, begun at the shares of the votes. Raters are taken to err
    independently: where they share a bias, it is taken for the truth.

    Args:
        votes: Shape (n, r), the place of the label that rater j gave unit i; −1 for none.
        kinds: How many labels there are.

    Returns:
        Shape (n, kinds), rows adding up to 1; units without a vote have the labels' overall shares.

    Source: Dawid and Skene 1979, "Maximum likelihood estimation of observer error-rates using the
    EM algorithm".
    """
    given = (votes[:, :, np.newaxis] == np.arange(kinds)).astype(float)
    likely = given.sum(axis=1) + 1 / kinds
    likely /= likely.sum(axis=1, keepdims=True)
    for _ in range(ROUNDS):
        errors = np.einsum("nt,nrk->rtk", likely, given) + SMOOTHING
        errors /= errors.sum(axis=2, keepdims=True)
        logs = np.log(likely.mean(axis=0) + np.finfo(float).tiny)
        logs = logs + np.einsum("nrk,rtk->nt", given, np.log(errors))
        better = np.exp(logs - logs.max(axis=1, keepdims=True))
        better /= better.sum(axis=1, keepdims=True)
        moved, likely = float(np.abs(better - likely).max(initial=0.0)), better
        if moved < 1e-7:
            break
    return np.asarray(likely, dtype=float)


def cohen_kappa(table: NDArray[np.float64]) -> float | None:
    """Return Cohen's kappa of two raters: 1 is agreement, 0 what their shares alone would give.

    Args:
        table: Shape (k, k): how many units (or what weight) one gave value i and the other j.

    Returns:
        Kappa; None where it is undefined: no unit, or both used one and the same value throughout.

    Source: Cohen 1960, "A coefficient of agreement for nominal scales".
    """
    return _coefficient(_unequal, table)


def _coefficient(
    disagreement: Callable[[Numbers], tuple[Numbers, Numbers]], sums: Numbers
) -> float | None:
    with np.errstate(invalid="ignore", divide="ignore"):
        observed, expected = disagreement(sums)
    return float(1 - observed / expected) if expected > 0 else None


def _unequal(tables: Numbers) -> tuple[Numbers, Numbers]:
    """Return observed and expected disagreement of tables, shape (…, k, k), for kappa."""
    shares = tables / tables.sum(axis=(-2, -1), keepdims=True)
    chance = (shares.sum(axis=-2) * shares.sum(axis=-1)).sum(axis=-1)
    return 1 - np.trace(shares, axis1=-2, axis2=-1), 1 - chance


def kappa_interval(
    cells: NDArray[np.intp], kinds: int, clusters: Iterable[object]
) -> Interval | None:
    """Return a 95 % interval for Cohen's kappa, by the jackknife over clusters.

    Args:
        cells: Shape (n,), the cell of the table that each unit is in: the number of one rater's
            value times `kinds`, plus that of the other's.
        kinds: How many values there are.
        clusters: Shape (n,), what each unit belongs to (its image).

    Returns:
        The bounds, in [-1, 1]; None where kappa is undefined in the sample.

    Source: as for `alpha_interval`.
    """
    images = numbered(clusters)
    one, other = cells // kinds, cells % kinds
    tables = np.zeros((int(images.max(initial=-1)) + 1, kinds, kinds))
    np.add.at(tables, (images, one, other), 1)
    apart = (one != other).astype(float)
    return _interval(apart, images, tables, _unequal)
