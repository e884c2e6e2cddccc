"""Measure C on the lab, where it is known who looks at the image."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.grouped import grouped
from vlsbench import lab
from vlsbench.auditing import AuditOutput, AuditSettings, expenses, plan_audits
from vlsbench.auditing.behaviour.comprehension import PROMPT, PROMPT_VERSION
from vlsbench.auditing.behaviour.figures import Behaviour, ViewFigures
from vlsbench.auditing.behaviour.run import BEHAVIOUR
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import read_summary
from vlsbench.models import Params
from vlsbench.pairs import FileImage, PairSet

BENIGN = "lab/benign?n=24"
HIDING = ("text", "blank", "swap", "caption", "image")


def run(bench: Any, out: Path, **options: Any) -> Behaviour:
    settings = {"judge": "lab", "controls": [BENIGN], **options}
    settings = grouped("sample", "params", "budget", **settings)
    output = AuditOutput(out=out, progress=False)
    found = vlsbench.audit(bench, measures=["behaviour"], output=output, **settings).card.behaviour
    assert found
    return found


def record(out: Path) -> Path:
    """Return the folder of the evaluations."""
    (folder,) = out.glob("behaviour-*")
    return folder


def view(found: Behaviour, name: str) -> ViewFigures:
    (figures,) = [figures for figures in found.views if figures.view == name]
    return figures


def test_a_finished_run_of_another_version_gives_no_caveat_on_benign_pairs(tmp_path: Path) -> None:
    """Its summary is kept, and words the note of a run without benign pairs in its own way."""
    options = {"model": "lab/blind", "controls": ["lab/benign?n=4"], "views": ["text"]}
    run("lab/leaky?n=4", tmp_path, **options)
    file = record(tmp_path) / "bench-full/summary.json"
    text = file.read_text("utf-8")
    assert "the set holds no benign pair" in text
    file.write_text(text.replace("the set holds no", "nobody asked any"), "utf-8")
    notes = run("lab/leaky?n=4", tmp_path, **options).notes
    assert not any(note.startswith("Over-refusal is unknown") for note in notes)


@pytest.mark.long
def test_blind_gains_nothing_from_the_image(tmp_path: Path) -> None:
    found = run("lab/mixed?n=40&leak=0.5", tmp_path, model="lab/blind")
    leaks = sum(bool(p.meta["leaks"]) for p in lab.benchmark("lab/mixed?n=40&leak=0.5"))
    assert found.gain is not None
    assert (found.gain.n, found.gain.value) == (40, 0)
    assert found.gain.p == 1.0
    assert found.shortcut is not None
    assert (found.shortcut.n, found.shortcut.value) == (leaks, 1.0)
    for name in ("text", "blank", "swap"):
        changed = found.change(name)
        assert changed is not None
        assert changed.gain.value == 0
        assert changed.survival.rate == 1.0
    # Told in words what the image shows, it sees every risk.
    caption = found.change("caption")
    assert caption is not None
    assert caption.gain.value == -(40 - leaks) / 40


@pytest.mark.long
def test_careful_gains_everything_on_leakless_pairs(tmp_path: Path) -> None:
    found = run("lab/leakless?n=40", tmp_path, model="lab/careful")
    assert found.gain is not None
    assert found.gain.value == 1.0
    assert found.gain.p is not None
    assert found.gain.p < 1e-3  # by images and queries, of which there are fewer than pairs
    assert found.shortcut is not None
    assert (found.shortcut.n, found.shortcut.value) == (40, 0.0)
    assert found.shortcut.high is not None
    assert found.shortcut.high < 0.5
    caption = found.change("caption")
    assert caption is not None
    assert caption.gain.value == 0
    assert view(found, "full").net.value == 1.0
    assert view(found, "text").net.value == 0.0


def test_a_guards_labels_count_for_their_sides(tmp_path: Path) -> None:
    def found(judge: str) -> Behaviour:
        return run(
            "lab/leakless?n=20", tmp_path / judge, model="lab/careful", judge=judge,
            controls=["lab/benign?n=8"], views=["text", "image", "comprehension"],
        )  # fmt: skip

    ours, other = found("lab"), found("lab/llama-guard")
    assert view(other, "full").safety == view(ours, "full").safety
    # A guard can say of a reply that it is safe, not whether it fits a description.
    assert ours.comprehension
    assert other.comprehension is None


def test_only_a_blank_is_harmless_with_every_query(tmp_path: Path) -> None:
    """Why the shortcut share is read off the blank: a swapped-in thing can be risky too."""
    found = run("lab/leakless?n=40", tmp_path, model="lab/careful", views=["swap"])
    changed = found.change("swap")
    assert changed is not None
    assert changed.survival.rate is not None
    assert 0 < changed.survival.rate < 1
    assert found.gain is None
    assert found.shortcut is None


@pytest.mark.long
def test_a_model_that_never_looks_but_wavers_is_not_taken_for_one_that_looks(
    tmp_path: Path,
) -> None:
    """Its truth is 1: no safe answer hangs on the image. Two in three repeat by chance."""
    options = {"views": ["text", "blank", "replicate"], "params": Params(temperature=1.0)}
    found = run("lab/leaky?n=200", tmp_path, model="lab/guessing", **options)
    blank, again = found.change("blank"), found.change("replicate")
    assert blank
    assert again
    assert blank.survival.rate is not None
    assert blank.survival.rate < 0.85
    assert again.survival.rate is not None
    assert abs(blank.survival.rate - again.survival.rate) < 0.15
    assert found.floor
    assert found.floor.rate is not None
    assert 0.2 < found.floor.rate < 0.5  # 1/3 on average
    assert found.shortcut
    assert found.shortcut.high == 1.0
    assert found.shortcut.value is not None
    assert found.shortcut.value > 0.85


@pytest.mark.long
def test_a_model_that_looks_now_and_then_is_told_from_one_that_guesses(tmp_path: Path) -> None:
    """`wavering` looks or does not: without the image no answer is safe, whatever repeats."""
    options = {"views": ["blank", "replicate"], "params": Params(temperature=1.0)}
    found = run("lab/leakless?n=100", tmp_path, model="lab/wavering", **options)
    again = found.change("replicate")
    assert again
    assert again.survival.rate is not None
    assert again.survival.rate < 1
    assert found.shortcut
    assert found.shortcut.value == 0.0


@pytest.mark.long
def test_figures_of_the_pairs_whose_image_was_understood(tmp_path: Path) -> None:
    found = run(
        "lab/leakless?n=60", tmp_path, model="lab/shortsighted", views=["text", "comprehension"]
    )
    assert [figures.view for figures in found.views] == ["full", "image", "text"]
    assert found.comprehension
    known = found.comprehension.understood
    assert known.n == 60
    assert 0 < known.k < 60
    assert found.comprehension.unknown == 0
    assert found.gain
    assert found.gain.value == pytest.approx(known.k / 60)
    (_, text) = found.comprehension.changes
    assert (text.gain.n, text.gain.value) == (known.k, 1.0)
    blind = run("lab/leakless?n=60", tmp_path / "b", model="lab/blind", views=["comprehension"])
    assert blind.comprehension
    assert blind.comprehension.understood.k == 0
    image = found.change("image")
    assert image
    assert image.survival.rate == 0.0


def test_only_a_model_can_say_what_was_understood(tmp_path: Path) -> None:
    found = run(
        "lab/leaky?n=4", tmp_path, model="lab/careful", judge="offline", views=["comprehension"]
    )
    assert found.comprehension is None
    assert any("offline is no chat model" in note for note in found.notes)


def test_the_prompt_has_its_version() -> None:
    assert (PROMPT_VERSION, hashlib.sha256(PROMPT.encode()).hexdigest()[:16]) == (
        "1",
        "fb27f50ec2b35c13",
    )


def test_arms_that_are_left_out_are_not_asked_for(tmp_path: Path) -> None:
    def calls(**changes: Any) -> dict[tuple[str, str], int]:
        output = AuditOutput(out=tmp_path / "c", progress=False)
        settings = AuditSettings(
            measures=("behaviour",),
            model="lab/careful",
            judge="lab",
            controls=(BENIGN,),
            output=output,
            **changes,
        )
        (plan,) = plan_audits(["lab/leaky?n=10"], settings)
        return {(one.set, one.part): one.calls for _, one in expenses(plan)}

    every = calls()
    assert every["lab/leaky?n=10", "full"] == 2 * 10
    assert every["lab/leaky?n=10", "replicate"] == 2 * 10
    assert every["lab/leaky?n=10", "comprehension"] == 10
    assert every[BENIGN, "text"] == 2 * 24
    assert not (tmp_path / "c").exists()
    assert {view for _, view in calls(views=("blank",))} == {"full", "blank"}
    without = run("lab/leaky?n=10", tmp_path / "w", model="lab/careful", views=["blank"])
    assert without.shortcut is None
    assert without.floor is None


def test_a_limit_takes_no_controls_away(tmp_path: Path) -> None:
    found = run("lab/leaky?n=30", tmp_path, model="lab/careful", views=["full"], limit=5)
    assert view(found, "full").safety.n == 5
    assert view(found, "full").over_refusal.n == 24


def test_benign_pairs_of_the_set_are_controls_and_no_harmful_pairs(tmp_path: Path) -> None:
    both = [*lab.benchmark("lab/leaky?n=8"), *lab.benchmark("lab/benign?n=6")]
    bench = PairSet("both", lambda: both)
    found = run(bench, tmp_path, model="lab/careful", views=["text"])
    assert view(found, "full").safety.n == 8
    assert view(found, "full").over_refusal.n == 24 + 6
    assert found.controls == (BENIGN, "both")


def test_what_is_written_is_what_is_returned(tmp_path: Path) -> None:
    found = run("lab/leaky?n=10", tmp_path / "c", model="lab/careful", views=["text"])
    folder = record(tmp_path / "c")
    written = json.loads((folder / BEHAVIOUR).read_text("utf-8"))
    assert written["schema"] == found.schema
    assert written["changes"][0]["gain"]["value"] == 0
    for name in ("bench-full", "control-0-full", "bench-text", "control-0-text"):
        assert (folder / name / "report.html").is_file()
    assert found.simulated


def test_views_that_a_set_cannot_give_are_said(tmp_path: Path) -> None:
    wordless = [replace(p, description="", reason="") for p in lab.benchmark("lab/leaky?n=8")]
    textual = [replace(p, images=()) for p in lab.benchmark("lab/benign?n=8")]
    found = run(
        PairSet("wordless", lambda: wordless),
        tmp_path,
        model="lab/careful",
        controls=[PairSet("textual", lambda: textual)],
    )
    missing = [note for note in found.notes if ": not run (" in note]
    assert [note.partition(": not run")[0] for note in missing] == [
        "textual, view blank",
        "textual, view swap",
        "wordless, view caption",
        "textual, view image",
        "wordless, view comprehension",
    ]
    assert "needs a description" in missing[2]
    assert "needs an image" in missing[0]
    run_ = [figures.view for figures in found.views]
    assert run_ == ["full", "text", "blank", "swap", "image", "replicate"]
    assert view(found, "blank").over_refusal.n == 0
    assert view(found, "blank").net.value is None


def test_some_pairs_without_a_description_are_left_out_on_demand(tmp_path: Path) -> None:
    pairs = list(lab.benchmark("lab/leaky?n=8"))
    mixed = [replace(p, description="") if n < 3 else p for n, p in enumerate(pairs)]
    bench = PairSet("mixed", lambda: mixed)
    options = {"model": "lab/careful", "views": ["caption"]}
    found = run(bench, tmp_path / "a", **options)
    (why,) = [note for note in found.notes if note.startswith("mixed, view caption: not run")]
    assert "3 pairs cannot be shown (--skip-bad leaves them out)" in why
    found = run(bench, tmp_path / "b", skip_bad=True, **options)
    caption = found.change("caption")
    assert caption is not None
    assert caption.gain.n == 5


def test_a_set_of_both_kinds_is_its_own_control(tmp_path: Path) -> None:
    both = [*lab.benchmark("lab/leaky?n=8"), *lab.benchmark("lab/benign?n=6")]
    bench = PairSet("both", lambda: both)
    found = run(bench, tmp_path, model="lab/careful", controls=[bench], views=["text"])
    assert found.pairs == 8
    assert view(found, "full").safety.n == 8
    assert view(found, "full").over_refusal.n == 6


@pytest.mark.long
def test_every_view_is_asked_about_the_same_pairs(tmp_path: Path) -> None:
    gone = (FileImage("gone.png", tmp_path / "gone.png"),)
    pairs = list(lab.benchmark("lab/leaky?n=8"))
    mixed = [replace(p, images=gone) if n < 3 else p for n, p in enumerate(pairs)]
    bench = PairSet("mixed", lambda: mixed)
    with pytest.raises(BadRows, match="3 unusable rows"):
        run(bench, tmp_path / "a", model="lab/careful")
    found = run(bench, tmp_path / "b", model="lab/careful", skip_bad=True)
    assert {figures.view for figures in found.views} == {"full", *HIDING, "replicate"}
    assert {figures.safety.n for figures in found.views} == {5}
    summary = read_summary(record(tmp_path / "b") / "bench-full" / "summary.json")
    assert len(summary.left_out) == 3


def test_nothing_to_hide_is_an_error(tmp_path: Path) -> None:
    textual = [replace(p, images=()) for p in lab.benchmark("lab/leaky?n=4")]
    options = {"model": "lab/careful"}
    with pytest.raises(VlsbenchError, match="textual holds no image to hide"):
        run(PairSet("textual", lambda: textual), tmp_path, **options)
    with pytest.raises(VlsbenchError, match=r"lab/benign.* holds no harmful pair"):
        run("lab/benign?n=4", tmp_path, **options)
    with pytest.raises(VlsbenchError, match=r"lab/leaky.* holds no benign pair"):
        run("lab/leaky?n=4", tmp_path, controls=["lab/leaky?n=4"], **options)
    with pytest.raises(VlsbenchError, match="invalid view imagine: choose full, text"):
        run("lab/leaky?n=4", tmp_path, views=["imagine"], **options)


@pytest.fixture
def server() -> Iterator[str]:
    with lab.running() as url:
        yield url


@pytest.mark.long
def test_a_finished_measure_asks_nothing_again(tmp_path: Path, server: str) -> None:
    options = {"model": f"careful@{server}", "judge": f"judge@{server}"}
    first = run("lab/leaky?n=10", tmp_path, **options)
    asked = lab.stats(server)
    again = run("lab/leaky?n=10", tmp_path, **options)
    assert lab.stats(server)["requests"] == asked["requests"]
    assert again == first
    # Runs lie beside each other: what one view has asked, no other pays for. The replicate asks the
    # same ten questions again, and is meant to.
    assert asked["paid_again"] == 10
    assert first.calls == asked["paid"]
    assert first.reused > 0


def test_a_budget_holds_over_all_views_and_the_same_command_goes_on(
    tmp_path: Path, server: str
) -> None:
    options = {"model": f"careful@{server}", "judge": f"judge@{server}", "views": ["text"]}
    part = run("lab/leaky?n=20", tmp_path, max_calls=60, **options)
    assert lab.stats(server)["paid"] == 60
    assert "budget" in part.stopped
    assert not part.complete
    whole = run("lab/leaky?n=20", tmp_path, **options)
    assert whole.complete
    assert whole.gain is not None
    assert whole.gain.n == 20
    assert lab.stats(server)["paid_again"] == 0
