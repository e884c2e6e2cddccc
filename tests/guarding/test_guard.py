"""Guards evaluated: detection, false alarms, joint-only misses; offline and over real HTTP."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

from vlsbench import lab
from vlsbench.config import Budget, Sample
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Output
from vlsbench.guarding import GuardSummary, evaluate_guard, plan_guard, read_guard
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
    mine, text, image, all_flagged = found.ways
    assert (mine.detection.rate, mine.false_alarms.rate) == (1.0, 0.0)
    assert mine.gap is not None
    assert mine.gap.value == 1.0
    # Nothing gives these pairs away alone.
    assert (text.detection.k, image.detection.k) == (0, 0)
    assert (all_flagged.detection.rate, all_flagged.false_alarms.rate) == (1.0, 1.0)
    assert all_flagged.gap is not None
    assert all_flagged.gap.value == 0.0
    assert found.joint is not None
    assert (found.joint.alone_safe.k, found.joint.missed.k) == (40, 0)
    assert (found.harmful, found.benign, found.simulated, found.complete) == (40, 40, True, True)


def test_joint_only_misses_are_pairs_that_are_safe_in_every_view(tmp_path: Path) -> None:
    found = run(f"lab/guardreasoner-vl?{SURE}&joint=1", tmp_path / "r", "lab/mixed?n=60&leak=0.5")
    leaks = sum(bool(pair.meta["leaks"]) for pair in lab.benchmark("lab/mixed?n=60&leak=0.5"))
    assert found.joint is not None
    assert found.ways[0].detection.k == leaks  # the text gives these away
    assert (found.joint.missed.k, found.joint.missed.n) == (60 - leaks, 60 - leaks)
    assert found.joint.alone_safe.n == 60
    rows = [json.loads(line) for line in (tmp_path / "r" / "pairs.jsonl").open(encoding="utf-8")]
    missed = [
        row["id"]
        for row in rows
        if row["harmful"] and not any(one["harmful"] for one in row["findings"])
    ]
    assert missed == [pair.id for pair in found.misses]
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert missed[0] in page
    assert read_guard(tmp_path / "r" / "summary.json") == found


def test_a_sample_brings_the_benign_twins_of_its_pairs(tmp_path: Path) -> None:
    harmful = list(lab.benchmark("lab/leakless?n=30"))
    benign = [
        replace(pair, id=f"{one.id}/safe", twin=one.id)
        for pair, one in zip(lab.benchmark("lab/benign?n=30"), harmful, strict=True)
    ]
    pairs, few = [*harmful, *benign], Sample(limit=20)
    found = run(f"lab/llama-guard?{SURE}", tmp_path / "r", pairs, controls=[], sample=few)
    rows = [json.loads(line) for line in (tmp_path / "r" / "pairs.jsonl").open(encoding="utf-8")]
    drawn = {row["id"] for row in rows}
    assert all(f"{row['id']}/safe" in drawn for row in rows if row["harmful"])
    assert found.harmful + found.benign == len(drawn) > 20
    assert found.ways[0].false_alarms.rate == 0.0


def test_a_guard_of_texts_says_that_it_sees_no_pair(tmp_path: Path) -> None:
    found = run(f"lab/qwen3guard?{SURE}", tmp_path / "r", "lab/leaky?n=30")
    assert (found.verdict, found.joint, found.ways[0].detection.rate) == (Part.TEXT, None, 1.0)
    assert [way.name for way in found.ways] == ["the guard", "flag everything"]
    assert any("judges texts alone" in note for note in found.notes)


@pytest.mark.parametrize("name", ["llama-guard", "qwen3guard", "guardreasoner-vl", "moderation"])
def test_over_http_a_guard_says_what_it_says_in_process(name: str, tmp_path: Path) -> None:
    options = f"{name}?{SURE}&joint=0.5"
    here = run(f"lab/{options}", tmp_path / "here")
    with lab.running() as url:
        there = run(f"{options}@{url}", tmp_path / "there")
    assert there.ways == here.ways
    assert there.joint == here.joint
    assert there.auroc == here.auroc
    assert (here.auroc is not None) == (name == "moderation")


def test_a_stopped_run_goes_on_and_pays_for_nothing_twice(tmp_path: Path) -> None:
    stopped = run("lab/llama-guard", tmp_path / "r", budget=Budget(max_calls=25))
    assert not stopped.complete
    assert stopped.open > 0
    whole = run("lab/llama-guard", tmp_path / "r")
    fresh = run("lab/llama-guard", tmp_path / "fresh")
    assert whole.complete
    assert (whole.ways, whole.calls) == (fresh.ways, fresh.calls + fresh.reused)


def test_faults_leave_pairs_without_a_verdict_and_in_no_rate(tmp_path: Path) -> None:
    with lab.running(faults={"judge_refusal": 1.0}) as url:
        found = run(f"llama-guard@{url}", tmp_path / "r", sample=Sample(limit=10))
    assert found.unscored
    assert found.ways[0].detection.n == 0
    assert found.ways[0].gap is None


def test_hostile_queries_are_escaped_on_the_page(tmp_path: Path) -> None:
    image = next(iter(lab.benchmark("lab/leakless?n=1"))).images
    pairs = [Pair("<b>1</b>", "<script>alert(1)</script> {{ 7 * 7 }}", image, "<i>c</i>")]
    run(f"lab/llama-guard?{SURE}", tmp_path / "r", pairs, controls=[])
    page = (tmp_path / "r" / "report.html").read_text("utf-8")
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


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
