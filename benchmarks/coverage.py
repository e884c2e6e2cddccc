"""Do the intervals hold the truth, and do the tests err as rarely as they say?

    python -m benchmarks.coverage [--rounds 1000] [--seed 1] [--only rate change]

Simulated: yes-or-no observations in images of 1, 2, 4 or 10 pairs, images independent, pairs of
an image alike to a chosen degree (0: independent; 1: all equal). Every cell is a share of rounds;
of 1,000 rounds a share of 95 % is known to within 1.4 points. Wilson's interval and McNemar's test,
which know nothing of images, stand beside ours. Exit status 1 where an interval covers less than
93 % or a test errs more than 5.5 % (each by more than two standard errors of the simulation), or
where a worse result gets a better bound. docs/statistics.md holds the printed tables.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from vlsbench.auditing.behaviour import change
from vlsbench.auditing.judged import Sample, bounds, corrected_share
from vlsbench.evaluation import Ended
from vlsbench.judge import Label
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

SIZES = (30, 100, 400, 2241)
IN_AN_IMAGE = (1, 2, 4, 10)
ALIKE = (0.0, 0.5, 1.0)
RATES = (0.0, 0.01, 0.05, 0.5, 0.95, 1.0)
"""Shares of yes; where nothing varies, the interval must still hold it."""
COVERS, ERRS = 0.93, 0.055
SIDES = (Label.UNSAFE, Label.WARNING)

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


def _held(found: Interval | tuple[float, float] | None, truth: float) -> bool:
    return found is not None and found[0] - 1e-9 <= truth <= found[1] + 1e-9


def of_rate(rate: float) -> Play:
    """The interval of one share; baseline: Wilson's, pairs taken as independent."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        hits = uniform(images, alike, random) < rate
        found = clustered_interval(hits, images)
        assert found
        plain = proportion_confint(hits.sum(), len(hits), method="wilson")
        return Round(_held(found, rate), found.high - found.low, _held(plain, rate))

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
        return Round(_held(found, truth), found.high - found.low, _held(plain, truth))

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
        return Round(_held(found, truth), found.high - found.low, _held(plain, truth))

    return play


