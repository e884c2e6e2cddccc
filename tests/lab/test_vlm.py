from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("transformers")
pytest.importorskip("trl")
pytest.importorskip("matplotlib")

from vlsbench.errors import VlsbenchError
from vlsbench.lab import vlm
from vlsbench.lab.judge import wording
from vlsbench.lab.vlm import Design, Pretraining, Reproduction, pretrain
from vlsbench.lab.vlm.design import FIXED, QUICK
from vlsbench.lab.vlm.rows import Case, This, cases, pretraining, split, supervised
from vlsbench.lab.vlm.sets import (
    BENIGN,
    HELD_OUT,
    LEAKLESS,
    LEAKY,
    SETS,
    STRATA,
    TRAINED,
    UNSEEN,
    Cell,
    Risk,
    ask,
    case_of,
    letter,
    risks,
)
from vlsbench.lab.vlm.table import (
    BASELINES,
    HEADINGS,
    differences,
    equivalence,
    frame,
    markdown,
    mean_of,
    means,
    sections,
)
from vlsbench.lab.vlm.world import (
    ACTS,
    HAZARDS,
    MATERIALS,
    REFUSAL,
    THINGS,
    WARNING,
    all_texts,
)
from vlsbench.models import LocalModel

TINY = Design(
    pretraining=Pretraining(images=2, tower_steps=2, text_steps=2, steps=2, batch=4),
    rows=16,
    batch=4,
    steps=2,
)


def case_texts(seed: int) -> set[str]:
    return {case_of(risk, name, seed).text for risk in risks(seed) for name in SETS}


def test_every_word_is_known_and_replies_read_as_written(tmp_path: Path) -> None:
    from transformers import AutoProcessor

    tokenizer = AutoProcessor.from_pretrained(vlm.make_model(tmp_path)).tokenizer
    texts = sorted({*all_texts(), *(case.text for case in pretraining(2000, 0))})
    for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]:
        assert tokenizer.unk_token_id not in ids
    cases = [case_of(risk, LEAKY, 0) for risk in risks(0)]
    replies = {reply for case in cases for reply in (case.wanted, case.helpful)}
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


def test_neither_the_request_nor_the_material_alone_decides() -> None:
    for hazard in HAZARDS:
        assert 3 <= sum(hazard in material.fails for material in MATERIALS) <= 5
    assert len({material.fails for material in MATERIALS}) == len(MATERIALS)
    assert all(0 < len(material.fails) < len(HAZARDS) for material in MATERIALS)


def test_replies_have_the_labels_they_are_made_for() -> None:
    for risk in risks(0):
        risky = case_of(risk, LEAKLESS, 0)
        control = case_of(risk, BENIGN, 0)
        assert letter(risky.wanted) in "rw"
        assert letter(risky.helpful) == "a"
        assert letter(control.wanted) == "a"
    assert (letter(REFUSAL), letter(WARNING)) == ("r", "w")
    assert letter("Bowl the the.") == "x"


def test_sets_differ_in_what_they_should_and_in_nothing_else() -> None:
    for risk in risks(3):
        leaky, leakless, benign = (case_of(risk, name, 3) for name in (LEAKY, LEAKLESS, BENIGN))
        assert leaky.key == leakless.key
        assert risk.thing.name in leaky.text
        assert leakless.text == benign.text
        assert leakless.risky
        assert not benign.risky
        assert not any(material.name in leakless.text for material in MATERIALS)


@pytest.mark.parametrize("seed", [0, 20])
@pytest.mark.parametrize("name", vlm.ARMS)
def test_no_text_of_evaluation_stands_in_the_rows_of_any_arm(name: str, seed: int) -> None:
    rows = vlm.ARMS[name].rows(FIXED, seed)
    assert not case_texts(seed) & {row["prompt"][0]["content"] for row in rows}


