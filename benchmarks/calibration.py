"""How often corrected rates hold, and how wide they are, on replies that people labelled.

    python -m benchmarks.calibration --draws 2000

Of the 2,000 answers of MSTS with eight recorded judges, and of XSTest's three models with five,
labels are drawn again and again; the truth is the rate of people's labels over all of them. The
other methods: people's labels alone (drawn at random; Wilson), the judge alone (its Wilson interval
over all replies), PPI++ (Angelopoulos, Duchi and Zrnic 2023) on the same random draw.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from vlsbench.calibrating import PILOT, Labelled, covariance, next_sizes, spread_out
from vlsbench.stats import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
XSTEST = ("gpt4_streval", "mistralguard_gpteval", "mistralguard_streval",
          "mistralinstruct_gpteval", "mistralinstruct_streval")  # fmt: skip
Z = 1.959964


@dataclass(frozen=True)
class Case:
    """Replies with people's labels and one judge's, as numbers."""

    name: str
    people: NDArray[np.intp]
    judge: NDArray[np.intp]
    clusters: NDArray[np.intp]
    rates: dict[str, tuple[int, ...]]
    """Rate → labels that count."""
    same: dict[str, tuple[int, ...]]
    """Rate → the judge's labels that count."""


def msts() -> Iterator[Case]:
    judged = pd.read_csv(DATA / "msts/data/auto_eval/english_multimodal_autoeval.csv")
    people = pd.read_csv(DATA / "msts/data/response_annotations/english_multimodal.csv")
    unsafe = people["final_label"].str.startswith("2").to_numpy().astype(np.intp)
    for name in judged:
        kinds, known = pd.factorize(judged[name])
        bad = tuple(place for place, one in enumerate(known) if one == "unsafe")
        alone = np.arange(len(unsafe))
        yield Case(str(name), unsafe, kinds, alone, {"unsafe": (1,)}, {"unsafe": bad})


def xstest() -> Iterator[Case]:
    labels = ["1", "2", "3"]
    for name in XSTEST:
        file = f"xstest/automated_evaluation_labels/xstest_v2_completions_{name}.csv"
        table = pd.read_csv(DATA / file)
        people = pd.Categorical(table["final_label"].str[0], labels).codes.astype(np.intp)
        said = table[table.columns[-1]].astype(str).str[0]
        kinds, known = pd.factorize(said.where(said.isin(labels), "none"))
        rates = {"refusal": (1,), "partial": (2,), "safe": (1, 2)}
        same = {
            rate: tuple(
                n for n, one in enumerate(known) if one in {labels[place] for place in places}
            )
            for rate, places in rates.items()
        }
        yield Case(name, people, kinds, np.arange(len(people)), rates, same)


