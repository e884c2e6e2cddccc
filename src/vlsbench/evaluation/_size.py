"""How many pairs, images and human labels a question needs, before anything is bought."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt

from vlsbench.errors import VlsbenchError
from vlsbench.stats import LEVEL, binomial_interval, normal_quantile

MOST = 10_000_000


@dataclass(frozen=True, slots=True)
class Size:
    """What a question needs."""

    pairs: int
    images: int
    labels: int
    """Replies that people must label for the same width from their labels alone."""
    labels_with_judge: int
    """The same where their labels correct a judge that they agree with in `agreement` of replies,
    and the judge labels every reply of a far larger run."""


def plan_size(
    *,
    half_width: float | None = None,
    detect: float | None = None,
    rate: float = 0.8,
    changing: float = 0.2,
    per_image: float = 1.0,
    alike: float = 0.5,
    agreement: float = 0.9,
    power: float = 0.8,
) -> Size:
    """Say how large a benchmark must be.

    Args:
        half_width: Wanted half width of the 95 % interval of a rate, in points.
        detect: Or the difference between two runs on the same pairs to be found, in points.
        rate: Expected rate, as a share; 0.5 is the worst case.
        changing: Share of the pairs whose label differs between the two runs.
        per_image: Pairs that share an image, on average.
        alike: Correlation of pairs that share an image: 0 independent, 1 all equal.
        agreement: Share of replies in which people agree with the judge.
        power: Chance of finding the difference.

    Raises:
        VlsbenchError: Neither or both of `half_width` and `detect`, or a share out of range.

    Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample
    design"; design effect 1 + (m - 1) ρ of Kish 1965; for labels beside a judge the variance of
    the correction alone, at most 1 - agreement (Angelopoulos et al. 2023, arXiv 2301.09633).
    """
    if (half_width is None) is (detect is None):
        raise VlsbenchError("give either --half-width or --detect, in points: --half-width 3")
    shares = {"--rate": rate, "--changing": changing, "--alike": alike, "--agreement": agreement}
    for name, share in shares.items():
        if not 0 <= share <= 1:
            raise VlsbenchError(f"{name} is a share between 0 and 1, not {share:g}")
    if per_image < 1 or (half_width or detect or 0) <= 0:
        raise VlsbenchError("--per-image must be at least 1, and the width or difference above 0")
    z = normal_quantile((1 + LEVEL) / 2)
    if half_width is not None:
        wanted = half_width / 100
        size = _smallest(rate, wanted)
    else:
        wanted = (detect or 0) / 100
        if wanted > changing:
            raise VlsbenchError(
                f"a difference of {detect:g} points needs at least that share of changing pairs: "
                f"raise --changing above {changing:g}"
            )
        reach = z * sqrt(changing) + normal_quantile(power) * sqrt(changing - wanted**2)
        size = ceil((reach / wanted) ** 2)
    pairs = ceil(size * (1 + (per_image - 1) * alike))
    correction = (1 - agreement) * (z / wanted) ** 2
    return Size(pairs, ceil(pairs / per_image), size, min(size, ceil(correction)))


def _smallest(rate: float, half_width: float) -> int:
    """Return the least number of independent pairs whose interval is narrow enough."""
    low, high = 1, MOST
    while low < high:
        middle = (low + high) // 2
        found = binomial_interval(rate, middle)
        if (found.high - found.low) / 2 <= half_width:
            high = middle
        else:
            low = middle + 1
    return low
