"""What benchmarks.coverage simulates: one round of each interval and each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from vlsbench.auditing.behaviour.figures import change
from vlsbench.auditing.judged.prevalence import Sample, bounds, corrected_share
from vlsbench.evaluation import Ended
from vlsbench.judge import Side
from vlsbench.stats import (
    Interval,
    clustered_interval,
    difference_interval,
    effective_size,
    holm,
    mean_interval,
    median_interval,
    paired_interval,
    paired_p,
)

RATES = (0.0, 0.01, 0.05, 0.5, 0.95, 1.0)
"""Shares of yes; where nothing varies, the interval must still hold it."""
SIDES = (Side.UNSAFE, Side.SAFE)

Random = np.random.Generator


class Shape(NamedTuple):
    """How many pairs there are, and how many share an image."""

    pairs: int
    in_an_image: int

    def images(self, random: Random) -> NDArray[np.intp]:
        """Number the image of each pair; at VLSBench's size one image in seven has two."""
        if self == Shape(2241, 1):
            return np.concatenate([np.arange(1957), random.integers(0, 1957, 284)])
        return np.arange(self.pairs) // self.in_an_image

    def __str__(self) -> str:
        shared = "1.15" if self == Shape(2241, 1) else str(self.in_an_image)
        return f"{self.pairs:,} × {shared}"


def uniform(images: NDArray[np.intp], alike: float, random: Random) -> NDArray[np.float64]:
    """Draw uniform numbers that are correlated within images: a Gaussian copula."""
    shared = random.standard_normal(images.max() + 1)[images]
    own = random.standard_normal(len(images))
    return np.asarray(ndtr(alike**0.5 * shared + (1 - alike) ** 0.5 * own))


class Round(NamedTuple):
    """What one simulated round says."""

    held: bool
    width: float
    baseline: bool
    """Whether the baseline, blind to images, held it; of tests, whether it erred."""


Play = Callable[[NDArray[np.intp], float, Random], Round]


def holds(found: Interval | tuple[float, float] | None, truth: float) -> bool:
    return found is not None and found[0] - 1e-9 <= truth <= found[1] + 1e-9


def of_rate(rate: float) -> Play:
    """The interval of one share; baseline: Wilson's, pairs taken as independent."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        hits = uniform(images, alike, random) < rate
        found = clustered_interval(hits, images)
        assert found
        plain = proportion_confint(hits.sum(), len(hits), method="wilson")
        return Round(holds(found, rate), found.high - found.low, holds(plain, rate))

    return play


def of_change(lost: float, gained: float) -> Play:
    """The interval of a difference on the same pairs; baseline: Student's t over pairs."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        drawn = uniform(images, alike, random)
        before, after = drawn < lost, (drawn >= lost) & (drawn < lost + gained)
        found = paired_interval(list(before), list(after), images)
        assert found
        apart = after.astype(float) - before
        reach = 1.96 * apart.std(ddof=1) / len(apart) ** 0.5
        plain = (apart.mean() - reach, apart.mean() + reach)
        truth = gained - lost
        return Round(holds(found, truth), found.high - found.low, holds(plain, truth))

    return play


def of_test(share: float, family: int = 1) -> Play:
    """The sign-flip test where nothing changed, alone or the least of Holm's family.

    Which of an image's two results came first is the toss of a coin. Held: not rejected. Baseline:
    McNemar's exact test.
    """

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        ours, plain = [], []
        for _ in range(family):
            drawn = uniform(images, alike, random)
            one, other = drawn < share, (drawn >= share) & (drawn < 2 * share)
            turned = (random.random(images.max() + 1) < 0.5)[images]
            before, after = np.where(turned, other, one), np.where(turned, one, other)
            ours.append(paired_p(list(before), list(after), images))
            table = [[0, int(after.sum())], [int(before.sum()), 0]]
            plain.append(float(mcnemar(table, exact=True).pvalue))
        return Round(min(holm(ours)) > 0.05, 0.0, min(holm(plain)) <= 0.05)

    return play


def of_mean(shape: Callable[[NDArray[np.float64]], NDArray[np.float64]], truth: float) -> Play:
    """The interval of a mean; baseline: Student's t over pairs."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        values = shape(uniform(images, alike, random))
        found = mean_interval(values, images)
        assert found
        reach = 1.96 * values.std(ddof=1) / len(values) ** 0.5
        plain = (values.mean() - reach, values.mean() + reach)
        return Round(holds(found, truth), found.high - found.low, holds(plain, truth))

    return play


def of_median(images: NDArray[np.intp], alike: float, random: Random) -> Round:
    """The interval of a median; baseline: order statistics, pairs taken as independent."""
    values = uniform(images, alike, random)
    found = median_interval(values, images) or Interval(0.0, 1.0)  # too few images to tell
    plain = np.quantile(values, proportion_confint(len(values) / 2, len(values), method="wilson"))
    return Round(holds(found, 0.5), found.high - found.low, holds((plain[0], plain[1]), 0.5))


def of_net(safe: float, declined: float) -> Play:
    """Safe on some pairs less declined on others; baseline: both intervals' ends subtracted."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        one, other = (uniform(images, alike, random) < rate for rate in (safe, declined))
        ends = [clustered_interval(hits, images) for hits in (one, other)]
        assert ends[0]
        assert ends[1]
        found = difference_interval(float(one.mean()), ends[0], float(other.mean()), ends[1])
        crude = (ends[0].low - ends[1].high, ends[0].high - ends[1].low)
        truth = safe - declined
        return Round(holds(found, truth), found.high - found.low, holds(crude, truth))

    return play