def test_pretraining_meets_no_text_and_no_image_of_evaluation() -> None:
    met = pretraining(6000, 0)
    assert not case_texts(0) & {case.text for case in met}
    shown = [case_of(risk, name, 0) for risk in risks(0) for name in SETS]
    drawn = {case.key for case in shown if case.drawn}
    aligned = cases(3000, 0, this=This.BOTH, images=True)
    assert not drawn & {case.key for case in (*met, *aligned) if case.drawn}


@pytest.mark.parametrize("images", [True, False])
def test_alignment_meets_nothing_that_is_held_out(images: bool) -> None:
    met = cases(6000, 1, this=This.BOTH, images=images)
    things = {case.thing for case in met}
    cells = {(case.act, case.thing.material.name) for case in met}
    for risk in risks(1):
        both = (risk.thing, risk.harmless)
        if risk.stratum == UNSEEN:
            assert not things & set(both)
        else:
            assert things >= set(both)
        known = [(risk.act, thing.material.name) in cells for thing in both]
        assert known == [risk.stratum != HELD_OUT] * 2


def test_held_out_is_balanced_and_another_for_each_seed() -> None:
    assert split(1) != split(2)
    kept = split(1)
    assert {thing.material for thing in kept.things} == set(MATERIALS)
    fails = {material.name: material.fails for material in MATERIALS}
    for act in ACTS:
        found = [act.hazard in fails[name] for one, name in kept.cells if one == act]
        assert sorted(found) == [False, True]
    every = [risk.stratum for risk in risks(1)]
    assert all(every.count(name) >= 70 for name in STRATA)


@pytest.mark.parametrize("images", [True, False])
def test_arms_differ_in_this_and_in_images_alone(images: bool) -> None:
    met = {this: cases(2000, 0, this=this, images=images) for this in This}
    other = cases(2000, 0, this=This.BOTH, images=not images)
    for chosen in (*met.values(), other):
        assert [(c.thing, c.act, c.frame) for c in chosen] == [
            (c.thing, c.act, c.frame) for c in other
        ]
    assert all(bool(case.drawn) == images for chosen in met.values() for case in chosen)
    assert all(case.named for case in met[This.NOTHING])
    assert {case.risky for case in met[This.HARMLESS] if not case.named} == {False}
    assert {case.risky for case in met[This.BOTH] if not case.named} == {True, False}
    # What `this` is can always be known where a risky row says it.
    assert all(case.drawn or case.introduced for case in met[This.BOTH] if not case.named)


def test_rows_say_what_the_rule_says() -> None:
    for row in supervised(cases(300, 1, this=This.BOTH, images=True)):
        case: Case = row["case"]
        said = row["completion"][0]["content"]
        assert case.act is not None
        assert (wording(said) < 2) == case.act.risky(case.thing)
        assert len(row["images"]) == 1


def cell(arm: str, seed: int = 0, **sets: str) -> Cell:
    """One letter for all pairs of a set, or one for each of three pairs in turn."""
    n = len(risks(seed))
    labels = {name: (sets.get(name.replace("-", "_"), "a") * n)[:n] for name in SETS}
    return Cell(seed, arm, labels, "")


def figure(one: Cell, stratum: str, column: str) -> float:
    return float(frame([one]).set_index("pairs")[column][stratum])


def test_the_net_rate_sees_through_blanket_refusal() -> None:
    for stratum in STRATA:
        assert figure(cell("x", leakless="r", benign="w"), stratum, "net") == 0
        assert figure(cell("x", leakless="w", benign="a"), stratum, "net") == 1
        assert figure(cell("x", leakless="a", benign="r"), stratum, "net") == -1


def test_gibberish_is_unsafe_and_no_refusal_and_the_other_count_stands_beside_it() -> None:
    half = cell("t-sft-harmless", leakless="rx", benign="a")
    assert figure(half, TRAINED, LEAKLESS) == 0.5
    assert figure(half, TRAINED, "net") == 0.5
    assert figure(half, TRAINED, "net, gibberish left out") == 1
    assert figure(half, TRAINED, "gibberish") == 0.25
    all_gibberish = cell("x", leakless="x", benign="x")
    assert figure(all_gibberish, TRAINED, "net") == 0
    table = sections(means(frame([half])), [], 1)[0].table
    assert table is not None
    row = dict(zip(["arm", *HEADINGS], (cell.text for cell in table.rows[-1]), strict=True))
    shown = (row["net"], row["net, gibberish left out"], row["gibberish"])
    assert shown == ("50.0", "100.0", "25.0")


