from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from vlsbench.errors import VlsbenchError
from vlsbench.lab import vlm
from vlsbench.lab._judge import wording
from vlsbench.lab.vlm import Design, Pretraining
from vlsbench.lab.vlm._experiment import Cell
from vlsbench.lab.vlm._measures import Leak, measure_b, truth
from vlsbench.lab.vlm._pretrain import pretrain
from vlsbench.lab.vlm._rows import Case
from vlsbench.lab.vlm._sets import (
    BENIGN,
    LEAKLESS,
    LEAKY,
    SETS,
    ask,
    case_of,
    leaking,
    letter,
    mixed,
    risks,
    told_by_text,
)
from vlsbench.lab.vlm._table import (
    SHARES,
    areas,
    curves,
    lines,
    mean_of,
    net,
    safe,
    sweep_markdown,
)
from vlsbench.lab.vlm._teaching import UNSEEN, cases, reward, supervised, unwanted, wanted
from vlsbench.lab.vlm._words import KNOWN, REQUESTS, all_texts, held_out
from vlsbench.models import LocalModel

TINY = Design(
    pretraining=Pretraining(pictures=2, tower_steps=2, text_steps=2, steps=2, batch=4),
    rows=16,
    batch=4,
    sft_steps=2,
    dpo_steps=2,
    unlearning_steps=2,
    online_steps=2,
    cold_steps=2,
)


def test_every_word_is_known_and_replies_read_as_written(tmp_path: Path) -> None:
    from transformers import AutoProcessor

    tokenizer = AutoProcessor.from_pretrained(vlm.make_model(tmp_path)).tokenizer
    texts = sorted(set(all_texts()))
    for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        assert tokenizer.unk_token_id not in ids
    replies = {make(case_of(r, LEAKY, 0)) for r in risks(0) for make in (wanted, unwanted)}
    for reply in replies:
        assert tokenizer.decode(tokenizer(reply, add_special_tokens=False)["input_ids"]) == reply


def test_making_a_model_draws_no_bar_of_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from transformers.utils.logging import enable_progress_bar

    enable_progress_bar()
    vlm.make_model(tmp_path)
    assert capfd.readouterr().err == ""


def test_the_model_has_half_a_million_parameters(tmp_path: Path) -> None:
    model = LocalModel.load(str(vlm.make_model(tmp_path))).model
    assert 400_000 < sum(p.numel() for p in model.parameters()) < 600_000


def test_replies_have_the_labels_they_are_made_for() -> None:
    for risk in risks(0):
        risky = case_of(risk, LEAKLESS, 0)
        control = case_of(risk, BENIGN, 0)
        assert letter(wanted(risky)) in "rw"
        assert letter(unwanted(risky)) == "a"
        assert letter(wanted(control)) == "a"
        assert wording(unwanted(control)) < 2
    assert letter("Toaster the the.") == "x"


def test_sets_differ_in_what_they_should_and_in_nothing_else() -> None:
    for risk in risks(3):
        leaky, leakless, benign = (case_of(risk, name, 3) for name in (LEAKY, LEAKLESS, BENIGN))
        assert leaky.key == leakless.key
        assert risk.thing.name in leaky.text
        assert leakless.text == benign.text
        assert leakless.risky
        assert not benign.risky
        assert not any(thing.name in leakless.text for thing in KNOWN)


def test_no_text_picture_or_unseen_thing_of_evaluation_is_met_in_alignment() -> None:
    evaluated = [case_of(risk, name, 0) for risk in risks(0) for name in SETS]
    texts = {case.text for case in evaluated if case.named and case.risky}
    drawn = {case.key for case in evaluated if case.picture}
    for pictures in (True, False):
        met = cases(3000, 0, risky=0.5, pictures=pictures)
        assert not texts & {case.text for case in met}
        assert not drawn & {case.key for case in met if case.picture}
        assert all(case.named for case in met if case.risky and not pictures)
    kept = [thing for thing in KNOWN if thing not in UNSEEN]
    assert {case.thing for case in cases(500, 0, risky=0.5, pictures=True, things=kept)} == set(
        kept
    )


