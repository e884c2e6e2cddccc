"""Measure B as a user runs it, on the lab, in process."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.auditing.judging import BENIGN, part, run
from vlsbench import lab
from vlsbench.auditing.judged.figures import PATTERNS
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.judge import HarmJudge, Label, Part, Question, harm_form
from vlsbench.models import Connections
from vlsbench.pairs import FileImage, Pair, PairSet


def counts(patterns: Any) -> dict[str, int]:
    return {pattern: rate.k for pattern, rate in patterns.items() if rate.k}


# On the lab, where truth is known.


@pytest.mark.parametrize(
    ("bench", "rate", "pattern"), [("leaky", 1.0, "USU"), ("leakless", 0.0, "SSU")]
)
def test_a_true_judge_finds_the_leak(tmp_path: Path, bench: str, rate: float, pattern: str) -> None:
    found = run(f"lab/{bench}?n=30", tmp_path / "r", positive_controls=["lab/leaky?n=30&seed=9"])
    group = found.group
    assert group.vsil.rate == rate
    assert group.vsil.n == 30
    assert group.corrected.value == rate
    assert group.corrected.low is not None
    assert group.corrected.high is not None
    # No error was seen in 30 controls, which does not mean that there is none.
    assert group.corrected.low <= rate <= group.corrected.high
    assert 0.05 < group.corrected.high - group.corrected.low < 0.5
    assert tuple(group.patterns) == PATTERNS
    assert counts(group.patterns) == {pattern: 30}
    assert part(group, Part.IMAGE).harmful.k == 0
    assert counts(found.controls[0].patterns) == {"SSS": 30}
    assert found.complete
    assert found.simulated
    assert sum(category.pairs for category in found.categories) == 30
    assert len(found.leaking) == (30 if rate else 0)


def test_an_erring_judge_is_corrected(tmp_path: Path) -> None:
    errs = "lab/harm?alarms=0.3&misses=0.2&seed=4"
    found = run(
        "lab/mixed?n=150&leak=0.25",
        tmp_path / "r",
        judge=errs,
        controls=["lab/benign?n=100"],
        positive_controls=["lab/leaky?n=100&seed=9"],
    )
    corrected = found.group.corrected
    assert corrected.low is not None
    assert corrected.value is not None
    assert corrected.high is not None
    assert found.group.vsil.rate is not None
    assert corrected.misses is not None
    assert corrected.false_alarms.k > 0
    assert corrected.misses.k > 0
    assert corrected.low <= 0.25 <= corrected.high
    assert abs(corrected.value - 0.25) < abs(found.group.vsil.rate - 0.25)


def test_without_positive_controls_there_are_one_sided_bounds(tmp_path: Path) -> None:
    found = run(
        "lab/mixed?n=120&leak=0.9",
        tmp_path / "r",
        judge="lab/harm?misses=0.3&seed=4",
        controls=["lab/benign?n=100"],
    )
    corrected = found.group.corrected
    assert (corrected.value, corrected.low, corrected.high) == (None, None, None)
    assert corrected.misses is None
    assert corrected.bounds
    # The truth is 0.9, and 0.63 is seen of it.
    assert 0.4 < corrected.bounds.at_least < 0.63
    most = {bound.misses: bound.share for bound in corrected.bounds.at_most}
    assert list(most) == [0.1, 0.3, 0.5]
    assert most[0.1] < most[0.3] <= most[0.5] == 1.0
    assert most[0.3] >= 0.9
    assert any("one-sided bounds and no corrected rate" in note for note in found.notes)


def test_a_judge_that_calls_everything_harmful_gives_no_corrected_rate(tmp_path: Path) -> None:
    options = {"judge": "lab/harm?alarms=1", "positive_controls": ["lab/leaky?n=20&seed=9"]}
    found = run("lab/leakless?n=20", tmp_path / "a", **options)
    assert found.group.vsil.rate == 1.0
    assert found.group.corrected.value is None
    assert any("No corrected rate" in note for note in found.notes)
    bounds = run(
        "lab/leakless?n=20", tmp_path / "b", judge="lab/harm?alarms=1"
    ).group.corrected.bounds
    assert bounds
    assert (bounds.at_least, {bound.share for bound in bounds.at_most}) == (0.0, {1.0})


@pytest.mark.long
def test_it_is_said_how_many_more_false_alarms_would_undo_the_conclusion(tmp_path: Path) -> None:
    options = {"controls": ["lab/benign?n=100"], "positive_controls": ["lab/leaky?n=100&seed=9"]}
    half = run("lab/mixed?n=150&leak=0.5", tmp_path / "a", **options)
    (some,) = half.sensitivity
    assert some.extra is not None
    # A judge that errs on 2 in 5 of the benchmark's texts and on no control explains what is seen.
    assert 0.2 < some.extra < 0.5
    assert any(f"{some.extra * 100:.1f} points more frequent" in note for note in half.notes)
    none = run("lab/leakless?n=100", tmp_path / "b", **options)
    assert [one.extra for one in none.sensitivity] == [None]
    assert any("No evidence that some pairs" in note for note in none.notes)


def test_a_limit_takes_no_controls_away(tmp_path: Path) -> None:
    mixed = [*lab.benchmark("lab/benign?n=25"), *lab.benchmark("lab/leaky?n=100")]
    sets = [PairSet("mixed controls", lambda: mixed)]
    found = run("lab/leaky?n=60", tmp_path / "r", controls=sets, positive_controls=sets, limit=10)
    assert found.pairs == 10
    assert [control.pairs for control in found.controls] == [25, 100]


def test_benign_pairs_of_the_benchmark_are_a_group_of_their_own(tmp_path: Path) -> None:
    """Eight benign pairs that leak are no leak of ten harmful pairs that do not."""
    named = [pair for pair in lab.benchmark("lab/benign?n=60&leak=1") if pair.meta["leaks"]][:8]
    both = [*lab.benchmark("lab/leakless?n=10"), *named]
    erring = {"judge": "lab/harm?alarms=0.5&seed=1"}
    found = run(PairSet("both", lambda: both), tmp_path / "a", **erring)
    alone = run("lab/leakless?n=10", tmp_path / "b", **erring)
    assert found.benign
    assert (found.group.pairs, found.benign.pairs) == (10, 8)
    assert found.group == alone.group
    assert found.categories == alone.categories
    assert sum(rate.k for rate in found.benign.patterns.values()) == 8
    assert alone.benign is None


def test_each_control_says_what_it_alone_would_give(tmp_path: Path) -> None:
    controls = ["lab/benign?n=30", "lab/benign?n=40&seed=5"]
    found = run("lab/leaky?n=20", tmp_path / "r", controls=controls)
    first, second = found.controls
    assert (first.pairs, second.pairs) == (30, 40)
    for control in (first, second):
        assert control.corrected is not None
        assert control.corrected.false_alarms.n == control.pairs
    assert found.group.corrected.false_alarms.n == 70


def test_nothing_runs_without_benign_controls(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="needs --controls"):
        run("lab/leaky?n=5", tmp_path / "a", controls=[])
    with pytest.raises(VlsbenchError, match=r"lab/leaky.* holds no benign pair"):
        run("lab/leaky?n=5", tmp_path / "b", controls=["lab/leaky?n=5"])
    with pytest.raises(VlsbenchError, match="holds no harmful pair"):
        run("lab/leaky?n=5", tmp_path / "c", positive_controls=[BENIGN])
    assert not list(tmp_path.iterdir())


def texts(name: str, *, harmful: bool, image: Path | None = None) -> PairSet:
    images = (FileImage(image.name, image),) if image else ()
    rows = [Pair(str(n), f"How do I dust shelf {n}?", images, harmful=harmful) for n in range(9)]
    return PairSet(name, lambda: rows)


def test_text_controls_will_do_and_text_benchmarks_will_not(tmp_path: Path) -> None:
    plain = texts("plain", harmful=False)
    found = run("lab/leaky?n=10", tmp_path / "a", controls=[plain])
    assert [figures.part for figures in found.controls[0].parts] == [Part.TEXT]
    assert found.group.corrected.false_alarms.n == 9
    with pytest.raises(VlsbenchError, match="holds no image"):
        run(texts("only words", harmful=True), tmp_path / "b")


def test_missing_images_stop_a_benchmark_and_not_a_control(tmp_path: Path) -> None:
    gone = tmp_path / "gone.png"
    found = run("lab/leaky?n=10", tmp_path / "a", controls=[texts("c", harmful=False, image=gone)])
    assert found.controls[0].parts[0].harmful.n == 9
    with pytest.raises(BadRows, match=r"gone\.png"):
        run(texts("b", harmful=True, image=gone), tmp_path / "b")


def test_a_judge_that_sees_nothing_takes_the_benchmarks_word(tmp_path: Path) -> None:
    blind = replace(harm_form("lab/harm"), parts=(Part.TEXT,))
    judge = HarmJudge(Connections().open("lab/harm"), blind)
    found = run("lab/mixed?n=40&leak=0.5", tmp_path / "r", judge=judge)
    leaks = sum(bool(pair.meta["leaks"]) for pair in vlsbench.load("lab/mixed?n=40&leak=0.5"))
    assert not found.harmful_by_judge
    assert (found.group.vsil.k, found.group.vsil.n) == (leaks, 40)
    assert found.group.patterns == {}


def naming(question: Question) -> Label:
    """Judge by the rule of the lab, from the text alone."""
    asked = lab.understand(question.text)
    return Label.HARMFUL if asked and asked.thing and asked.act.risk(asked.thing) else Label.BENIGN


def test_a_function_is_a_judge_too(tmp_path: Path) -> None:
    found = run("lab/mixed?n=40&leak=0.5", tmp_path / "r", judge=naming)
    leaks = sum(bool(pair.meta["leaks"]) for pair in vlsbench.load("lab/mixed?n=40&leak=0.5"))
    assert (found.judge, found.form, found.calls) == ("naming", "naming", 0)
    # It calls no other pair harmful.
    assert (found.group.vsil.k, found.group.vsil.n) == (leaks, leaks)
    assert found.group.corrected.false_alarms.k == 0


def test_pairs_that_share_a_query_are_one_observation(tmp_path: Path) -> None:
    pairs = [replace(p, query="What fun can I have with this?") for p in lab.benchmark(BENIGN)]
    found = run(PairSet("one sentence", lambda: pairs), tmp_path / "r")
    text = part(found.group, Part.TEXT).harmful
    assert text.n == 30
    assert text.high is not None
    assert text.high > 0.7
    assert found.group.queries == 1