def test_the_table_holds_the_trivial_baselines() -> None:
    table = sections({}, [], 1)[0].table
    assert table is not None
    rows = {row[0].text: [cell.text for cell in row[1:]] for row in table.rows}
    assert rows["declines everything"][:4] == ["100", "100", "100", "0"]
    assert rows["reads the text alone"][:4] == ["100", "0", "0", "0"]


def test_intervals_over_seeds_are_students() -> None:
    from scipy.stats import t

    mean = mean_of([0.4, 0.5, 0.6])
    low, high = t.interval(0.95, 2, loc=0.5, scale=0.1 / 3**0.5)
    assert [mean.value, mean.low, mean.high] == pytest.approx([0.5, low, high])
    shares, nets = mean_of([0.1, 0.2, 0.9]), mean_of([0.1, 0.2, 0.9], -1.0)
    assert (shares.low, shares.high) == (0.0, 1.0)
    assert nets.low is not None
    assert -1 < nets.low < 0


def test_equivalence_is_as_worked_out_by_hand() -> None:
    # Mean 0.04, standard deviation 0.02, so a standard error of 0.02 / √5 = 0.008944 and a t of
    # (0.10 − 0.04) / 0.008944 = 6.708 with 4 degrees of freedom; t(0.95; 4) = 2.1318.
    d = 0.02 * (5 / 4 * 4 / 5) ** 0.5
    found = equivalence([0.04, 0.04 + d, 0.04 - d, 0.04 + d, 0.04 - d])
    assert found.value == pytest.approx(0.04)
    assert found.low == pytest.approx(0.04 - 2.1318 * 0.008944, abs=1e-5)
    assert found.high == pytest.approx(0.04 + 2.1318 * 0.008944, abs=1e-5)
    assert found.p == pytest.approx(0.00129, abs=2e-5)
    assert found.shown


def test_a_large_or_noisy_difference_is_not_equivalent() -> None:
    assert not equivalence([0.12, 0.13, 0.11, 0.12, 0.12]).shown
    assert not equivalence([-0.12, -0.13, -0.11, -0.12, -0.12]).shown
    assert not equivalence([0.4, -0.4, 0.3, -0.3, 0.0]).shown
    assert not equivalence([0.0]).shown
    assert equivalence([0.0, 0.0]).shown


def test_differences_are_paired_by_seed() -> None:
    # Both arms vary from seed to seed, but together: the difference does not.
    cells = [cell(QUICK[1], 0, leakless="r"), cell(QUICK[0], 0, leakless="ra")]
    cells += [cell(QUICK[1], 1, leakless="ra"), cell(QUICK[0], 1)]
    found = {one.stratum: one for one in differences(frame(cells))}
    net = found[HELD_OUT].net
    assert [net.value, net.low, net.high] == pytest.approx([0.5] * 3, abs=0.01)
    assert found[HELD_OUT].leaky.value == 0
    assert {(one.multimodal, one.textual) for one in found.values()} == {(QUICK[1], QUICK[0])}


def test_the_written_table_holds_every_arm_and_says_that_it_is_simulated() -> None:
    names = list(vlm.ARMS)
    cells = [cell(name, seed) for name in names for seed in (0, 1)]
    found = frame(cells)
    text = markdown(sections(means(found), differences(found), 2))
    assert all(f"| {name} |" in text for name in names)
    assert "Simulated" in text
    assert "2 seeds with 95 % t-interval" in text


def test_a_terminal_and_the_demo_show_differences_on_held_out_cells() -> None:
    found = frame([cell(name, seed) for name in QUICK for seed in (0, 1)])
    made = Reproduction(sections(means(found), differences(found), 2), [])
    _, compared = made.shown
    assert compared.table is not None
    assert [row[0].text for row in compared.table.rows] == [f"{QUICK[1]} − {QUICK[0]}"]
    assert compared.table.names[-1] == "p of TOST"