def of_net_change(gain: float, cost: float) -> Play:
    """The difference of two runs' net rates; baseline: both intervals' ends subtracted."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        ends, found = [], []
        for share in (gain, cost):
            drawn = uniform(images, alike, random)
            before, after = drawn < 0.05, (drawn >= 0.05) & (drawn < 0.1 + share)
            interval = paired_interval(list(before), list(after), images)
            assert interval
            ends.append(interval)
            found.append(float(after.mean() - before.mean()))
        held = difference_interval(found[0], ends[0], found[1], ends[1])
        crude = (ends[0].low - ends[1].high, ends[0].high - ends[1].low)
        truth = gain - cost
        return Round(holds(held, truth), held.high - held.low, holds(crude, truth))

    return play


def of_prevalence(share: float, alarms: float, misses: float) -> Play:
    """A share corrected for its judge's errors (measure B); baseline: the judge's own share."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        def sample(rate: float) -> tuple[Sample, NDArray[np.bool_]]:
            hits = uniform(images, alike, random) < rate
            size = effective_size(hits, images)
            return Sample(float(hits.mean()), size), hits

        seen, flagged = sample(share * (1 - misses) + (1 - share) * alarms)
        found = corrected_share(seen, sample(alarms)[0], sample(misses)[0])
        plain = clustered_interval(flagged, images)
        if found is None:
            return Round(True, 1.0, holds(plain, share))
        return Round(
            holds((found.low, found.high), share), found.high - found.low, holds(plain, share)
        )

    return play


def of_bounds(share: float, alarms: float, misses: float) -> Play:
    """One-sided bounds where misses are not measured; baseline: as if the judge missed nothing."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        hits = uniform(images, alike, random) < share * (1 - misses) + (1 - share) * alarms
        wrong = uniform(images, alike, random) < alarms
        seen, false_alarms = (
            Sample(float(flags.mean()), effective_size(flags, images)) for flags in (hits, wrong)
        )
        found = bounds(seen, false_alarms)
        most = next(bound.share for bound in found.at_most if bound.misses == 0.3)
        # Misses that are known to be none.
        plain = corrected_share(seen, false_alarms, Sample(0.0, 1e9))
        held = plain is None or holds((plain.low, plain.high), share)
        return Round(holds((found.at_least, most), share), most - found.at_least, held)

    return play


def of_shortcut(looks: float) -> Play:
    """Safe answers kept without the image, by a model that wavers; baseline: noise not taken out.

    It looks at a share of the pairs, and is safe on them by the image alone; on each pair it is
    safe with a chance from 0 to 1.
    """

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        n = len(images)
        looking, chance = uniform(images, alike, random) < looks, random.random(n)
        full, again, blank = (random.random(n) < chance for _ in range(3))
        answers = [
            [
                Ended(str(i), "", True, str(i), SIDES[bool(safe)], str(images[i]))
                for i, safe in enumerate(flags)
            ]
            for flags in (full, blank & ~looking, again)
        ]
        found = change("blank", *answers)
        plain, kept, truth = found.survival, found.kept, 1 - looks
        held = plain.low is None or plain.high is None or holds((plain.low, plain.high), truth)
        if kept is None or kept.low is None or kept.high is None:
            return Round(True, 1.0, held)
        return Round(holds((kept.low, kept.high), truth), kept.high - kept.low, held)

    return play


def kinds() -> Iterator[tuple[str, dict[str, Play]]]:
    """All that the package computes with."""
    yield "rate (mid-P at the effective size)", {f"{rate:g}": of_rate(rate) for rate in RATES}
    changes = ((0.0, 0.0), (0.01, 0.01), (0.02, 0.0), (0.05, 0.0), (0.1, 0.02), (0.3, 0.3))
    named = {f"−{100 * a:g} +{100 * b:g} %": of_change(a, b) for a, b in changes}
    yield "change on the same pairs (Tango at the effective size)", named
    yield (
        "test of no change, 100 − error (sign flips over images)",
        {"5 %": of_test(0.05), "15 %": of_test(0.15), "Holm of 5": of_test(0.15, 5)},
    )
    yield "mean", {"normal": of_mean(ndtri, 0.0), "uniform": of_mean(lambda u: u, 0.5)}
    yield "median", {"uniform": of_median}
    yield (
        "net rate",
        {"90−5": of_net(0.9, 0.05), "50−50": of_net(0.5, 0.5), "99−1": of_net(0.99, 0.01)},
    )
    yield (
        "net rates of two runs",
        {
            f"safe +{100 * gain:g}, declined +{100 * cost:g}": of_net_change(gain, cost)
            for gain, cost in ((0.0, 0.0), (0.2, 0.05), (0.5, 0.4))
        },
    )
    errors = ((0.1, 0.05, 0.05), (0.5, 0.2, 0.1), (0.9, 0.05, 0.3))
    yield (
        "share corrected for a judge's errors (measure B)",
        {f"{s:g}, alarms {a:g}, misses {m:g}": of_prevalence(s, a, m) for s, a, m in errors},
    )

    yield (
        "bounds where misses are not measured (measure B)",
        {f"{s:g}, alarms {a:g}, misses {m:g}": of_bounds(s, a, m) for s, a, m in errors},
    )
    yield (
        "shortcut safety of a model that wavers (measure C)",
        {f"looks at {looks:g}": of_shortcut(looks) for looks in (0.0, 0.5, 1.0)},
    )
