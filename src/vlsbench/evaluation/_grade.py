"""The mean grade of replies, under a rubric whose labels have grades."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from vlsbench.evaluation._net import Estimate
from vlsbench.judge import Rubric
from vlsbench.stats import bounded_interval

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
    low, high = bounded_interval(grades, clusters, least, most) or (value, value)
    return Estimate(value, low, high)
