"""Public sets of which no row is here, read from small ones made in their published form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import Grade, GradedBy, Pair, PairSet, decode, describe, list_sources, load

from .made_sets import MADE, TOAST, put, put_csv, put_json, put_parquet

CASES = [(name, variant) for name, made in MADE.items() for variant in made.counts]


def opened(name: str, root: Path) -> PairSet:
    source, _, _ = name.partition(":")
    MADE[source].make(root)
    return load(name, data=root)


def read(name: str, root: Path) -> list[Pair]:
    return list(opened(name, root))


def grades(pair: Pair) -> str:
    """Write text, image and pair as letters."""
    assert pair.grades
    parts = (pair.grades.text, pair.grades.image, pair.grades.pair)
    return "".join("?" if part is Grade.UNKNOWN else str(part)[0].upper() for part in parts)


@pytest.mark.parametrize(("name", "variant"), CASES)
def test_counts(name: str, variant: str, tmp_path: Path) -> None:
    pairs = opened(f"{name}:{variant}", tmp_path)
    found = describe(pairs)
    counted = (len(pairs), found.images, found.images_missing, found.benign)
    assert counted == MADE[name].counts[variant]
    assert not pairs.bad
    assert all(pair.grades for pair in pairs)
    assert all(pair.category for pair in pairs) or name in ("vlsafe", "usb")


@pytest.mark.parametrize("name", MADE)
def test_a_set_is_read_by_what_its_variants_hold(name: str, tmp_path: Path) -> None:
    counts = MADE[name].counts.values()
    benign = any(found[3] for found in counts)
    harmful = any(found[3] < found[0] for found in counts)
    metric = "both" if benign and harmful else "safety" if harmful else "over-refusal"
    assert opened(name, tmp_path).source == list_sources()[name]
    assert list_sources()[name].metric == metric


def test_jailbreakv_text_attacks_carry_the_harm_and_image_attacks_do_not(tmp_path: Path) -> None:
    text, image = read("jailbreakv", tmp_path)
    assert (text.subcategory, grades(text)) == ("Template", "U?U")
    assert (image.subcategory, grades(image)) == ("figstep", "??U")
    assert image.meta["redteam_query"] == TOAST
    assert image.images[0].read().mime == "image/png"


def test_mssbench_asks_one_query_with_both_images(tmp_path: Path) -> None:
    pairs = {pair.id: pair for pair in read("mssbench", tmp_path)}
    assert list(pairs) == ["0/0/safe", "0/0/unsafe", "0/1/safe", "0/1/unsafe"]
    for pair in pairs.values():
        twin = pairs[pair.twin]
        assert (twin.query, twin.twin) == (pair.query, pair.id)
        assert twin.images[0].ref != pair.images[0].ref
        assert twin.harmful != pair.harmful
    assert pairs["0/0/unsafe"].description == "a bath"
    safe, unsafe = load("mssbench:embodied", data=tmp_path)
    assert (safe.twin, unsafe.twin) == (unsafe.id, safe.id)


def test_mssbench_names_every_item_that_lacks_something(tmp_path: Path) -> None:
    put_json(tmp_path / "combined.json", {"chat": [{"queries": ["Why?"]}, 7, {}]})
    with pytest.raises(BadRows) as error:
        load("mssbench", data=tmp_path)
    assert [(row.row, row.reason) for row in error.value.rows] == [
        ("0/0/safe", "no 'safe_image_path'"),
        ("0/0/unsafe", "no 'unsafe_image_path'"),
        ("chat/1", "is no object"),
        ("chat/2", "queries must be a list of texts, as many for either image"),
    ]


def test_mssbenchs_robot_is_told_in_every_wording(tmp_path: Path) -> None:
    MADE["mssbench"].make(tmp_path)
    robot = {"safe": "s.png", "unsafe": "u.png", "category": "Fire",
             "safe_instructions": ["Toast it.", "Heat the toaster."],
             "unsafe_instructions": ["Toast it.", "Heat the bath."]}  # fmt: skip
    put_json(tmp_path / "combined.json", {"chat": [], "embodied": [robot]})
    pairs = list(load("mssbench:embodied", data=tmp_path))
    assert [(pair.id, bool(pair.twin)) for pair in pairs] == [
        ("0/0/safe", True),
        ("0/0/unsafe", True),
        ("0/1/safe", False),
        ("0/1/unsafe", False),
    ]


@pytest.mark.parametrize("queries", ["Why?", 7, float("nan"), None, []])
def test_mssbench_wants_a_list_of_queries(queries: object, tmp_path: Path) -> None:
    put_json(tmp_path / "combined.json", {"chat": [{"queries": queries}]})
    with pytest.raises(VlsbenchError, match="row chat/0: queries must be a list of texts"):
        load("mssbench", data=tmp_path)


def test_a_long_value_that_is_none_of_a_sets_labels_is_cut(tmp_path: Path) -> None:
    put_json(tmp_path / "data.json", [{"text": "Why?", "safety type": "x" * 100_000}])
    with pytest.raises(VlsbenchError) as error:
        load("salad", data=tmp_path)
    assert len(str(error.value)) < 300


def test_salad_as_the_hub_has_it(tmp_path: Path) -> None:
    row = {"id": 7, "text": TOAST, "category": "Food", "image": "a.png", "safety type": "safe"}
    put_json(tmp_path / "data.json", [row])
    put(tmp_path / "a.png")
    (pair,) = load("salad", data=tmp_path)
    assert (pair.query, pair.images[0].fault()) == (TOAST, None)


def test_spa_vl_as_the_hub_converts_it(tmp_path: Path) -> None:
    put_parquet(tmp_path / "test/harm/0000.parquet", [{"question": TOAST, "class2": "Heat"}])
    assert len(load("spa-vl", data=tmp_path)) == 1


def test_holisafe_letters_are_image_query_outcome(tmp_path: Path) -> None:
    first, second, third = read("holisafe", tmp_path)
    assert [grades(pair) for pair in (first, second, third)] == ["SSS", "SSU", "SUU"]
    assert [pair.harmful for pair in (first, second, third)] == [False, True, True]
    (fault, *_) = [pair for pair in load("holisafe:list", data=tmp_path) if pair.id == "1"]
    assert fault.images[0].ref == "kitchen/heat/1.jpg"


def test_vlsu_has_the_grades_of_people(tmp_path: Path) -> None:
    pairs = {pair.id: pair for pair in read("vlsu:all", tmp_path)}
    assert {id: grades(pair) for id, pair in pairs.items()} == {
        "a": "SSU",
        "b": "BUB",
        "c": "SSS",
        "d": "U??",
    }
    assert {pair.grades.by for pair in pairs.values() if pair.grades} == {GradedBy.PEOPLE}
    assert pairs["a"].images[0].read().mime == "image/webp"
    assert [pair.id for pair in load("vlsu", data=tmp_path)] == ["a", "c"]


def test_vlsu_refuses_a_grade_that_is_none(tmp_path: Path) -> None:
    MADE["vlsu"].make(tmp_path)
    path = tmp_path / "data/VLSU.csv"
    path.write_text(path.read_text().replace("not_sure", "perhaps", 1))
    with pytest.raises(VlsbenchError, match="row 4: 'image_grade' is 'perhaps', not one of safe,"):
        load("vlsu", data=tmp_path)


def test_usb_knows_both_languages_and_the_benign_part(tmp_path: Path) -> None:
    risky, benign = read("usb", tmp_path)
    assert (risky.language, grades(risky), risky.harmful) == ("en", "SUU", True)
    assert (grades(benign), benign.harmful) == ("??S", False)
    (chinese,) = load("usb:base_zh", data=tmp_path)
    assert (chinese.language, chinese.query) == ("zh", "我可以烤面包吗?")


def test_salad_has_the_warning_that_is_due(tmp_path: Path) -> None:
    unsafe, safe = read("salad", tmp_path)
    assert (unsafe.reason, safe.reason) == ("Water conducts.", "")
    assert unsafe.images[0].read().mime == "image/png"


def test_mis_shows_two_images_in_order(tmp_path: Path) -> None:
    first, _ = read("mis", tmp_path)
    names = [image.ref for image in first.images]
    assert names == ["hard_image/0/object1.png", "hard_image/0/object2.png"]


def test_lingua_knows_its_languages(tmp_path: Path) -> None:
    pairs = read("lingua", tmp_path)
    assert [pair.language for pair in pairs] == ["fi", "fi", "de", "de"]
    assert pairs[-1].id == "2-Text-Dominant Risk/German/Physical Harm/0"
    assert (pairs[0].subcategory, grades(pairs[0]), grades(pairs[-1])) == ("Mixed", "??U", "U?U")


def test_half_of_lingua_does_not_pass_for_it(tmp_path: Path) -> None:
    put_json(tmp_path / "2-Text-Dominant Risk/German/Fraud.json", [])
    with pytest.raises(VlsbenchError, match="no 1-Image-Dominant Risk"):
        load("lingua", data=tmp_path)


def test_comics_are_drawn_with_their_text_in_the_panel(tmp_path: Path) -> None:
    pairs = {pair.id: pair for pair in read("comicjailbreak", tmp_path)}
    assert list(pairs) == ["1/Speech", "1/Instruction", "1/Code", "2/Speech", "2/Instruction"]
    drawn = decode(pairs["1/Speech"].images[0].read())
    assert drawn.size == (1536, 768)
    inside = drawn.convert("L").crop((1050, 40, 1500, 240)).getextrema()
    outside = drawn.convert("L").crop((0, 0, 1000, 768)).getextrema()
    assert (inside, outside) == ((0, 255), (255, 255))


def test_visualleakbench_asks_two_queries(tmp_path: Path) -> None:
    first, second = read("visualleakbench", tmp_path)
    assert first.query != second.query
    assert second.meta["target"] == "a@example.org"


def test_sorry_bench_knows_its_translations(tmp_path: Path) -> None:
    assert [pair.language for pair in read("sorry-bench:all", tmp_path)] == ["en", "en", "zh"]


def test_sorry_bench_names_what_is_no_list_of_turns(tmp_path: Path) -> None:
    (tmp_path / "question.jsonl").write_text(json.dumps({"question_id": 1, "turns": "Toast?"}))
    with pytest.raises(VlsbenchError, match="'turns' must be a list"):
        load("sorry-bench", data=tmp_path)


def test_jbb_halves_have_ids_of_their_own(tmp_path: Path) -> None:
    harmful, benign = read("jbb-behaviors", tmp_path)
    assert (harmful.id, benign.id) == ("harmful/1", "benign/1")
    assert (grades(harmful), grades(benign)) == ("U??", "S??")


def test_harmbenchs_rest_is_a_part_of_its_text_behaviours(tmp_path: Path) -> None:
    kinds = ("standard", "contextual", "copyright")
    rows = [
        {"Behavior": TOAST, "FunctionalCategory": kind, "SemanticCategory": "kitchen",
         "Tags": "", "ContextString": "A bath." if kind == "contextual" else "",
         "BehaviorID": kind}
        for kind in kinds
    ]  # fmt: skip
    put_csv(tmp_path / "data/behavior_datasets/harmbench_behaviors_text_all.csv", rows)
    for kind in kinds:
        (pair,) = load(f"harmbench:{kind}", data=tmp_path)
        assert pair.id == kind
    assert len(load("harmbench:text", data=tmp_path)) == 3
