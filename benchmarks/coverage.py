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

import numpy as np
from scipy.special import ndtri

from benchmarks import coverage_estimates, coverage_plays
from benchmarks.coverage_plays import Play, Shape, holds
from vlsbench.stats import clustered_interval, paired_interval, paired_p

SIZES = (30, 100, 400, 2241)
IN_AN_IMAGE = (1, 2, 4, 10)
ALIKE = (0.0, 0.5, 1.0)
COVERS, ERRS = 0.93, 0.055


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
        row = f"| {shape} | {' | '.join(cells)} | {100 * min(all_held):.1f} | {100 * plain:.1f} |"
        print(row, flush=True)
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
                    rows.append((holds(found, rate), found.high - found.low, holds(plain, rate)))
                held, width, alone = (float(np.mean(c)) for c in zip(*rows, strict=True))
                cells.append((held, width, alone))
            worst = min(cells)
            good &= worst[0] >= COVERS - 2 * (COVERS * (1 - COVERS) / rounds) ** 0.5
            print(
                f"| {images:,} × {queries} | {rate:g} | {100 * worst[0]:.1f} ({worst[1]:.2f}) "
                f"| {100 * worst[2]:.1f} |"
            )
    return good


def crossed_changes(rounds: int, seed: int) -> bool:
    """The same of changes and of the test of none; baseline: images alone."""
    print("\n### change, clustered two ways: intervals, and 100 − error of the test\n")
    print("| images × queries | −20 +5 %: held (width) | −20 +20 %: held (width) "
          "| test | images alone |\n| --- | ---: | ---: | ---: | ---: |")  # fmt: skip
    good = True
    for images, queries in ((100, 3), (100, 10), (300, 30), (400, 400), (1957, 200)):
        n = 2 * max(images, queries)
        cells: dict[str, list[tuple[float, float]]] = {}
        for parts in ((0.5, 0.5), (0.1, 0.8), (0.8, 0.1)):
            random = np.random.default_rng([seed, images, queries])
            rows: dict[str, list[tuple[float, float]]] = {}
            for _ in range(rounds):
                of_image, of_query = random.integers(0, images, n), random.integers(0, queries, n)
                drawn = (
                    parts[0] ** 0.5 * random.standard_normal(images)[of_image]
                    + parts[1] ** 0.5 * random.standard_normal(queries)[of_query]
                    + max(0.0, 1 - sum(parts)) ** 0.5 * random.standard_normal(n)
                )
                before = drawn < ndtri(0.2)
                for gained in (0.05, 0.2):
                    after = drawn > -ndtri(gained)
                    found = paired_interval(before, after, of_image, of_query)
                    assert found
                    held = holds(found, gained - 0.2), found.high - found.low
                    rows.setdefault(f"{gained}", []).append(held)
                kept = paired_p(before, after, of_image, of_query) > 0.05
                rows.setdefault("test", []).append((kept, 0.0))
                rows.setdefault("alone", []).append((paired_p(before, after, of_image) > 0.05, 0.0))
            for name, all_of in rows.items():
                cells.setdefault(name, []).append(tuple(np.mean(all_of, axis=0)))
        worst = {name: min(all_of) for name, all_of in cells.items()}
        for name, least in (("0.05", COVERS), ("0.2", COVERS), ("test", 1 - ERRS)):
            good &= worst[name][0] >= least - 2 * (least * (1 - least) / rounds) ** 0.5
        shown = [f"{100 * worst[name][0]:.1f} ({worst[name][1]:.2f})" for name in ("0.05", "0.2")]
        shown += [f"{100 * worst[name][0]:.1f}" for name in ("test", "alone")]
        print(f"| {images:,} × {queries} | {' | '.join(shown)} |", flush=True)
    return good


def over_seeds(rounds: int, seed: int) -> bool:
    """The lab's means over training seeds and its test of equivalence, with 54 pairs a seed."""
    from vlsbench.lab.vlm.table import MARGIN, equivalence, mean_of

    print("\n### seeds: t-interval of the lab's means, and 100 − error of its equivalence test\n")
    rates = (0.5, 0.9, 0.98)
    print(f"| seeds | {' | '.join(f'{rate:g}: held (width)' for rate in rates)} "
          "| equivalence |\n| ---: | ---: | ---: | ---: | ---: |")  # fmt: skip
    good = True
    for seeds in (2, 3, 5, 10):
        random = np.random.default_rng([seed, seeds])

        def drawn(rate: float) -> list[float]:
            own = random.beta(20 * rate, 20 * (1 - rate), seeds)  # noqa: B023
            return [float(share) for share in random.binomial(54, own) / 54]  # noqa: B023

        cells = []
        for rate in rates:
            means = [mean_of(drawn(rate)) for _ in range(rounds)]
            ends = [(one.low or 0.0, one.high or 0.0) for one in means]
            held = float(np.mean([holds(one, rate) for one in ends]))
            cells.append(f"{100 * held:.1f} ({np.mean([b - a for a, b in ends]):.2f})")
            good &= held >= COVERS - 2 * (COVERS * (1 - COVERS) / rounds) ** 0.5
        shown = [
            equivalence([a - b for a, b in zip(drawn(0.7), drawn(0.7 - MARGIN), strict=True)]).shown
            for _ in range(rounds)
        ]
        wrong = float(np.mean(shown))
        good &= wrong <= ERRS + 2 * (ERRS * (1 - ERRS) / rounds) ** 0.5
        print(f"| {seeds} | {' | '.join(cells)} | {100 * (1 - wrong):.1f} |", flush=True)
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
    for name, plays in (*coverage_plays.kinds(), *coverage_estimates.kinds()):
        if not given.only or name.split()[0] in given.only:
            good &= table(name, plays, given.rounds, given.seed, shapes)
    if not given.only or "crossed" in given.only:
        good &= crossed(given.rounds, given.seed)
        good &= crossed_changes(given.rounds, given.seed)
    if not given.only or "seeds" in given.only:
        good &= over_seeds(given.rounds, given.seed)
    if not given.only or "worse" in given.only:
        good &= worse_is_never_better(given.seed)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
