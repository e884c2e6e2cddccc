"""Which replies to label, and what their labels say of all replies.

The replies of one kind (to harmful pairs, to benign ones) are stratified by the judge's label, and
of several judges by whether they differ. A
pilot is drawn in proportion to the strata. Its labels tell where people and judge disagree most,
and the rest is drawn there (Neyman 1934). A stratum's rate then has Jeffreys' posterior, the strata
add up by their sizes, and the sum is taken for a beta distribution of the same mean and variance.
benchmarks/calibration.py measures coverage and width on recorded judges.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlsbench.evaluation import Estimate
from vlsbench.stats import LEVEL, effective_size, numbered

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Numbers = NDArray[np.intp]

PILOT = 0.6
"""Share of the labels that is drawn before anything is known of the judge: of fewer, the harm that
a judge rarely misses is not among them, and of more, too few are left for where it errs."""
LEAST = 2
"""Labels in every stratum, or all that it has."""
DISPUTED = 2.0
"""How much likelier the pilot draws a reply over which judges differ: Neyman's ratio where two in
five of their labels are wrong there, and one in fifteen elsewhere."""
JEFFREYS = 0.5


def next_sizes(
    sizes: Numbers,
    counts: NDArray[np.integer[Any]],
    n: int,
    wanted: Sequence[int] = (),
    disputed: Sequence[bool] = (),
) -> Numbers:
    """Return how many labels each stratum should have, of n in all.

    Args:
        sizes: Shape (h,), its replies.
        counts: Shape (h, k), its labels so far, by kind; without any, n is the pilot's size.
        n: Labels in all; those that there are stay, and no stratum gets more than its replies.
        wanted: Places of the labels whose rates should have short intervals; by default all, each
            measured against what labels drawn at random would give.
        disputed: Shape (h,), where several judges disagree: the pilot looks there more closely.
    """
    kinds, taken, scores = counts.shape[1], counts.sum(axis=1), sizes / sizes.sum()
    if disputed:
        scores = scores * np.where(disputed, DISPUTED, 1.0)
    if taken.any():
        scores = sizes / sizes.sum()
        rates = (counts + 1 / kinds) / (taken[:, None] + 1)
        overall = scores @ rates
        spread = rates * (1 - rates) / (overall * (1 - overall))
        scores = scores * np.sqrt(spread[:, list(wanted or range(kinds))].sum(axis=1))
    least = np.maximum(taken, np.minimum(sizes, LEAST))
    # The sum of shares in proportion to the scores bends where a stratum is at an end.
    bends = np.unique(np.concatenate([[0.0], least / scores, sizes / scores]))
    totals = np.clip(bends[:, None] * scores, least, sizes).sum(axis=1)
    shares = np.clip(np.interp(n, totals, bends) * scores, least, sizes)
    whole: Numbers = np.floor(shares + 1e-9).astype(np.intp)
    short = round(float(shares.sum())) - int(whole.sum())
    whole[np.argsort(whole - shares, kind="stable")[:short]] += 1
    return whole


def spread_out(
    groups: Sequence[object], clusters: Sequence[object], n: int, random: np.random.Generator
) -> Numbers:
    """Draw n places, each as likely as any other, spread evenly over groups and clusters.

    A systematic sample of the places in the order of groups, clusters and chance.
    """
    order = np.lexsort((random.random(len(groups)), _shuffled(clusters, random), numbered(groups)))
    return order[((np.arange(n) + random.random()) * len(order) / max(n, 1)).astype(np.intp)]


def _shuffled(names: Sequence[object], random: np.random.Generator) -> Numbers:
    numbers = numbered(names)
    return random.permutation(int(numbers.max(initial=-1)) + 1)[numbers]


@dataclass(frozen=True, slots=True)
class Labelled:
    """The replies of one kind, and those of them that people labelled."""

    strata: Numbers
    """Shape (n,), the number of each reply's stratum."""
    clusters: Numbers
    """Shape (n,), the number of each reply's image."""
    places: Numbers
    """Shape (m,), which replies have people's labels."""

    def within(self, chosen: NDArray[np.bool_]) -> Labelled:
        """Return the part of replies for which `chosen`, shape (n,), holds."""
        return Labelled(
            self.strata[chosen],
            self.clusters[chosen],
            (np.cumsum(chosen) - 1)[self.places[chosen[self.places]]],
        )

    def _sizes(self) -> tuple[Numbers, Numbers]:
        sizes = np.bincount(self.strata)
        return sizes, np.bincount(self.strata[self.places], minlength=len(sizes))

    @property
    def weights(self) -> NDArray[np.float64]:
        """Shape (m,), how many replies each labelled one stands for."""
        sizes, drawn = self._sizes()
        return (sizes / np.maximum(drawn, 1))[self.strata[self.places]]

    def human(self, hits: NDArray[np.bool_]) -> Estimate:
        """Estimate a rate from people's labels alone, weighted, at Kish's effective size.

        Args:
            hits: Shape (m,), whether each labelled reply counts.
        """
        weights = self.weights
        value = float(weights @ hits / weights.sum())
        kish = float(weights.sum() ** 2 / (weights @ weights))
        clusters = self.clusters[self.places]
        size = effective_size(hits, numbered(clusters)) * kish / len(hits)
        low, high = _beta_interval(*_jeffreys(value * size, size))
        return Estimate(value, min(low, value), max(high, value))

    def _posterior(self, hits: NDArray[np.bool_]) -> tuple[Any, Any]:
        """Return mean and variance of each stratum's rate, at the effective size of its labels."""
        _, drawn = self._sizes()
        alike = len(hits) / effective_size(hits, numbered(self.clusters[self.places]))
        found = np.bincount(self.strata[self.places], weights=hits, minlength=len(drawn))
        return _jeffreys(found / alike, drawn / alike)

    def parts(self, hits: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Return what each reply adds to a corrected rate, which is about their mean: shape (n,).

        What is expected in its stratum and, of labelled ones, by how much they differ from that.
        """
        found = np.asarray(self._posterior(hits)[0])[self.strata]
        found[self.places] += self.weights * (hits - found[self.places])
        return found

    def corrected(self, hits: NDArray[np.bool_]) -> tuple[Estimate, int | None]:
        """Estimate a rate from people's labels and the judge's.

        Args:
            hits: Shape (m,), whether each labelled reply counts.

        Returns:
            The rate, with an interval for pairs like these (which replies were labelled, and which
            pairs were asked), and how many more labels would halve it.
        """
        sizes, drawn = self._sizes()
        shares = sizes / sizes.sum()
        found = np.bincount(self.strata[self.places], weights=hits, minlength=len(sizes))
        means, variances = self._posterior(hits)
        centre = float(shares @ means)
        expected = means[self.strata]
        # What the judge's labels tell apart, and what they leave; the latter, taken for as alike
        # within an image as the former. As if independent it is in the labels' variance already.
        told, left = float(shares @ (means - centre) ** 2), float(shares @ (means * (1 - means)))
        size = effective_size(expected, numbered(self.clusters))
        pairs = (told + left) / size - left / len(expected)
        labels = float(shares**2 @ variances)
        raw = np.where(drawn > 0, found / np.maximum(drawn, 1), means)
        value = float(shares @ raw)
        low, high = _beta_interval(np.float64(centre), np.float64(labels + pairs))
        goal = (labels + pairs) / 4 - pairs
        more = int(np.ceil(len(hits) * (labels / goal - 1))) if goal > 0 else None
        if more is not None and more > len(self.strata) - len(hits):
            more = None
        return Estimate(value, min(low, value), max(high, value)), more


def covariance(
    ones: NDArray[Any], images: Iterable[object], others: NDArray[Any], theirs: Iterable[object]
) -> float:
    """Return the covariance of two means, whose observations share images.

    Args:
        ones: Shape (n,), the observations of the first, and `images` what each belongs to.
        others: Shape (m,), those of the second, and `theirs` what they belong to.
    """
    numbers = numbered([*images, *theirs])
    size = int(numbers.max(initial=-1)) + 1
    parts = (ones, numbers[: len(ones)]), (others, numbers[len(ones) :])
    first, second = (
        np.bincount(of, weights=(values - values.mean()) / len(values), minlength=size)
        for values, of in parts
    )
    return float(first @ second)


def _jeffreys(hits: Any, size: Any) -> tuple[Any, Any]:
    """Return mean and variance of the posterior of a rate."""
    mean = (hits + JEFFREYS) / (size + 2 * JEFFREYS)
    return mean, mean * (1 - mean) / (size + 2 * JEFFREYS + 1)


def _beta_interval(mean: Any, variance: Any) -> tuple[float, float]:
    from scipy.special import betaincinv

    size = mean * (1 - mean) / variance - 1
    ends = betaincinv(mean * size, (1 - mean) * size, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(ends[0]), float(ends[1])