def of_median(images: NDArray[np.intp], alike: float, random: Random) -> Round:
    """The interval of a median; baseline: order statistics, pairs taken as independent."""
    values = uniform(images, alike, random)
    found = median_interval(values, images) or Interval(0.0, 1.0)  # too few images to tell
    plain = np.quantile(values, proportion_confint(len(values) / 2, len(values), method="wilson"))
    return Round(_held(found, 0.5), found.high - found.low, _held((plain[0], plain[1]), 0.5))


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
        return Round(_held(found, truth), found.high - found.low, _held(crude, truth))

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
        return Round(_held(held, truth), held.high - held.low, _held(crude, truth))

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
            return Round(True, 1.0, _held(plain, share))
        return Round(
            _held((found.low, found.high), share), found.high - found.low, _held(plain, share)
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
        plain = corrected_share(seen, false_alarms, Sample(0.0, np.inf))
        held = plain is None or _held((plain.low, plain.high), share)
        return Round(_held((found.at_least, most), share), most - found.at_least, held)

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
        held = plain.low is None or plain.high is None or _held((plain.low, plain.high), truth)
        if kept is None or kept.low is None or kept.high is None:
            return Round(True, 1.0, held)
        return Round(_held((kept.low, kept.high), truth), kept.high - kept.low, held)

    return play


def table(name: str, plays: dict[str, Play], rounds: int, seed: int, shapes: list[Shape]) -> bool:
    """Print one table, a row for each shape; return whether all of it is as it must be."""
    is_test = name.startswith("test")
    print(f"\n### {name}\n")
    print(f"| pairs × per image | {' | '.join(plays)} | least | baseline |")
    print(f"| --- | {'---: | ' * len(plays)}---: | ---: |")
    good = True
    for shape in shapes:
        cells, all_held, all_plain = [], [], []
        for play in plays.values():
            worst: list[tuple[float, float, float]] = []
            for alike in ALIKE if shape.in_an_image > 1 or shape.pairs == 2241 else (0.0,):
                random = np.random.default_rng([seed, *map(ord, name), shape.pairs, int(alike * 2)])
                found = [play(shape.images(random), alike, random) for _ in range(rounds)]
                held, width, plain = (float(np.mean(column)) for column in zip(*found, strict=True))
                worst.append((held, width, plain))
            held, width, plain = min(worst)
            cells.append(f"{100 * held:.1f}" + ("" if is_test else f" ({width:.2f})"))
            all_held.append(held)
            all_plain.append(max(w[2] for w in worst) if is_test else min(w[2] for w in worst))
        least = 1 - ERRS if is_test else COVERS
        slack = 2 * (least * (1 - least) / rounds) ** 0.5
        good &= min(all_held) >= least - slack
        plain = 1 - max(all_plain) if is_test else min(all_plain)
        print(f"| {shape} | {' | '.join(cells)} | {100 * min(all_held):.1f} | {100 * plain:.1f} |")
    return good


def worse_is_never_better(seed: int) -> bool:
    """Turn hits into misses one by one, in several orders: no bound may rise."""
    random = np.random.default_rng(seed)
    worst, steps = 0.0, 0
    for in_an_image in (1, 2, 4, 10, 20, 40):
        for images in (3, 5, 10, 50, 100):
            clusters = np.repeat(np.arange(images), in_an_image)
            n = len(clusters)
            orders = [np.arange(n), np.arange(n).reshape(images, -1).T.ravel()]
            for order in (*orders, random.permutation(n)):
                hits = np.ones(n, dtype=bool)
                last = clustered_interval(hits, clusters)
                for place in order[:400]:
                    hits[place] = False
                    now = clustered_interval(hits, clusters)
                    assert last
                    assert now
                    worst = max(worst, now.low - last.low, now.high - last.high)
                    last, steps = now, steps + 1
    print(
        f"\nOf {steps:,} results made worse by one pair, the largest gain of a bound: {worst:.6f}"
    )
    return worst < 1e-6


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


def crossed(rounds: int, seed: int) -> bool:
    """Observations that share images with some and queries with others; baseline: images alone."""
    print("\n### rate, clustered two ways\n")
    print("| images × queries | rate | held (width) | images alone |\n| --- | ---: | ---: | ---: |")
    good = True
    for images, queries in ((10, 5), (100, 3), (100, 5), (100, 10), (300, 30), (1957, 200)):
        for rate in (0.05, 0.5):
            cells: list[tuple[float, float, float]] = []
            for parts in ((0.5, 0.5), (0.1, 0.8), (0.8, 0.1)):
                random = np.random.default_rng([seed, images, queries])
                rows = []
                for _ in range(rounds):
                    n = 2 * max(images, queries)
                    of_image, of_query = (
                        random.integers(0, images, n),
                        random.integers(0, queries, n),
                    )
                    drawn = (
                        parts[0] ** 0.5 * random.standard_normal(images)[of_image]
                        + parts[1] ** 0.5 * random.standard_normal(queries)[of_query]
                        + max(0.0, 1 - sum(parts)) ** 0.5 * random.standard_normal(n)
                    )
                    hits = drawn < ndtri(rate)
                    found, plain = (
                        clustered_interval(hits, of_image, of_query),
                        clustered_interval(hits, of_image),
                    )
                    assert found
                    rows.append((_held(found, rate), found.high - found.low, _held(plain, rate)))
                held, width, alone = (float(np.mean(c)) for c in zip(*rows, strict=True))
                cells.append((held, width, alone))
            worst = min(cells)
            good &= worst[0] >= COVERS - 2 * (COVERS * (1 - COVERS) / rounds) ** 0.5
            print(
                f"| {images:,} × {queries} | {rate:g} | {100 * worst[0]:.1f} ({worst[1]:.2f}) "
                f"| {100 * worst[2]:.1f} |"
            )
    return good


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[], help="first words of tables")
    parser.add_argument("--sizes", nargs="*", type=int, default=SIZES)
    given = parser.parse_args()
    shapes = [Shape(n, k) for n in given.sizes for k in IN_AN_IMAGE if n / k >= 3]
    good = True
    for name, plays in kinds():
        if not given.only or name.split()[0] in given.only:
            good &= table(name, plays, given.rounds, given.seed, shapes)
    if not given.only or "crossed" in given.only:
        good &= crossed(given.rounds, given.seed)
    if not given.only or "worse" in given.only:
        good &= worse_is_never_better(given.seed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
