"""Guards evaluated: detection, false alarms, joint-only misses; offline and over real HTTP."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from vlsbench import lab
from vlsbench.auditing.judged import Finding, JudgedPair
from vlsbench.config import Budget, Sample
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Output
from vlsbench.guarding import GuardSummary, evaluate_guard, plan_guard, read_guard
from vlsbench.guarding._guard import area
from vlsbench.judge import Part
from vlsbench.pairs import Pair
from vlsbench.stats import auroc

SURE = "alarms=0&misses=0"


def run(guard: str, out: Path, bench: object = "lab/leakless?n=40", **more: object) -> GuardSummary:
    more = {"controls": ["lab/benign?n=40"], **more}
    output = Output(out=out, progress=False)
    return evaluate_guard(plan_guard(bench, guard=guard, output=output, **more))  # type: ignore[arg-type]


def test_a_guard_that_errs_nowhere_detects_all_and_alarms_at_nothing(tmp_path: Path) -> None:
    found = run(f"lab/llama-guard?{SURE}&joint=0", tmp_path / "r")
    assert (found.detection.rate, found.false_alarms.rate) == (1.0, 0.0)
    assert (found.detection.n, found.false_alarms.n) == (40, 40)
    assert found.joint_misses is not None
    # Nothing gives these pairs away alone.
    assert (found.joint_misses.k, found.joint_misses.n) == (0, 40)
    assert sum(rate.n for rate in found.categories.values()) == 40
    assert (found.simulated, found.complete) == (True, True)


def test_joint_only_misses_are_pairs_that_are_safe_in_every_view(tmp_path: Path) -> None:
    found = run(f"lab/guardreasoner-vl?{SURE}&joint=1", tmp_path / "r", "lab/mixed?n=60&leak=0.5")
    leaks = sum(bool(pair.meta["leaks"]) for pair in lab.benchmark("lab/mixed?n=60&leak=0.5"))
    assert found.joint_misses is not None
    assert found.detection.k == leaks  # the text gives these away
    assert (found.joint_misses.k, found.joint_misses.n) == (60 - leaks, 60 - leaks)
    rows = [json.loads(line) for line in (tmp_path / "r" / "pairs.jsonl").open(encoding="utf-8")]
    said = [[one["harmful"] for one in row["findings"]] for row in rows if row["harmful"]]
    assert said.count([False] * 3) == 60 - leaks
    assert read_guard(tmp_path / "r" / "summary.json") == found


def test_a_guard_of_texts_says_that_it_sees_no_pair(tmp_path: Path) -> None:
    found = run(f"lab/qwen3guard?{SURE}", tmp_path / "r", "lab/leaky?n=30")
    assert (found.verdict, found.joint_misses, found.detection.rate) == (Part.TEXT, None, 1.0)
    assert any("judges texts alone" in note for note in found.notes)


@pytest.mark.parametrize("name", ["llama-guard", "qwen3guard", "guardreasoner-vl"])
def test_over_http_a_guard_says_what_it_says_in_process(name: str, tmp_path: Path) -> None:
    options = f"{name}?{SURE}&joint=0.5"
    here = run(f"lab/{options}", tmp_path / "here")
    with lab.running() as url:
        there = run(f"{options}@{url}", tmp_path / "there")
    assert (there.detection, there.false_alarms) == (here.detection, here.false_alarms)
    assert there.joint_misses == here.joint_misses
    assert here.auroc is None  # no lab guard gives scores


def test_scores_of_a_guard_have_an_area() -> None:
    pairs = [
        JudgedPair(
            str(n),
            "",
            "",
            n % 2 == 0,
            str(n),
            "",
            "set",
            (Finding(Part.PAIR, True, "", "", n / 9),),
        )
        for n in range(10)
    ]
    found = area(pairs, Part.PAIR)
    assert found is not None
    assert found.value == 0.4  # 0, 2, 4, 6, 8 against 1, 3, 5, 7, 9: 10 of 25 above
    assert area(pairs, Part.TEXT) is None


def test_a_stopped_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    stopped = run("lab/llama-guard", tmp_path / "r", budget=Budget(max_calls=25))
    assert not stopped.complete
    assert stopped.open > 0
    whole = run("lab/llama-guard", tmp_path / "r")
    fresh = run("lab/llama-guard", tmp_path / "fresh")
    assert whole.complete
    assert whole.detection == fresh.detection
    assert whole.calls == fresh.calls + fresh.reused


def test_faults_leave_pairs_without_a_verdict_and_in_no_rate(tmp_path: Path) -> None:
    with lab.running(faults={"judge_refusal": 1.0}) as url:
        found = run(f"llama-guard@{url}", tmp_path / "r", sample=Sample(limit=10))
    assert found.unscored
    assert found.detection.n == 0


def test_what_cannot_be_asked_is_one_error(tmp_path: Path) -> None:
    text_only = [Pair("1", "Is it hot?")]
    with pytest.raises(VlsbenchError, match=r"holds no pair with what llavaguard.* \(image\)"):
        plan_guard(text_only, guard="llavaguard@http://localhost:9/v1")
    with pytest.raises(VlsbenchError, match="no form of guard 'bert'"):
        plan_guard("lab/leaky", guard="lab/llama-guard", form="bert")
    with pytest.raises(VlsbenchError, match=r"--guard-policy .*no\.txt"):
        plan_guard("lab/leaky", guard="proguard@http://x/v1", policy=tmp_path / "no.txt")
    with pytest.raises(VlsbenchError, match="judge offline labels replies"):
        plan_guard("lab/leaky", guard="offline")
    with pytest.raises(VlsbenchError, match="holds no benign pair"):
        plan_guard("lab/leaky", guard="lab/llama-guard", controls=["lab/leakless"])


def test_the_area_is_how_often_a_positive_scores_higher() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(200) < 0.4
    scores = np.round(rng.normal(positive * 1.0, 1.0), 1)
    pairs = scores[positive][:, None] - scores[~positive][None, :]
    found = auroc(scores, positive, range(200))
    assert found is not None
    assert found.value == pytest.approx((pairs > 0).mean() + (pairs == 0).mean() / 2)
    assert found.low < found.value < found.high
    assert auroc(scores, np.ones(200, dtype=np.bool_), range(200)) is None
    perfect = auroc(positive.astype(float), positive, range(200))
    assert perfect is not None
    assert perfect.value == perfect.high == 1.0
    assert 0.9 < perfect.low < 1.0


@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0])
def test_its_interval_covers_with_observations_that_share_an_image(shift: float) -> None:
    rng = np.random.default_rng(1)
    truth = float(np.mean(rng.normal(shift, 2**0.5, 200_000) > rng.normal(0, 2**0.5, 200_000)))
    covered = 0
    for _ in range(200):
        clusters = np.repeat(np.arange(40), 2)
        positive = np.tile([True, False], 40) ^ (rng.random(80) < 0.2)
        scores = rng.normal(0, 1, 40)[clusters] + rng.normal(0, 1, 80) + shift * positive
        found = auroc(scores, positive, clusters)
        assert found is not None
        covered += found.low <= truth <= found.high
    assert covered >= 182  # of 200; 190 are expected, and the binomial's 0.5 % point is 182


@pytest.mark.parametrize("in_an_image", [1, 4])
def test_its_interval_covers_where_few_pairs_are_harmful(in_an_image: int) -> None:
    """It covered 81 % of 100 pairs, 10 % of them harmful, and 76 % where these share images."""
    rng = np.random.default_rng(3)
    images = np.arange(100) // in_an_image
    shift, covered, rounds = 2**0.5 * norm.ppf(0.95), 0, 0
    while rounds < 300:
        positive = (rng.random(100) < 0.1)[images]
        scores = (rng.normal(0, 1, 100)[images] if in_an_image > 1 else rng.normal(0, 1, 100)) + (
            shift * positive
        )
        if found := auroc(scores, positive, images):
            rounds += 1
            covered += found.low <= 0.95 <= found.high
    assert covered >= 275  # of 300; 285 are expected, and the binomial's 0.5 % point is 275
