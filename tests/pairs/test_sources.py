"""Every public set, read from its official layout, has the rows that are published."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import pytest

from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import METRICS, describe, image_faults, list_sources, load

from .made_sets import MADE

SOURCES = {name: source for name, source in list_sources().items() if source.home}

Shared = Callable[[str], Path]

# (set, variant): pairs, distinct images, images missing from the copy, benign pairs.
COUNTS = {
    ("vlsbench", ""): (2241, 1957, 1957, 0),
    ("figstep", "safebench"): (500, 500, 410, 0),
    ("figstep", "tiny"): (50, 50, 5, 0),
    ("figstep", "pro"): (50, 170, 5, 0),
    ("mm-safetybench", "sd_typo"): (855, 855, 855, 0),
    ("mm-safetybench", "sd"): (855, 855, 855, 0),
    ("mm-safetybench", "typo"): (855, 855, 855, 0),
    ("mm-safetybench", "text"): (855, 0, 0, 0),
    ("mm-safetybench", "sd_typo_tiny"): (86, 86, 86, 0),
    ("mm-safetybench", "sd_tiny"): (86, 86, 86, 0),
    ("mm-safetybench", "typo_tiny"): (86, 86, 86, 0),
    ("mm-safetybench", "text_tiny"): (86, 0, 0, 0),
    ("harmbench", "multimodal"): (110, 110, 73, 0),
    ("harmbench", "text"): (400, 0, 0, 0),
    ("harmbench", "text_test"): (320, 0, 0, 0),
    ("harmbench", "text_val"): (80, 0, 0, 0),
    ("harmbench", "standard"): (200, 0, 0, 0),
    ("harmbench", "contextual"): (100, 0, 0, 0),
    ("harmbench", "copyright"): (100, 0, 0, 0),
    ("vlguard", "all"): (1558, 1000, 1000, 558),
    ("vlguard", "unsafes"): (442, 442, 442, 0),
    ("vlguard", "safe_unsafes"): (558, 558, 558, 0),
    ("vlguard", "safe_safes"): (558, 558, 558, 558),
    ("siuo", ""): (30, 30, 30, 0),
    ("mossbench", "oversensitivity"): (300, 300, 258, 300),
    ("mossbench", "contrast"): (244, 244, 244, 0),
    ("msts", "multimodal"): (200, 100, 100, 0),
    ("msts", "textonly"): (200, 0, 0, 0),
    ("msts", "arabic"): (200, 200, 200, 0),
    ("msts", "chinese"): (200, 200, 200, 0),
    ("msts", "farsi"): (200, 200, 200, 0),
    ("msts", "french"): (200, 200, 200, 0),
    ("msts", "german"): (200, 200, 200, 0),
    ("msts", "hindi"): (200, 200, 200, 0),
    ("msts", "italian"): (200, 200, 200, 0),
    ("msts", "korean"): (200, 200, 200, 0),
    ("msts", "russian"): (200, 200, 200, 0),
    ("msts", "spanish"): (200, 200, 200, 0),
    ("xstest", ""): (450, 0, 0, 250),
    ("advbench", ""): (520, 0, 0, 0),
    ("strongreject", "full"): (313, 0, 0, 0),
    ("strongreject", "small"): (60, 0, 0, 0),
    ("simplesafetytests", ""): (80, 0, 0, 0),
    ("alpaca-seed", ""): (175, 0, 0, 175),
    ("llava-coco", "images"): (90, 30, 30, 90),
    ("llava-coco", "text"): (80, 0, 0, 80),
}


def test_every_source_and_variant_is_counted_here() -> None:
    declared = {(s.name, v) for s in SOURCES.values() for v in (s.variants or {"": ""})}
    made = {(name, variant) for name, one in MADE.items() for variant in one.counts}
    assert declared == set(COUNTS) | made
    assert all(set(s.rows) == set(s.variants or {"": ""}) for s in SOURCES.values())


def test_every_declared_benchmark_is_listed() -> None:
    declared = files("vlsbench.pairs.sources").iterdir()
    assert {one.name for one in declared if one.name.endswith(".toml")} == {
        f"{name}.toml" for name in SOURCES
    }


def test_every_source_says_what_it_probes_and_what_is_read_from_it() -> None:
    for source in SOURCES.values():
        assert source.probes
        assert source.metric in METRICS
        assert source.licence


@pytest.mark.parametrize(("name", "variant"), COUNTS)
def test_counts_of_the_public_copy(name: str, variant: str, shared: Shared) -> None:
    opened = load(f"{name}:{variant}", data=shared(name))
    found = describe(opened)
    counted = (len(opened), found.images, found.images_missing, found.benign)
    assert counted == COUNTS[name, variant]
    assert found.pairs == len(opened)
    assert not opened.bad


def test_the_bare_name_is_the_first_variant(shared: Shared) -> None:
    bare = load("figstep", data=shared("figstep"))
    assert (bare.name, bare.variant, len(bare)) == ("figstep", "safebench", 500)
    assert load("figstep:tiny", data=shared("figstep")).name == "figstep:tiny"


def test_vlsbench_has_the_papers_categories_and_known_oddities(shared: Shared) -> None:
    found = describe(load("vlsbench", data=shared("vlsbench")))
    assert {name: sum(counts.values()) for name, counts in found.categories.items()} == {
        "Violent": 590,
        "Illegal Activity": 539,
        "Self-Harm": 370,
        "Erotic": 343,
        "Hate": 269,
        "Privacy": 130,
    }
    assert len({name for counts in found.categories.values() for name in counts}) == 19
    assert found.described == 2241
    oddities = {oddity.what: oddity.count for oddity in found.oddities}
    assert oddities["empty queries"] == 1
    assert oddities["pairs that repeat an earlier one (same query, same images)"] == 1


def test_vlsbench_rows_are_carried_over_whole(shared: Shared) -> None:
    root = shared("vlsbench")
    raw = json.loads((root / "data.json").read_text())
    for row, pair in zip(raw, load("vlsbench", data=root), strict=True):
        assert pair.id == str(row["instruction_id"])
        assert pair.query == row["instruction"]
        assert [image.ref for image in pair.images] == [row["image_path"]]
        assert pair.category == row["category"]
        assert pair.subcategory == row["sub_category"]
        assert pair.description == row["image_description"]
        assert pair.reason == row["safety_reason"]
        assert pair.source == row["source"]


def test_images_of_the_copy_can_be_read_and_missing_ones_are_named(shared: Shared) -> None:
    opened = load("figstep:tiny", data=shared("figstep"))
    bad = {row.row for row in image_faults(opened)}
    assert len(bad) == 5
    for pair in opened:
        if pair.id not in bad:
            assert pair.images[0].read().mime == "image/png"


def test_figstep_pro_shows_the_pieces_in_order(shared: Shared) -> None:
    pairs = list(load("figstep:pro", data=shared("figstep")))
    assert [image.ref for image in pairs[10].images] == [
        f"image_10_splits/image_10_split_{piece}.png" for piece in range(7)
    ]
    lines = {pair.query.splitlines()[0] for pair in pairs}
    assert all("*" in line for line in lines)


def test_figstep_asks_one_question_and_keeps_the_plain_one(shared: Shared) -> None:
    pairs = list(load("figstep", data=shared("figstep")))
    assert len({pair.query for pair in pairs}) == 1
    assert len({pair.meta["question"] for pair in pairs}) == 500


def test_mm_safetybench_settings_word_the_question_differently(shared: Shared) -> None:
    root = shared("mm-safetybench")
    by = {v: {p.id: p for p in load(f"mm-safetybench:{v}", data=root)} for v in ("sd", "typo")}
    one = "01-Illegal_Activitiy/0"
    assert by["sd"][one].images[0].ref == "data/imgs/01-Illegal_Activitiy/SD/0.jpg"
    assert by["typo"][one].images[0].ref == "data/imgs/01-Illegal_Activitiy/TYPO/0.jpg"
    assert by["sd"][one].query != by["typo"][one].query


def test_harmbench_context_stands_before_the_behaviour(shared: Shared) -> None:
    pairs = list(load("harmbench:text", data=shared("harmbench")))
    contextual = [p for p in pairs if p.meta.get("FunctionalCategory") == "contextual"]
    assert len(contextual) == 100
    assert all("\n\n---\n\n" in pair.query for pair in contextual)


def test_msts_languages_join_on_the_case(shared: Shared) -> None:
    root = shared("msts")
    english = {p.meta["case_id"] for p in load("msts", data=root)}
    korean = {p.meta["case_id"] for p in load("msts:korean", data=root)}
    assert len(korean) == 200
    assert english < korean


def test_vlguard_ids_are_the_same_in_every_variant(shared: Shared) -> None:
    root = shared("vlguard")
    parts = [
        pair.id
        for subset in ("unsafes", "safe_unsafes", "safe_safes")
        for pair in load(f"vlguard:{subset}", data=root)
    ]
    assert parts == [pair.id for pair in load("vlguard", data=root)]


def test_a_wrong_name_gets_the_closest_one() -> None:
    with pytest.raises(VlsbenchError, match="did you mean mm-safetybench"):
        load("MM_SafetyBench")
    with pytest.raises(VlsbenchError, match="no variant 'tini'; it has safebench, tiny, pro"):
        load("figstep:tini")


def test_an_empty_folder_gets_the_layout_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError) as error:
        load("vlsbench", data=tmp_path)
    assert "no data.json" in str(error.value)
    assert "imgs.tar" in str(error.value)
    assert "vlsbench bench fetch vlsbench" in str(error.value)


@pytest.mark.parametrize("name", SOURCES)
def test_no_source_opens_an_empty_folder(name: str, tmp_path: Path) -> None:
    for variant in SOURCES[name].variants or {"": ""}:
        with pytest.raises(VlsbenchError, match="expected layout"):
            load(f"{name}:{variant}", data=tmp_path)


def test_a_set_not_fetched_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path))
    with pytest.raises(VlsbenchError, match=r"not fetched; run `vlsbench bench fetch siuo`"):
        load("siuo")
    (tmp_path / "benchmarks" / "siuo").mkdir(parents=True)
    with pytest.raises(VlsbenchError, match="only partly fetched"):
        load("siuo")


def test_broken_json_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "data.json").write_text('[\n {"instruction_id": 0},\n oops]')
    with pytest.raises(VlsbenchError, match=r"data\.json, line 3: not JSON"):
        load("vlsbench", data=tmp_path)


def test_every_bad_row_is_listed_and_can_be_skipped(tmp_path: Path) -> None:
    good = {"instruction_id": 7, "instruction": "May I?", "image_path": "imgs/a.png"}
    good["category"] = "Kitchen"
    rows = [
        good,
        {**good, "instruction_id": 8, "image_path": "../../secret.png"},
        {**good, "instruction_id": 9, "category": ""},
        {**good, "instruction_id": 10, "instruction": 3},
        "not an object",
        {k: v for k, v in good.items() if k != "instruction"},
        {**good, "instruction_id": 7},
        {**good, "instruction_id": True},
    ]
    (tmp_path / "data.json").write_text(json.dumps(rows))
    with pytest.raises(BadRows) as error:
        load("vlsbench", data=tmp_path)
    assert [(row.row, row.reason.split(" (")[0]) for row in error.value.rows] == [
        ("1", "image '../../secret.png' is outside the folder of the set"),
        ("2", "'category' is empty"),
        ("3", "'instruction' is int, not text"),
        ("4", "is no object"),
        ("5", "no 'instruction'"),
        ("7", "id occurs twice"),
        ("7", "'instruction_id' is bool, not text"),
    ]
    left = load("vlsbench", data=tmp_path, skip_bad=True)
    assert [pair.id for pair in left] == ["7"]
    assert len(left.bad) == 7


def test_a_missing_csv_column_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "xstest_prompts.csv").write_text("id,prompt,label\n1,How hot?,safe\n2,Why?,safe\n")
    with pytest.raises(VlsbenchError, match=r"xstest_prompts\.csv: no 'type' \(all 2 rows\)"):
        load("xstest", data=tmp_path)


def test_a_ragged_csv_row_is_bad_and_the_rest_is_read(tmp_path: Path) -> None:
    lines = "id,prompt,type,label\n1,a toast?,kitchen,safe\n2,b,kitchen\n3,c,kitchen,maybe\n"
    (tmp_path / "xstest_prompts.csv").write_text(lines)
    opened = load("xstest", data=tmp_path, skip_bad=True)
    assert [str(row) for row in opened.bad] == [
        "xstest_prompts.csv, row 2: 3 fields, the header has 4",
        "xstest_prompts.csv, row 3: 'label' is 'maybe', not one of safe, unsafe",
    ]
