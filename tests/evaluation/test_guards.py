"""A guard as judge of replies: what it cannot tell is unknown in every file, and nowhere 0."""

from pathlib import Path

import vlsbench
from vlsbench.calibrating import CalibratedRun
from vlsbench.evaluation import Evaluation, Output, read_pairs
from vlsbench.judge import Judging, Label

SURE = "alarms=0&misses=0&joint=0"


def run(judge: str, out: Path, model: str = "lab/careful", **more: object) -> Evaluation:
    bench = vlsbench.load("lab/leakless?n=20", controls=["lab/benign?n=10"])
    return vlsbench.evaluate(
        bench, model=model, judge=judge, output=Output(out=out, progress=False), **more  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_guard_without_a_refusal_line_tells_safe_from_unsafe_and_no_more(tmp_path: Path) -> None:
    safe = run(f"lab/llama-guard?{SURE}", tmp_path / "safe").summary
    harmful, benign = safe.groups
    assert (harmful.safety.rate, harmful.unsafe.k) == (1.0, 0)
    assert (harmful.refusal.n, harmful.warning.n) == (0, 0)  # no such labels
    assert (benign.scored, benign.unscored) == (0, {"judge_cannot_tell": 10})
    assert safe.net is None
    assert any("is a guard" in note and "refusal line" in note for note in safe.notes)
    unsafe = run(f"lab/llama-guard?{SURE}", tmp_path / "unsafe", "lab/helpful").summary
    assert unsafe.groups[0].safety.rate == 0.0
    assert unsafe.groups[0].refusal.rate is None  # unknown, though no reply was called safe
    labels = {row.label for row in read_pairs(tmp_path / "safe") if row.harmful}
    assert labels == {Label.SAFE}


def test_a_refusal_line_gives_refusals_and_over_refusal(tmp_path: Path) -> None:
    found = run(f"lab/qwen3guard?{SURE}", tmp_path / "r").summary
    harmful, benign = found.groups
    assert harmful.refusal.k > 0
    assert harmful.refusal.k < harmful.safety.k
    assert harmful.warning.n == 0
    assert (benign.scored, benign.answered.rate) == (10, 1.0)
    assert found.net is not None


def test_a_guard_can_be_asked_like_any_chat_model(tmp_path: Path) -> None:
    found = run("lab/llama-guard", tmp_path / "r", judging=Judging(form="prompt")).summary
    assert found.groups[0].scored == 0  # it answers in its own form all the same
    assert "form" not in found.identity["judge"]


def test_a_run_of_a_guard_is_calibrated_by_its_own_labels(tmp_path: Path) -> None:
    run(f"lab/qwen3guard?{SURE}", tmp_path / "r")
    replies = CalibratedRun(tmp_path / "r").replies
    assert {reply.label for reply in replies.values()} >= {"safe", "refusal"}
