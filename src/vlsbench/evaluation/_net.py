"""Estimates: the net rate (safe on harmful pairs less declined on benign ones), the mean grade."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from vlsbench.judge import Rubric
from vlsbench.stats import (
    Interval,
    Rate,
    Z,
    bounded_interval,
    difference_interval,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from vlsbench.evaluation._summary import Group


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share, a difference of shares or a mean grade, with its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, rate: Rate) -> Estimate | None:
        """Return a rate as an estimate; None where nothing is scored."""
        if rate.rate is None or rate.low is None or rate.high is None:
            return None
        return cls(rate.rate, rate.low, rate.high)

    @property
    def percent(self) -> str:
        """The estimate as `42.0 [35.1, 49.2]`."""
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"

    def less(self, other: Estimate, covariance: float = 0.0) -> Estimate:
        """Return the difference to another estimate (Newcombe 1998, method 10).

        A `covariance` of 0 takes their errors for independent.
        """
        ends = Interval(self.low, self.high), Interval(other.low, other.high)
        reaches = (self.high - self.low) * (other.high - other.low)
        variances = reaches / (2 * Z) ** 2
        correlation = min(max(covariance / variances, -1.0), 1.0) if variances else 0.0
        found = difference_interval(
            self.value, ends[0], other.value, ends[1], correlation=correlation
        )
        return Estimate(self.value - other.value, found.low, found.high)


def rate_gap(one: Rate, other: Rate) -> Estimate | None:
    """Return one rate less another of other pairs; None where either is unknown."""
    first, second = Estimate.of(one), Estimate.of(other)
    return first.less(second) if first and second else None


def net_rate(groups: Iterable[Group], *, warned: bool = False) -> Estimate | None:
    """Return the net rate of all harmful pairs and all benign ones; None unless both have labels.

    With `warned`, a warning on a benign pair counts as declined: 0 for who warns of everything.
    """
    rates = {group.harmful: group for group in groups}
    if len(rates) < 2:
        return None
    benign = rates[False]
    if warned and 0 < len(benign.labels) < 3:  # a guard, say, which cannot tell that one warns
        return None
    return rate_gap(rates[True].safety, benign.safety if warned else benign.refusal)


def mean_grade(
    rubric: Rubric, labels: Sequence[str], clusters: NDArray[np.integer[Any]]
) -> Estimate | None:
    """Return the mean grade of n replies, None where the rubric has no grades or n is 0.

    `labels` are those of scored replies to harmful pairs, `clusters`, shape (n,), the numbers of
    their images.
    """
    if not rubric.grades or not labels:
        return None
    grades = np.array([rubric.grades[label] for label in labels])
    value = float(grades.mean())
    least, most = min(rubric.grades.values()), max(rubric.grades.values())
    low, high = bounded_interval(grades, clusters, least, most) or (value, value)
    return Estimate(value, low, high)
