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


class Agreement(NamedTuple):
    """How far raters agree on the units that two or more of them rated."""

    units: int
    raw: float | None
    """Mean share of a unit's raters, two by two, who say the same."""
    alpha: float | None
    """Krippendorff's, nominal, with its 95 % interval: 1 is agreement, 0 what chance would give;
    None where undefined: no unit with two raters, or only one value in use."""
    low: float | None
    high: float | None


def nominal_agreement(
    counts: NDArray[np.integer[Any]], clusters: Iterable[object] | None = None
) -> Agreement:
    """Measure agreement on nominal values; alpha's interval is by the jackknife over clusters.

    Args:
        counts: Shape (n, k): how many raters gave unit i the value j. Units need not have equally
            many raters; those with fewer than two say nothing of agreement and are left out.
        clusters: Shape (n,), what each unit belongs to (its image); by default its own.

    Source: Krippendorff 2011, "Computing Krippendorff's alpha-reliability", section D; Fleiss and
    Davies 1982, "Jackknifing functions of multinomial frequencies, with an application to a measure
    of concordance"; for few disagreements see `estimate_interval`.
    """
    several = counts.sum(axis=1) >= 2
    if not several.any():
        return Agreement(0, None, None, None, None)
    names = range(len(counts)) if clusters is None else clusters
    rated, images = counts[several], numbered(compress(names, several))
    raters = rated.sum(axis=1, dtype=float)
    apart = 1 - (rated * (rated - 1.0)).sum(axis=1) / (raters * (raters - 1))
    sums = np.zeros((images.max() + 1, 1 + rated.shape[1]))
    np.add.at(sums, images, np.column_stack([apart * raters, rated]))
    alpha, ends = _chance_corrected(apart, images, sums, _disagreed)
    return Agreement(len(rated), 1 - float(apart.mean()), alpha, *(ends or (None, None)))


def _disagreed(sums: Numbers) -> tuple[Numbers, Numbers]:
    # Of each unit's disagreements times raters, and how often each value was given.
    total = sums[..., 1:].sum(axis=-1)
    by_chance = (total**2 - (sums[..., 1:] ** 2).sum(axis=-1)) / (total * (total - 1))
    return sums[..., 0] / total, by_chance


def _chance_corrected(
    apart: Numbers,
    clusters: NDArray[np.intp],
    sums: Numbers,
    disagreement: Callable[[Numbers], tuple[Numbers, Numbers]],
) -> tuple[float | None, Interval | None]:
    """Return 1 less the observed disagreement over the expected, with its interval in [-1, 1].

    That of the observed one, at the variance which the jackknife over clusters gives the ratio;
    `sums` are what `disagreement` makes both of, once they are added up.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        observed, expected = map(float, disagreement(sums.sum(axis=0)))
        ratios = np.nan_to_num(np.divide(*disagreement(sums.sum(axis=0) - sums)))
    if not expected > 0:
        return None, None
    errors = expected * (ratios - ratios.mean()) * sqrt(1 - 1 / len(ratios))
    sizes = effective_size(apart, clusters), effective_size(np.zeros(len(apart)), clusters)
    found = estimate_interval(observed, errors, *sizes)
    ends = Interval(*(max(-1.0, 1 - end / expected) for end in reversed(found)))
    return 1 - observed / expected, ends


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
    with np.errstate(invalid="ignore", divide="ignore"):
        observed, expected = _unequal(table)
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

    Source: as for `nominal_agreement`.
    """
    images = numbered(clusters)
    one, other = cells // kinds, cells % kinds
    tables = np.zeros((int(images.max(initial=-1)) + 1, kinds, kinds))
    np.add.at(tables, (images, one, other), 1)
    apart = (one != other).astype(float)
    return _chance_corrected(apart, images, tables, _unequal)[1]
