"""How many pairs, images and human labels a question needs, before anything is bought."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.stats import Z, binomial_interval, planned_size

MOST = 10_000_000
POWER = 0.8
"""Chance of finding the difference."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a question needs."""

    pairs: int
    images: int
    labels: int
    """Replies that people must label for the same width without a judge."""


@settings(panel="The question")
class SizeConfig:
    """The settings of `vlsbench plan-size`, and the arguments of `plan_size`."""

    half_width: float | None = option(
        "Half width of the 95 % interval of a rate, in points.", default=None, metavar="POINTS"
    )
    detect: float | None = option(
        "Difference between two runs on the same pairs to be found in 4 of 5 cases, in points.",
        default=None,
        metavar="POINTS",
    )
    rate: float = option("Expected rate, as a share; 0.5 is the worst case.", default=0.8)
    changing: float = option(
        "Share of pairs whose label differs between the two runs.", default=0.2
    )
    per_image: float = option(
        "Pairs that share an image, on average (VLSBench: 1.15).", default=1.0, least=1
    )
    alike: float = option(
        "Correlation of pairs that share an image: 0 independent, 1 all equal.", default=0.5
    )


def plan_size(question: SizeConfig) -> Size:
    """Say how large a benchmark must be.

    Raises:
        VlsbenchError: Neither or both of `half_width` and `detect`, or a share out of range.

    Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample
    design"; what clustered pairs are worth as the intervals have it (Kish 1965, with their prior
    and Student's factor).
    """
    half_width, detect, changing = question.half_width, question.detect, question.changing
    if (half_width is None) is (detect is None):
        raise VlsbenchError("give either --half-width or --detect, in points: --half-width 3")
    for name in ("rate", "changing", "alike"):
        if not 0 <= (share := getattr(question, name)) <= 1:
            raise VlsbenchError(f"--{name} is a share between 0 and 1, not {share:g}")
    if question.per_image < 1 or (half_width or detect or 0) <= 0:
        raise VlsbenchError("--per-image must be at least 1, and the width or difference above 0")
    wanted = (half_width or detect or 0) / 100
    if half_width is not None:

        def narrow(size: int) -> float:
            found = binomial_interval(question.rate, size)
            return (found.low - found.high) / 2

        size = bisect_left(range(MOST), -wanted, lo=1, key=narrow)
    elif wanted > changing:
        raise VlsbenchError(
            f"a difference of {detect:g} points needs at least that share of changing pairs: "
            f"raise --changing above {changing:g}"
        )
    else:
        reach = Z * sqrt(changing) + NormalDist().inv_cdf(POWER) * sqrt(changing - wanted**2)
        size = ceil((reach / wanted) ** 2)
    share = question.rate if half_width is not None else changing

    def worth(pairs: int) -> float:
        return planned_size(pairs, question.per_image, share, question.alike)

    pairs = bisect_left(range(MOST), float(size), lo=1, key=worth)
    return Size(pairs, ceil(pairs / question.per_image), size)