def drawn(case: Case, n: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Draw as `vlsbench calibrate` does: a pilot, then where people and judge disagree."""
    sizes = np.bincount(case.judge)
    kinds = max(2, int(case.people.max()) + 1)
    left = [np.flatnonzero(case.judge == stratum) for stratum in range(len(sizes))]
    taken: list[list[int]] = [[] for _ in left]
    for total in (round(PILOT * n), n):
        counts = np.array([np.bincount(case.people[some], minlength=kinds) for some in taken])
        for stratum, size in enumerate(next_sizes(sizes, counts, total)):
            rest = left[stratum]
            more = spread_out(
                [0] * len(rest), list(case.clusters[rest]), size - len(taken[stratum]), random
            )
            taken[stratum] += list(rest[more])
            left[stratum] = np.delete(rest, more)
    return np.concatenate([np.array(some, dtype=np.intp) for some in taken])


def wilson(share: Any, n: float) -> tuple[Any, Any]:
    middle = (share + Z * Z / 2 / n) / (1 + Z * Z / n)
    reach = Z / (1 + Z * Z / n) * np.sqrt(share * (1 - share) / n + Z * Z / 4 / n / n)
    return middle - reach, middle + reach


def ppi(hits: NDArray[Any], guesses: NDArray[Any], others: NDArray[Any]) -> tuple[float, float]:
    """Return PPI++'s interval for a mean, as `ppi_py.ppi_mean_ci` computes it."""
    n, size = len(hits), len(others)
    spread = np.var(np.concatenate([guesses, others]))
    weight = 0.0
    if spread > 0:
        weight = np.cov(hits, guesses, ddof=0)[0, 1] / ((1 + n / size) * spread)
    weight = min(max(weight, 0.0), 1.0)
    value = weight * others.mean() + (hits - weight * guesses).mean()
    reach = Z * np.sqrt(weight**2 * others.var() / size + (hits - weight * guesses).var() / n)
    return value - reach, value + reach


Ends = tuple[Any, Any]
Twice = Callable[[np.random.Generator], tuple[Case, Case]]
"""Draws pairs that two models were asked."""


def simulated(alike: float, pairs: int = 500) -> Twice:
    def draw(random: np.random.Generator) -> tuple[Case, Case]:
        shared, found = random.random(pairs), []
        for rate in (0.3, 0.2):
            own = np.where(random.random(pairs) < alike, shared, random.random(pairs))
            people = (own < rate).astype(np.intp)
            errs = random.random(pairs) < np.where(people, 0.2, 0.1)
            judge = np.where(errs, 1 - people, people)
            found.append(Case("", people, judge, np.arange(pairs), {"unsafe": (1,)}, {}))
        return found[0], found[1]

    return draw


def resampled(one: Case, other: Case) -> Twice:
    """Return samples of the prompts that two models were asked, drawn with replacement."""

    def draw(random: np.random.Generator) -> tuple[Case, Case]:
        chosen = random.integers(0, len(one.people), len(one.people))
        found = (
            replace(case, people=case.people[chosen], judge=numbered(case.judge[chosen]))
            for case in (one, other)
        )
        return next(found), next(found)

    return draw


def twice(draw: Twice, truth: float, kinds: tuple[int, ...], draws: int, seed: int) -> str:
    """Return cells: how often the interval of a difference held it, and its mean width."""
    random = np.random.default_rng(seed)
    ends: dict[str, list[Ends]] = {"as if independent": [], "paired": []}
    for _ in range(draws):
        estimates, parts = [], []
        for case in draw(random):
            places = drawn(case, 200, random)
            found, hits = (
                Labelled(case.judge, case.clusters, places),
                np.isin(case.people[places], kinds),
            )
            estimates.append(found.corrected(hits)[0])
            parts.append(found.parts(hits))
        images = range(len(parts[0]))
        shared = covariance(parts[0], images, parts[1], images)
        for name, known in (("as if independent", 0.0), ("paired", shared)):
            difference = estimates[0].less(estimates[1], known)
            ends[name].append((difference.low, difference.high))
    cells = []
    for some in ends.values():
        lows, highs = np.array(some).T
        held = 100 * float(((lows <= truth) & (truth <= highs)).mean())
        cells.append(f"{held:.1f} ({(highs - lows).mean():.3f})")
    return " | ".join(cells)


def differences(draws: int, seed: int) -> Iterator[str]:
    """Yield rows of two models on the same pairs: simulated, and XSTest's two Mistrals."""
    for alike in (0.0, 0.5, 0.9):
        yield f"| simulated, alike {alike} | {twice(simulated(alike), 0.1, (1,), draws, seed)} |"
    cases = {case.name: case for case in xstest()}
    for judge in ("gpteval", "streval"):
        one, other = (cases[f"mistral{kind}_{judge}"] for kind in ("guard", "instruct"))
        for name, counts in one.rates.items():
            truth = float(np.isin(one.people, counts).mean() - np.isin(other.people, counts).mean())
            cells = twice(resampled(one, other), truth, counts, draws, seed)
            yield f"| XSTest, {judge}, {name} | {cells} |"


def clustered(draws: int, seed: int, n: int = 200) -> Iterator[str]:
    """Yield rows of a simulation: images are drawn too, and their pairs are alike to a degree."""
    random = np.random.default_rng([seed, n])
    for images, each in ((400, 1), (200, 2), (100, 4), (1000, 4)):
        for alike in (0.5, 1.0):
            for rate in (0.05, 0.3):
                ends: dict[str, list[Ends]] = {"ours": [], "people": []}
                for _ in range(draws):
                    clusters = np.repeat(np.arange(images), each)
                    own, shared = random.random(images * each), random.random(images)[clusters]
                    drawn_by = np.where(random.random(images * each) < alike, shared, own)
                    people = (drawn_by < rate).astype(np.intp)
                    errs = random.random(len(people)) < np.where(people, 0.2, 0.1)
                    case = Case("", people, np.where(errs, 1 - people, people), clusters, {}, {})
                    places = drawn(case, n, random)
                    found, _ = Labelled(case.judge, clusters, places).corrected(people[places] == 1)
                    ends["ours"].append((found.low, found.high))
                    some = random.permutation(len(people))[:n]
                    ends["people"].append(wilson(people[some].mean(), n))
                cells = []
                for method in ("people", "ours"):
                    lows, highs = np.array(ends[method]).T
                    held = 100 * float(((lows <= rate) & (rate <= highs)).mean())
                    cells.append(f"{held:.1f} ({(highs - lows).mean():.3f})")
                yield f"| {images:,} × {each} | {alike} | {rate} | " + " | ".join(cells) + " |"


def measure(case: Case, n: int, draws: int, seed: int) -> Iterator[str]:
    random = np.random.default_rng([seed, n, *map(ord, case.name)])
    ends: dict[tuple[str, str], list[Ends]] = {}
    for _ in range(draws):
        places = drawn(case, n, random)
        found = Labelled(case.judge, case.clusters, places)
        mixed = random.permutation(len(case.people))
        some, others = mixed[:n], mixed[n:]
        for rate, counts in case.rates.items():
            people, said = np.isin(case.people, counts), np.isin(case.judge, case.same[rate])
            corrected, _ = found.corrected(people[places])
            ends.setdefault((rate, "ours"), []).append((corrected.low, corrected.high))
            ends.setdefault((rate, "human"), []).append(wilson(people[some].mean(), n))
            by_ppi = ppi(people[some] * 1.0, said[some] * 1.0, said[others] * 1.0)
            ends.setdefault((rate, "ppi"), []).append(by_ppi)
    for rate, counts in case.rates.items():
        truth = float(np.isin(case.people, counts).mean())
        alone = float(np.isin(case.judge, case.same[rate]).mean())
        low, high = wilson(alone, len(case.people))
        cells = [f"{alone:.3f} {'yes' if low <= truth <= high else '**no**'}"]
        widths = {}
        for method in ("human", "ppi", "ours"):
            lows, highs = np.array(ends[rate, method]).T
            widths[method] = float((highs - lows).mean())
            held = 100 * float(((lows <= truth) & (truth <= highs)).mean())
            cells.append(f"{held:.1f} ({widths[method]:.3f})")
        ratio = widths["ours"] / widths["human"]
        yield (
            f"| {case.name} | {rate} {truth:.3f} | {n} | " + " | ".join(cells) + f" | {ratio:.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--seed", type=int, default=13)
    given = parser.parse_args()
    sets: dict[str, tuple[Callable[[], Iterator[Case]], tuple[int, ...]]] = {
        "MSTS": (msts, (100, 200)), "XSTest": (xstest, (100, 200))
    }  # fmt: skip
    for title, (cases, sizes) in sets.items():
        print(f"\n### {title}, {given.draws:,} draws, seed {given.seed}\n")
        print(
            "| judge | truth | labels | judge alone, holds | people alone | PPI++ | corrected "
            "| width ÷ people's |"
        )
        print("| --- | --- | ---: | --- | ---: | ---: | ---: | ---: |")
        for n in sizes:
            for case in cases():
                for line in measure(case, n, given.draws, given.seed):
                    print(line, flush=True)
    print(f"\n### Pairs that share images, simulated, {given.draws:,} draws of 200 labels\n")
    print("| images × pairs | alike | rate | people alone, as if independent | corrected |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for line in clustered(given.draws, given.seed):
        print(line, flush=True)
    print(f"\n### Two models on the same pairs, {given.draws:,} draws of 200 labels of each\n")
    print("| pairs | as if independent | paired |")
    print("| --- | ---: | ---: |")
    for line in differences(given.draws, given.seed):
        print(line, flush=True)


if __name__ == "__main__":
    main()
