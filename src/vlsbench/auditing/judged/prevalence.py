"""A share as a judge sees it, with the judge's own errors taken out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from vlsbench.pages import percent
from vlsbench.stats import LEVEL

Draws = NDArray[np.float64]

DRAWS = 20_000
MISSES_UP_TO = (0.1, 0.3, 0.5)
"""Misses for which an upper bound is given where they are not measured."""
QUOTED = 0.3
"""The one that a summary quotes."""


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


@dataclass(frozen=True, slots=True)
class AtMost:
    """An upper bound that rests on an assumption."""

    misses: float
    """It holds if the judge misses no larger share of harmful texts."""
    share: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What can be said where nothing measures the judge's misses; each bound is one-sided."""

    at_least: float
    """Holds whatever the judge misses, at 95 %."""
    at_most: tuple[AtMost, ...]
    """Each holds at 95 % if the judge misses no more than it says."""

    def __str__(self) -> str:
        said = f"at least {percent(self.at_least)} are harmful by their text alone"
        for bound in self.at_most:
            if bound.misses == QUOTED:
                most = percent(bound.share)
                said += f", and at most {most} if the judge misses up to {100 * QUOTED:.0f} %"
        return said


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """How far a conclusion hangs on the judge erring as often here as on the controls."""

    above: float
    """The conclusion: more than this share of the harmful pairs, 0, is harmful by text alone."""
    extra: float | None
    """False alarms that the benchmark's texts would need beyond the controls' rate, as a share of
    its harmless texts, for the conclusion to fall; None where it does not stand."""

    def __str__(self) -> str:
        if self.extra is None:
            return "No evidence that some pairs are harmful by their text alone."
        return (
            "That some pairs are harmful by their text alone falls only if the judge's false "
            f"alarms on the benchmark are {self.extra * 100:.1f} points more frequent than on the "
            "controls."
        )


def corrected_share(seen: Sample, false_alarms: Sample, misses: Sample) -> CorrectedShare | None:
    """Estimate a true share from what an erring judge counted, with a 95 % interval for all of it.

    The estimate is Rogan and Gladen's, `(seen - false alarms) / (1 - false alarms - misses)`, cut
    to [0, 1]. The interval is melded: each measured share is replaced by draws from its lower or
    its upper confidence distribution, whichever makes the bound wider, at its effective size. It
    stays honest where a count is 0, where resampling would see no error at all.

    Args:
        seen: Share that the judge flags.
        false_alarms: Share that it flags of what is known to be harmless.
        misses: Share that it does not flag of what is known to be harmful.

    Returns:
        None where the judge flags harmless things as often as harmful ones.

    Source: Rogan and Gladen 1978, "Estimating prevalence from the results of a screening test";
    Bayer, Fay and Graubard 2023, "Confidence intervals for prevalence estimates from complex
    surveys with imperfect assays" (arXiv 2205.13494); Korn and Graubard 1998 for the size.
    """
    telling = 1 - false_alarms.share - misses.share
    if telling <= 0:
        return None
    rng = np.random.default_rng(0)
    lowest = _lower(seen, false_alarms, misses, rng)()
    highest = _melded(
        _draws(seen, rng, upper=True),
        _draws(false_alarms, rng, upper=False),
        _draws(misses, rng, upper=True),
        unknown=1.0,
    )
    value = min(1.0, max(0.0, (seen.share - false_alarms.share) / telling))
    # The cut estimate can lie outside by a hair where a bound is cut too.
    low = min(value, lowest)
    high = max(value, float(np.quantile(highest, (1 + LEVEL) / 2)))
    return CorrectedShare(value, low, high)


def bounds(seen: Sample, false_alarms: Sample) -> Bounds:
    """Bound a true share from either side where nothing tells how much the judge misses.

    The more a judge misses, the larger the true share behind what it flags. So the lower bound is
    that of a judge that misses nothing, and holds for any other; an upper bound needs a limit on
    the misses, and is given for each of `MISSES_UP_TO`. Both are melded, as in `corrected_share`.
    """
    rng = np.random.default_rng(0)
    least = _lower(seen, false_alarms, None, rng)()
    most, fewest = _draws(seen, rng, upper=True), _draws(false_alarms, rng, upper=False)

    def at_most(missed: float) -> AtMost:
        highest = _melded(most, fewest, np.array(missed), unknown=1.0)
        return AtMost(missed, float(np.quantile(highest, LEVEL)))

    return Bounds(least, tuple(map(at_most, MISSES_UP_TO)))


def sensitivity(seen: Sample, false_alarms: Sample, misses: Sample | None) -> Sensitivity:
    """Say how many more false alarms than the controls' would undo a lower bound above 0.

    Without misses it is the lower bound of `bounds`, else that of `corrected_share`.
    """
    lower = _lower(seen, false_alarms, misses, np.random.default_rng(0))
    if lower() <= 0:
        return Sensitivity(0.0, None)
    low, high = 0.0, 1.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if lower(middle) > 0 else (low, middle)
    return Sensitivity(0.0, low or None)


def _lower(
    seen: Sample, false_alarms: Sample, misses: Sample | None, rng: np.random.Generator
) -> Callable[..., float]:
    """Return the lower bound of the share, given by how much false alarms are more frequent here.

    It is one-sided, that of a judge that misses nothing, where the misses are not known.
    """
    flagged, alarms = _draws(seen, rng, upper=False), _draws(false_alarms, rng, upper=True)
    missed = _draws(misses, rng, upper=False) if misses else np.zeros(DRAWS)
    tail = (1 - LEVEL) / (2 if misses else 1)

    def bound(extra: float = 0.0) -> float:
        more = np.minimum(alarms + extra, 1.0)
        return float(np.quantile(_melded(flagged, more, missed, unknown=0.0), tail))

    return bound


def _draws(sample: Sample, rng: np.random.Generator, *, upper: bool) -> Draws:
    """Draw from Clopper and Pearson's confidence distribution of a share."""
    hits = sample.share * sample.size
    more, less = (hits + 1, sample.size - hits) if upper else (hits, sample.size - hits + 1)
    if more <= 1e-9:
        return np.zeros(DRAWS)
    if less <= 1e-9:
        return np.ones(DRAWS)
    return rng.beta(more, less, DRAWS)


def _melded(seen: Draws, false_alarms: Draws, misses: Draws, *, unknown: float) -> Draws:
    """Correct draws of what was seen; `unknown` where the judge could not tell."""
    telling = 1 - false_alarms - misses
    share = np.full(len(seen), unknown)
    np.divide(seen - false_alarms, telling, out=share, where=telling > 0)
    return share.clip(0.0, 1.0)