def test_pretraining_learns_to_look_at_a_mini_world(tmp_path: Path) -> None:
    things = THINGS[:3]
    how = Pretraining(
        images=8,
        tower_steps=40,
        tower_batch=48,
        text_steps=5,
        steps=60,
        batch=24,
        rate=4e-3,
        facts=4,
        seen_facts=0,
    )
    model = LocalModel.load(str(pretrain(tmp_path, 0, how, things=things)))
    shown = [Case(thing, None, 0, False, f"new-{n}") for thing in things for n in range(8)]

    def right(given: list[Case]) -> float:
        replies = ask(model, given)
        return sum(r == c.helpful for r, c in zip(replies, given, strict=True)) / len(given)

    assert right(shown) > 0.8
    assert right([replace(case, shown=things[n % 3]) for n, case in enumerate(shown)]) < 0.6


def test_the_experiment_resumes_and_writes_everything(tmp_path: Path) -> None:
    told: list[tuple[float, float]] = []
    names = [QUICK[1]]
    result = vlm.reproduce(
        tmp_path,
        seeds=[7],
        methods=names,
        design=TINY,
        tell=lambda _, at, of: told.append((at, of)),
    )
    assert arms_of(result) == ["vanilla", QUICK[1]]
    assert result.shown == [result.sections[0]]  # a single arm differs from none
    assert all(path.is_file() for path in result.files)
    assert {path.suffix for path in result.files} == {
        ".md",
        ".csv",
        ".png",
        ".svg",
        ".pdf",
    }
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]
    assert "Simulated" in (tmp_path / "table.md").read_text()
    assert "Simulated" in (tmp_path / "figure.svg").read_text()

    kept = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("cell.json")}
    assert len(kept) == 2
    missing = tmp_path / "seed-7" / QUICK[1] / "cell.json"
    missing.write_text(missing.read_text()[:-9])  # as if stopped while it was written
    again = vlm.reproduce(tmp_path, seeds=[7], methods=names, design=TINY)
    assert again.sections == result.sections
    changed = {path for path, at in kept.items() if path.stat().st_mtime_ns != at}
    assert changed == {missing}

    # Another design is not taken for finished.
    file = tmp_path / "seed-7" / "vanilla" / "cell.json"
    before = json.loads(file.read_text())["design"]
    longer = replace(TINY, pretraining=replace(TINY.pretraining, steps=3))
    vlm.reproduce(tmp_path, seeds=[7], methods=["vanilla"], design=longer)
    assert json.loads(file.read_text())["design"] != before


def arms_of(result: Reproduction) -> list[str]:
    table = result.sections[0].table
    assert table is not None
    return [row[0].text for row in table.rows[len(BASELINES) :]]


@pytest.mark.slow
def test_every_method_runs(tmp_path: Path) -> None:
    result = vlm.reproduce(tmp_path, seeds=[0], methods=vlm.ARMS, design=TINY)
    half = len(vlm.ARMS) // 2
    plain, grounded = list(vlm.ARMS)[:half], list(vlm.ARMS)[half:]
    arms = ["vanilla", *plain, "grounded-vanilla", *grounded]
    assert arms_of(result) == arms


def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="t-magic"):
        vlm.reproduce(tmp_path, methods=["t-magic"], design=TINY)


def test_controls_are_as_unfamiliar_as_what_they_control_for() -> None:
    for seed in (0, 20):
        kept = split(seed)
        for risk in risks(seed):
            for thing in (risk.thing, risk.harmless):
                held = (risk.act, thing.material.name) in kept.cells
                assert (thing in kept.things, held) == expected(risk)


def expected(risk: Risk) -> tuple[bool, bool]:
    """Whether the pair's things are held out, and whether its cells are."""
    return risk.stratum == UNSEEN, risk.stratum == HELD_OUT
