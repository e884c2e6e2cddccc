"""A share as a judge sees it, with the judge's own errors taken out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlsbench.stats import LEVEL

DRAWS = 20_000


class Sample(NamedTuple):
    """A share and how many independent observations it rests on."""

    share: float
    size: float
    """Effective: fewer than the pairs where these share images or queries."""


class CorrectedShare(NamedTuple):
    """An estimate with its interval."""

    value: float
    low: float
    high: float


def corrected_share(
    seen: Sample, false_alarms: Sample, misses: Sample | None, level: float = LEVEL
) -> CorrectedShare | None:
    """Estimate a true share from what an erring judge counted, with an interval for all of it.

    The estimate is Rogan and Gladen's, `(seen - false alarms) / (1 - false alarms - misses)`, cut
    to [0, 1]. The interval is melded: each measured share is replaced by draws from its lower or
    its upper confidence distribution, whichever makes the bound wider, at its effective size. It
    stays honest where a count is 0, where resampling would see no error at all.

    Args:
        seen: Share that the judge flags.
        false_alarms: Share that it flags of what is known to be harmless.
        misses: Share that it does not flag of what is known to be harmful; None assumes that it
            misses nothing.
        level: Coverage.

    Returns:
        None where the judge flags harmless things as often as harmful ones.

    Source: Rogan and Gladen 1978, "Estimating prevalence from the results of a screening test";
    Bayer, Fay and Graubard 2023, "Confidence intervals for prevalence estimates from complex
    surveys with imperfect assays" (arXiv 2205.13494); Korn and Graubard 1998 for the size.
    """
    missed = misses or Sample(0.0, np.inf)
    telling = 1 - false_alarms.share - missed.share
    if telling <= 0:
        return None
    rng = np.random.default_rng(0)
    tail = (1 - level) / 2
    lowest = _melded(
        _draws(seen, level, rng, upper=False),
        _draws(false_alarms, level, rng, upper=True),
        _draws(missed, level, rng, upper=False),
        unknown=0.0,
    )
    highest = _melded(
        _draws(seen, level, rng, upper=True),
        _draws(false_alarms, level, rng, upper=False),
        _draws(missed, level, rng, upper=True),
        unknown=1.0,
    )
    value = min(1.0, max(0.0, (seen.share - false_alarms.share) / telling))
    # The cut estimate can lie outside by a hair where a bound is cut too.
    low = min(value, float(np.quantile(lowest, tail)))
    high = max(value, float(np.quantile(highest, 1 - tail)))
    return CorrectedShare(value, low, high)


def _draws(
    sample: Sample, level: float, rng: np.random.Generator, *, upper: bool
) -> NDArray[np.float64]:
    """Draw from Clopper and Pearson's confidence distribution of a share."""
    if np.isinf(sample.size):
        return np.full(DRAWS, sample.share)
    size = sample.size
    hits = sample.share * size
    more, less = (hits + 1, size - hits) if upper else (hits, size - hits + 1)
    if more <= 1e-9:
        return np.zeros(DRAWS)
    if less <= 1e-9:
        return np.ones(DRAWS)
    return rng.beta(more, less, DRAWS)


def _melded(
    seen: NDArray[np.float64],
    false_alarms: NDArray[np.float64],
    misses: NDArray[np.float64],
    *,
    unknown: float,
) -> NDArray[np.float64]:
    telling = 1 - false_alarms - misses
    known = telling > 0
    share = np.full(len(seen), unknown)
    np.divide(seen - false_alarms, telling, out=share, where=known)
    return share.clip(0.0, 1.0)