def test_rows_say_what_the_rule_says() -> None:
    for row in supervised(cases(300, 1, risky=0.5, pictures=True)):
        case: Case = row["case"]
        said = row["completion"][0]["content"]
        assert (wording(said) < 2) == (
            case.act is not None and case.act.risk(case.thing) is not None
        )
        assert len(row["images"]) == 1


def test_reward_prefers_declining_only_where_it_is_risky() -> None:
    risk = risks(0)[0]
    rows = [{"case": case_of(risk, name, 0)} for name in (LEAKLESS, BENIGN)]
    declines = "I can't help with that."
    assert reward(rows, [declines, declines]) == [1.0, -1.0]
    assert reward(rows, [case["case"].helpful for case in rows]) == [-1.0, 1.0]
    assert reward(rows, ["the the", "the the"]) == [-1.0, -0.5]


def test_leak_shares_are_nested_and_exact() -> None:
    chosen = [leaking(40, share, 7) for share in (0, 0.25, 0.5, 1)]
    assert [sum(leaks) for leaks in chosen] == [0, 10, 20, 40]
    for fewer, more in pairwise(chosen):
        assert all(b for a, b in zip(fewer, more, strict=True) if a)
    for share in (0, 0.5, 1):
        assert told_by_text(mixed(share, 0)) == pytest.approx(share, abs=0.01)


def test_measure_b_finds_the_truth_through_its_judges_errors() -> None:
    (exact,), (rate,) = truth([0.5], 1), measure_b([0.5], 1)
    assert exact.value is not None
    assert rate.value == pytest.approx(exact.value, abs=0.15)
    assert rate.value != exact.value
    assert rate.low is not None
    assert rate.high is not None
    assert rate.low <= exact.value <= rate.high


def test_the_sweeps_table_holds_arms_and_measures_at_every_share() -> None:
    sweep = curves([cell("t-sft", "rr", "aa", "aa")])
    leaks = [Leak(share, max(0.0, share - 0.1), min(1.0, share + 0.1)) for share in SHARES]
    rows = sweep_markdown(sweep, {"measure": leaks}, 0).splitlines()
    assert (
        "| measure | 0 [0, 10] | 25 [15, 35] | 50 [40, 60] | 75 [65, 85] | 100 [90, 100] |" in rows
    )
    (arm,) = [row for row in rows if row.startswith("| t-sft ")]
    assert arm.count("|") == len(SHARES) + 2


def cell(arm: str, leaky: str, leakless: str, benign: str, seed: int = 0) -> Cell:
    labels = dict.fromkeys(SETS, "a" * len(leaky))
    labels |= {LEAKY: leaky, LEAKLESS: leakless, BENIGN: benign}
    return Cell(seed, arm, labels, 1.0, 0.0, 1, 0.0, 0.0, "")


def test_the_net_rate_sees_through_blanket_refusal() -> None:
    assert net(cell("x", "rrrr", "rrrr", "rrrr")) == 0.0
    assert net(cell("x", "rrrr", "rwrr", "aaaa")) == 1.0
    assert net(cell("x", "aaaa", "xraa", "aaxa")) == 0.5


def test_nothing_unscored_counts() -> None:
    assert safe("rwax") == pytest.approx(2 / 3)
    assert safe("xx") is None
    assert mean_of([None, 0.5]).n == 1


def test_the_area_between_curves_is_what_the_leak_hides() -> None:
    n = len(risks(0))
    textual = cell("t-sft", "r" * n, "a" * n, "a" * n)
    multimodal = cell("mm-sft", "r" * n, "r" * n, "a" * n)
    sweep = {curve.arm: [m.value for m in curve.safety] for curve in curves([textual, multimodal])}
    assert sweep["t-sft"] == pytest.approx([0, 0.25, 0.5, 0.75, 1], abs=0.02)
    assert sweep["mm-sft"] == [1, 1, 1, 1, 1]
    (area,) = areas([textual, multimodal])
    assert area.area.value == pytest.approx(0.5, abs=0.02)


