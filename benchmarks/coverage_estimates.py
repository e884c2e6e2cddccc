"""What benchmarks.coverage simulates of estimates that are no plain shares, and of p values."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from benchmarks.coverage_plays import Play, Random, Round, holds, uniform
from vlsbench.agreement import kappa_interval, nominal_agreement
from vlsbench.stats import (
    Interval,
    auroc,
    bounded_interval,
    clustered_interval,
    difference_interval,
    interval_p,
    mean_interval,
    paired_interval,
)

Scores = Callable[[NDArray[np.float64], NDArray[np.bool_]], NDArray[np.float64]]
"""Makes scores of uniform numbers, given which pairs are harmful."""


def normal(area: float) -> Scores:
    """Normal scores of which the harmful ones are shifted, so that the area is as wanted."""
    return lambda drawn, harmful: ndtri(drawn) + 2**0.5 * float(ndtri(area)) * harmful


def levels(drawn: NDArray[np.float64], harmful: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Five levels, as a guard's grades; the area is 0.66."""
    return np.asarray(np.floor(5 * np.where(harmful, drawn**0.5, drawn)))


def half_found(drawn: NDArray[np.float64], harmful: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Half of the harmful pairs score above all others, half as benign ones; the area is 0.75."""
    return np.where(harmful, np.where(drawn < 0.5, 2 * drawn, 1 + drawn), drawn)


def of_area(scores: Scores, area: float, share: float, *, by_image: bool = False) -> Play:
    """The interval of an AUROC where both kinds are there; baseline: pairs taken as independent.

    A share of the pairs is harmful, those of an image alike or (`by_image`) all or none of them.
    """

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        harmful = np.zeros(len(images), dtype=np.bool_)
        while harmful.all() or not harmful.any():
            drawn = random.random(len(images))
            harmful = (drawn[: images.max() + 1][images] if by_image else drawn) < share
        found = scores(uniform(images, alike, random), harmful)
        ours, plain = (auroc(found, harmful, of) for of in (images, range(len(images))))
        assert ours
        assert plain
        held = holds((plain.low, plain.high), area)
        return Round(holds((ours.low, ours.high), area), ours.high - ours.low, held)

    return play


Raters = tuple[int, tuple[float, ...], float]
"""How many there are, the values' shares, and the chance of each to say the right one."""


def chance_corrected(raters: Raters) -> float:
    """Return what alpha and kappa are of endlessly many units: alike, as all raters err alike."""
    _, shares, right = raters
    kinds = len(shares)
    says = np.full((kinds, kinds), (1 - right) / (kinds - 1))
    np.fill_diagonal(says, right)
    apart = 1 - float((np.array(shares)[:, None] * says**2).sum())
    return 1 - apart / (1 - float(((np.array(shares) @ says) ** 2).sum()))


def votes(
    raters: Raters, images: NDArray[np.intp], alike: float, random: Random
) -> NDArray[np.intp]:
    """Draw what raters say, shape (n, raters): right values and errors are alike in an image.

    At least two values are used, for without them agreement is not defined.
    """
    several, shares, right = raters
    kinds = len(shares)
    found = np.zeros((len(images), several), dtype=np.intp)
    while np.ptp(found) == 0:
        drawn = np.searchsorted(np.cumsum(shares), uniform(images, alike, random))
        truth = np.minimum(drawn, kinds - 1)
        for one in range(several):
            error = (uniform(images, alike, random) - right) / (1 - right)
            wrong = (truth + 1 + (error * (kinds - 1)).astype(int)) % kinds
            found[:, one] = np.where(error < 0, truth, wrong)
    return found


def _ends(counts: NDArray[np.intp], images: NDArray[np.intp] | None = None) -> Interval | None:
    *_, low, high = nominal_agreement(counts, images)
    return None if low is None or high is None else Interval(low, high)


def of_alpha(raters: Raters) -> Play:
    """The interval of Krippendorff's alpha; baseline: pairs taken as independent."""
    truth = chance_corrected(raters)

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        found = votes(raters, images, alike, random)
        counts = (found[:, :, None] == np.arange(len(raters[1]))).sum(axis=1)
        ours, plain = _ends(counts, images), _ends(counts)
        assert ours
        return Round(holds(ours, truth), ours.high - ours.low, holds(plain, truth))

    return play


def of_kappa(raters: Raters) -> Play:
    """The interval of Cohen's kappa; baseline: pairs taken as independent."""
    truth, kinds = chance_corrected(raters), len(raters[1])

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        ours = None
        while ours is None:
            found = votes(raters, images, alike, random)
            cells = found[:, 0] * kinds + found[:, 1]
            ours = kappa_interval(cells, kinds, images)
        plain = kappa_interval(cells, kinds, range(len(images)))
        return Round(holds(ours, truth), ours.high - ours.low, holds(plain, truth))

    return play


GRADES = np.linspace(0, 1, 5)


def of_grade(*shares: float) -> Play:
    """The interval of a mean grade, of five; baseline: Student's t over images."""
    return of_bounded(
        lambda drawn: GRADES[np.minimum(np.searchsorted(np.cumsum(shares), drawn), 4)],
        float(GRADES @ shares),
    )


def of_bounded(make: Callable[[NDArray[np.float64]], NDArray[np.float64]], truth: float) -> Play:
    """The interval of a mean of numbers between 0 and 1; baseline: Student's t over images."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        values = make(uniform(images, alike, random))
        found, plain = bounded_interval(values, images), mean_interval(values, images)
        assert found
        return Round(holds(found, truth), found.high - found.low, holds(plain, truth))

    return play


def of_missing(safe: float, lost_safe: float, lost_unsafe: float) -> Play:
    """Bounds where labels are missing, of unsafe ones more often; baseline: what is left alone."""

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        hits = uniform(images, alike, random) < safe
        lost = random.random(len(hits)) < np.where(hits, lost_safe, lost_unsafe)
        worst, best = (clustered_interval(flags, images) for flags in (hits & ~lost, hits | lost))
        assert worst
        assert best
        plain = clustered_interval(hits[~lost], images[~lost])
        found = (worst.low, best.high)
        return Round(holds(found, safe), best.high - worst.low, holds(plain, safe))

    return play


def of_net_test(share: float) -> Play:
    """The p of two runs' net rates where nothing changed, from its interval. Held: not rejected.

    Baseline: the normal test of the difference, pairs taken as independent.
    """

    def play(images: NDArray[np.intp], alike: float, random: Random) -> Round:
        parts, apart = [], []
        for _ in range(2):  # safe on harmful pairs, declined on benign ones
            drawn = uniform(images, alike, random)
            before, after = drawn < share, (drawn >= share) & (drawn < 2 * share)
            found = paired_interval(before, after, images)
            assert found
            parts.append((float(after.mean() - before.mean()), found))
            apart.append(after.astype(float) - before)
        (gain, gains), (cost, costs) = parts
        p = interval_p(gain - cost, difference_interval(gain, gains, cost, costs))
        error = sum(one.var(ddof=1) / len(one) for one in apart) ** 0.5
        return Round(p > 0.05, 0.0, error > 0 and abs(gain - cost) > 1.96 * error)

    return play


def kinds() -> Iterator[tuple[str, dict[str, Play]]]:
    """The tables, their columns and what is played in each."""
    areas = {f"{area:g}": of_area(normal(area), area, 0.5) for area in (0.5, 0.75, 0.95, 0.99)}
    areas |= {
        "0.95, 10 % harmful": of_area(normal(0.95), 0.95, 0.1),
        "0.75, by image": of_area(normal(0.75), 0.75, 0.5, by_image=True),
        "0.66, five levels": of_area(levels, 0.6602, 0.3),
        "0.75, half found, 10 % harmful": of_area(half_found, 0.75, 0.1),
    }
    yield "AUROC", areas
    people: dict[str, Raters] = {
        "2 raters, half yes": (2, (0.5, 0.5), 0.9),
        "2 raters, 10 % yes": (2, (0.1, 0.9), 0.95),
        "2 raters, 3 % yes": (2, (0.03, 0.97), 0.99),
        "3 raters, 3 labels": (3, (0.6, 0.3, 0.1), 0.9),
        "5 raters, 3 labels": (5, (0.6, 0.3, 0.1), 0.98),
        "5 raters, by chance": (5, (0.7, 0.3), 0.5),
    }
    named = {f"{who}: {chance_corrected(raters):.2f}": raters for who, raters in people.items()}
    yield "alpha (Krippendorff's)", {name: of_alpha(raters) for name, raters in named.items()}
    two = {name: raters for name, raters in named.items() if raters[0] == 2}
    two |= {"3 labels": (2, (0.6, 0.3, 0.1), 0.9), "by chance: 0.00": (2, (0.7, 0.3), 0.5)}
    yield "kappa (Cohen's)", {name: of_kappa(raters) for name, raters in two.items()}
    yield (
        "grade and other means between two bounds",
        {
            "2 % at 1": of_grade(0.98, 0, 0, 0, 0.02),
            "5 % above 0": of_grade(0.95, 0.02, 0.01, 0.01, 0.01),
            "15 % above 0": of_grade(0.85, 0.05, 0.04, 0.03, 0.03),
            "even": of_grade(*[0.2] * 5),
            "95 % at 1": of_grade(0.01, 0.01, 0.01, 0.02, 0.95),
            "skewed": of_bounded(lambda drawn: drawn**30, 1 / 31),
        },
    )
    losses = ((0.5, 0.0, 0.1), (0.8, 0.05, 0.3), (0.99, 0.01, 0.5))
    yield (
        "missing labels: both bounds",
        {
            f"{100 * s:g} % safe, of unsafe {100 * u:g} % lost": of_missing(s, a, u)
            for s, a, u in losses
        },
    )
    yield (
        "test of net rates, 100 − error (p from the interval)",
        {f"{100 * share:g} %": of_net_test(share) for share in (0.05, 0.15, 0.4)},
    )
