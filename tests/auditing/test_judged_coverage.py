"""On the lab truth is known: does the corrected VSIL rate's interval hold it?

`pytest tests/auditing/test_judged_coverage.py -m slow -s` prints the table of docs/judged.md.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

import vlsbench
from vlsbench import lab
from vlsbench.auditing import AuditOutput
from vlsbench.auditing.judged.figures import Controls, Corrected, Finding, JudgedPair
from vlsbench.auditing.judged.prevalence import Sample, bounds, corrected_share, sensitivity
from vlsbench.judge import Part
from vlsbench.lab.judge import HARM, answer
from vlsbench.lab.task import Rates, read_options
from vlsbench.stats import Interval, difference_interval

SEEDS = 100
LEAKS = (0.0, 0.1, 0.25, 0.5, 0.9)
LEAST = 93


def labelled(bench: str, errors: str) -> list[JudgedPair]:
    """Label a lab benchmark as `lab/harm` does, without a run around it."""
    rows, rates = [], Rates(read_options("harm", errors, HARM))
    for pair in lab.benchmark(bench):
        risky, thing = bool(pair.meta["risky"]), str(pair.meta["object"])
        named = risky and bool(pair.meta["leaks"])
        labels = (
            (Part.TEXT, answer(rates, named, Part.TEXT, pair.query, "")),
            (Part.PAIR, answer(rates, risky, Part.PAIR, pair.query, thing)),
        )
        rows.append(
            JudgedPair(
                set=bench,
                id=pair.id,
                category=pair.category,
                subcategory=pair.subcategory,
                harmful=pair.harmful,
                cluster=pair.cluster,
                query=pair.query,
                findings=tuple(Finding(part, label, "", "") for part, label in labels),
            )
        )
    return rows


controls = cache(labelled)


def measure(leak: float, seed: int, errors: str, pairs: int = 200) -> Corrected:
    bench = labelled(f"lab/mixed?n={pairs}&leak={leak}&seed={seed}", errors)
    benign = controls(f"lab/benign?n={pairs}&seed={seed}", errors)
    positive = controls(f"lab/leaky?n={pairs}&seed={1000 + seed}", errors)
    harmful = [row for row in bench if row.harmful_by(Part.PAIR)]
    return Controls(benign, positive).correct(harmful)


def covered(leak: float, alarms: float, misses: float, pairs: int = 200) -> tuple[int, float]:
    """Return how many intervals hold the planted share, and their mean width."""
    found = [
        measure(leak, seed, f"alarms={alarms}&misses={misses}&seed={seed}", pairs)
        for seed in range(SEEDS)
    ]
    inside, widths = 0, []
    for one in found:
        assert one.low is not None
        assert one.high is not None
        inside += one.low <= leak <= one.high
        widths.append(one.high - one.low)
    return inside, float(np.mean(widths))


@pytest.mark.long
@pytest.mark.parametrize("leak", LEAKS)
def test_the_interval_holds_the_planted_share(leak: float) -> None:
    inside, width = covered(leak, 0.05, 0.05, pairs=80)
    assert inside >= LEAST
    assert width < 0.55


@pytest.mark.long
def test_runs_hold_it_too(tmp_path: Path) -> None:
    """The same through prompts, images, answers and ledger, at one share and seed."""
    card = vlsbench.audit(
        "lab/mixed?n=60&leak=0.25&seed=1",
        measures=["judged"],
        judge="lab/harm?alarms=0.05&misses=0.05&seed=1",
        controls=["lab/benign?n=60&seed=1"],
        positive_controls=["lab/leaky?n=60&seed=1001"],
        output=AuditOutput(out=tmp_path, progress=False),
    ).card
    assert card.judged
    found = card.judged.group.corrected
    assert found == measure(0.25, 1, "alarms=0.05&misses=0.05&seed=1", pairs=60)
    assert found.low is not None
    assert found.high is not None
    assert found.low <= 0.25 <= found.high


@pytest.mark.slow
def test_table_of_the_docs() -> None:
    print("\n| planted | false alarms | misses | pairs | intervals that hold it | mean width |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: |")
    least = SEEDS
    for alarms, misses in ((0.0, 0.0), (0.05, 0.05), (0.2, 0.1)):
        for leak in LEAKS:
            for pairs in (200, 800):
                inside, width = covered(leak, alarms, misses, pairs)
                least = min(least, inside)
                print(f"| {leak} | {alarms} | {misses} | {pairs} | {inside}/100 | {width:.3f} |")
    assert least >= LEAST


@pytest.mark.long
def test_independent_texts_are_covered_at_the_stated_level() -> None:
    rng = np.random.default_rng(5)
    rounds, inside, widths, least = 400, 0, [], []
    for _ in range(rounds):
        truth, alarms, misses = rng.uniform(0, 1), rng.uniform(0, 0.3), rng.uniform(0, 0.3)
        rate = truth * (1 - misses) + (1 - truth) * alarms
        seen = Sample(rng.binomial(300, rate) / 300, 300)
        false_alarms = Sample(rng.binomial(150, alarms) / 150, 150)
        found = corrected_share(seen, false_alarms, Sample(rng.binomial(150, misses) / 150, 150))
        assert found is not None
        inside += found.low <= truth <= found.high
        widths.append(found.high - found.low)
        # The large-sample interval of Rogan and Gladen, with the true shares known.
        telling = 1 - alarms - misses
        variance = rate * (1 - rate) / 300
        variance += ((1 - truth) ** 2 * alarms * (1 - alarms)) / 150
        variance += (truth**2 * misses * (1 - misses)) / 150
        least.append(2 * 1.96 * variance**0.5 / telling)
    assert 0.95 <= inside / rounds <= 0.99
    assert np.mean(widths) < 1.1 * np.mean(least)


@pytest.mark.long
@pytest.mark.parametrize("misses", [0.0, 0.3])
def test_bounds_without_positive_controls_hold_on_their_side(misses: float) -> None:
    rng = np.random.default_rng(7)
    rounds, above, below = 300, 0, 0
    for _ in range(rounds):
        truth, alarms = rng.uniform(0, 1), rng.uniform(0, 0.3)
        rate = truth * (1 - misses) + (1 - truth) * alarms
        seen = Sample(rng.binomial(200, rate) / 200, 200)
        found = bounds(seen, Sample(rng.binomial(100, alarms) / 100, 100))
        (most,) = [bound.share for bound in found.at_most if bound.misses == 0.3]
        above += found.at_least <= truth
        below += truth <= most
    assert min(above, below) / rounds >= 0.94


@pytest.mark.parametrize(
    ("counts", "low", "extra"),
    [
        (((0.6, 60), (0.3, 40), (0.45, 20)), 0.0, None),
        (((0.8, 100), (0.3, 60), (0.4, 60)), 1.0, 0.122),
        (((0.9, 100), (0.2, 100), (0.1, 50)), 0.853, 0.556),
    ],
)
def test_the_sensitivity_is_that_of_the_interval_where_the_judge_misses_much(
    counts: tuple[tuple[float, float], ...], low: float, extra: float | None
) -> None:
    """What leaves the interval at 0, such as errors that add up to all texts, has none."""
    seen, alarms, misses = (Sample(*one) for one in counts)
    found = corrected_share(seen, alarms, misses)
    assert found
    assert found.low == pytest.approx(low, abs=0.001)
    assert sensitivity(seen, alarms, misses).extra == (extra and pytest.approx(extra, abs=0.001))


def test_difference_of_independent_shares_is_newcombes() -> None:
    """His example: 56 of 70 against 48 of 80, method 10."""
    one, other = (
        Interval(*proportion_confint(k, n, method="wilson")) for k, n in ((56, 70), (48, 80))
    )
    found = difference_interval(0.8, one, 0.6, other)
    assert found.low == pytest.approx(0.0524, abs=5e-5)
    assert found.high == pytest.approx(0.3339, abs=5e-5)