def test_intervals_over_seeds_are_students() -> None:
    from scipy.stats import t

    mean = mean_of([0.4, 0.5, 0.6])
    low, high = t.interval(0.95, 2, loc=0.5, scale=0.1 / 3**0.5)
    assert (mean.n, mean.value) == (3, pytest.approx(0.5))
    assert (mean.low, mean.high) == (pytest.approx(low), pytest.approx(high))
    shares, differences = mean_of([0.1, 0.2, 0.9]), mean_of([0.1, 0.2, 0.9], -1.0)
    assert (shares.low, shares.high) == (0.0, 1.0)
    assert differences.low is not None
    assert -1 < differences.low < 0
    line = lines([cell("t-sft", "rr", "ra", "aa")])[0]
    assert line.figures["leaky safe"].low is None


def test_pretraining_learns_to_look_at_a_mini_world(tmp_path: Path) -> None:
    things = KNOWN[:3]
    how = Pretraining(pictures=8, tower_steps=40, tower_batch=48, text_steps=20, steps=60, batch=24)
    model = LocalModel.load(str(pretrain(tmp_path, 0, how, things=things)))
    shown = [Case(thing, None, 0, False, f"new-{n}") for thing in things for n in range(8)]

    def right(*, other: bool) -> float:
        replies = ask(model, shown, other_pictures=other)
        return sum(r == c.helpful for r, c in zip(replies, shown, strict=True)) / len(shown)

    assert right(other=False) > 0.8
    assert right(other=True) < 0.6


def test_the_experiment_resumes_and_writes_everything(tmp_path: Path) -> None:
    told: list[tuple[float, float]] = []
    arguments = {
        "seeds": [7],
        "methods": ["t-sft", "mm-sft"],
        "design": TINY,
        "overlap": False,
        "judged": False,
    }
    result = vlm.reproduce(tmp_path, **arguments, tell=lambda _, at, of: told.append((at, of)))
    assert [line.arm for line in result.lines] == ["vanilla", "t-sft", "mm-sft"]
    assert all(path.is_file() for path in result.files)
    assert {path.suffix for path in result.files} == {".md", ".csv", ".json", ".png", ".svg"}
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    saved = json.loads((tmp_path / "result.json").read_text())
    assert "simulated" in saved["simulated"]
    assert "simulated" in (tmp_path / "table.md").read_text().lower()
    assert "simulated" in (tmp_path / "figure.svg").read_text()

    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cell.json")}
    assert len(kept) == 3
    (tmp_path / "seed-7" / "t-sft" / "cell.json").unlink()  # as if stopped before it was written
    again = vlm.reproduce(tmp_path, **arguments)
    assert again.lines == result.lines
    changed = {path for path, at in kept.items() if path.stat().st_mtime_ns != at}
    assert changed == {tmp_path / "seed-7" / "t-sft" / "cell.json"}


def test_another_design_is_not_taken_for_finished(tmp_path: Path) -> None:
    arguments = {"seeds": [7], "methods": ["vanilla"], "overlap": False, "judged": False}
    vlm.reproduce(tmp_path, **arguments, design=TINY)
    before = (tmp_path / "seed-7" / "vanilla" / "cell.json").read_text()
    vlm.reproduce(
        tmp_path, **arguments, design=replace(TINY, pretraining=replace(TINY.pretraining, steps=3))
    )
    after = (tmp_path / "seed-7" / "vanilla" / "cell.json").read_text()
    assert json.loads(before)["design"] != json.loads(after)["design"]


@pytest.mark.slow
def test_every_method_runs(tmp_path: Path) -> None:
    result = vlm.reproduce(tmp_path, seeds=[0], design=TINY, overlap=False, judged=False)
    assert {line.arm for line in result.lines} == {"vanilla", *vlm.ARMS}


def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="t-magic"):
        vlm.reproduce(tmp_path, methods=["t-magic"], design=TINY)


def test_phrasings_held_out_differ_between_things() -> None:
    for act in REQUESTS:
        assert {held_out(act, thing) for thing in KNOWN} == set(range(len(act.phrasings)))
