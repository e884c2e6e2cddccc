"""The mean grade of replies, under a rubric whose labels have grades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vlsbench.evaluation._net import Estimate
from vlsbench.judge import Rubric
from vlsbench.stats import binomial_interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def mean_grade(
    rubric: Rubric, labels: Sequence[str], clusters: NDArray[np.integer[Any]]
) -> Estimate | None:
    """Return the mean grade of replies; None where the rubric has no grades, or nothing is scored.

    Args:
        rubric: Whose labels they are.
        labels: Of n replies to harmful pairs, all of them scored.
        clusters: Shape (n,), the number of each one's image.
    """
    if not rubric.grades or not labels:
        return None
    grades = np.array([rubric.grades[label] for label in labels])
    value = float(grades.mean())
    least, most = min(rubric.grades.values()), max(rubric.grades.values())
    low, high = mean_interval(grades, clusters) or (value, value)
    low, high = max(low, least), min(high, most)
    if low == high:
        # Grades that are all alike vary by as much as so many images do not rule out.
        share = binomial_interval((value - least) / (most - least), len(np.unique(clusters)))
        low, high = (least + (most - least) * end for end in share)
    return Estimate(value, low, high)
