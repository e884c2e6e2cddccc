"""How far people or judges who labelled the same things agree, and what their labels make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from vlsbench.stats import LEVEL, Interval

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


class Agreement(NamedTuple):
    """How far raters agree on the units that two or more of them rated."""

    units: int
    raw: float | None
    """Mean share of a unit's raters, two by two, who say the same."""
    alpha: float | None
    """Krippendorff's, nominal, with its 95 % interval; None where undefined."""
    low: float | None
    high: float | None


def nominal_agreement(counts: NDArray[np.integer[Any]]) -> Agreement:
    """Measure agreement; `counts` as in `krippendorff_alpha`."""
    rated = counts[counts.sum(axis=1) >= 2]
    raw = 1 - float(disagreements(rated).mean()) if len(rated) else None
    low, high = alpha_interval(rated) or (None, None)
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
    found = float(_kappas(table[None])[0])
    return None if np.isnan(found) else found


def _kappas(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return kappa of each of several tables, shape (n, k, k); NaN where it is undefined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = tables / tables.sum(axis=(1, 2), keepdims=True)
        chance = (shares.sum(axis=1) * shares.sum(axis=2)).sum(axis=1)
        observed = np.trace(shares, axis1=1, axis2=2)
        return np.where(chance < 1, (observed - chance) / (1 - chance), np.nan)


def kappa_interval(
    tables: NDArray[np.float64], level: float = LEVEL, *, resamples: int = 1000, seed: int = 0
) -> Interval | None:
    """Return an interval for Cohen's kappa, by the bootstrap over clusters (percentiles).

    Args:
        tables: Shape (clusters, k * k): a table of agreement of each cluster, row by row.
        level: Coverage.
        resamples: Drawn with replacement, as many clusters each.
        seed: Of the draws.

    Returns:
        The bounds; None with fewer than two clusters, where kappa is undefined in the sample or in
        half of the resamples, and where all resamples say the same, as where nobody disagrees.
    """
    n, cells = tables.shape
    k = round(cells**0.5)
    whole = tables.sum(axis=0).reshape(k, k)
    if n < 2 or cohen_kappa(whole) is None or whole.sum() == np.trace(whole):
        return None
    draws = np.random.default_rng(seed)
    found = np.concatenate(
        [
            _kappas((draws.multinomial(n, np.full(n, 1 / n), 20) @ tables).reshape(-1, k, k))
            for _ in range(resamples // 20)
        ]
    )
    found = found[~np.isnan(found)]
    if len(found) < resamples / 2 or np.ptp(found) < 1e-12:
        return None
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(low), float(high))
