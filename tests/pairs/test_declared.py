"""What declared sets say of files and rows that are not as they are published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import image_faults, load

from .made_sets import MADE, TOAST, Row, put, put_csv, put_json, put_lines, put_parquet


def reasons(name: str, root: Path) -> list[str]:
    return [row.reason for row in load(name, data=root, skip_bad=True).bad]


@pytest.mark.parametrize("place", ["3.png", "image/3.png", "images/3.png", "data/images/3.png"])
def test_a_published_folder_before_a_name_is_no_part_of_it(place: str, tmp_path: Path) -> None:
    row = {"text": TOAST, "category": "Food", "image": "images/3.png", "safety type": "safe"}
    put_json(tmp_path / "data.json", [row])
    put(tmp_path / place)
    assert image_faults(load("salad", data=tmp_path)) == []


def test_translations_do_not_pass_for_sorry_bench(tmp_path: Path) -> None:
    MADE["sorry-bench"].make(tmp_path)
    (tmp_path / "question_zh.jsonl").rename(tmp_path / "question_de.jsonl")
    assert len(load("sorry-bench:all", data=tmp_path)) == 3
    (tmp_path / "question.jsonl").unlink()
    with pytest.raises(VlsbenchError, match=r"no question\.jsonl in .*expected"):
        load("sorry-bench:all", data=tmp_path)


def test_all_of_sorry_bench_may_be_one_file(tmp_path: Path) -> None:
    MADE["sorry-bench"].make(tmp_path)
    (tmp_path / "question_zh.jsonl").unlink()
    assert len(load("sorry-bench:all", data=tmp_path)) == 2


def test_some_shards_do_not_pass_for_a_set(tmp_path: Path) -> None:
    MADE["holisafe"].make(tmp_path)
    (tmp_path / "data/test-00001-of-00002.parquet").unlink()
    with pytest.raises(VlsbenchError, match=r"1 of 2 files .*test-\*: fetch the rest"):
        load("holisafe", data=tmp_path)


def test_files_that_are_missing_are_told_as_patterns(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match=r"no 2-Text-Dominant Risk/\*/\*\.json in"):
        load("lingua:text", data=tmp_path)


def test_a_whole_float_is_its_integer_and_nan_is_empty(tmp_path: Path) -> None:
    severities = (0.0, 2.0, float("nan"), None)
    rows = [{"question": TOAST, "category": "a", "image_severity": each} for each in severities]
    put_parquet(tmp_path / "data/a/evaluation.parquet", rows)
    graded = [pair.grades for pair in load("beavertails-v", data=tmp_path)]
    images = [str(grades.image) for grades in graded if grades]
    assert images == ["unknown", "unsafe", "unknown", "unknown"]


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        ({"img_risk": ""}, "vulnerability/0/"),
        ({"text_risk": "2"}, "vulnerability/2/1"),
        ({"usage": "fun"}, "fun/0/1"),
    ],
)
def test_usb_says_which_values_are_none_of_its_own(odd: Row, said: str, tmp_path: Path) -> None:
    row = {"id": 1, "text": TOAST, "open_url": "a.jpg", "level1_category": "", "img_risk": "1",
           "text_risk": "0", "usage": "vulnerability"}  # fmt: skip
    put_csv(tmp_path / "USB_base_final.csv", [row, row | {"id": 2} | odd])
    (reason,) = reasons("usb", tmp_path)
    assert reason.startswith(
        f"'usage/text_risk/img_risk' is '{said}', not one of vulnerability/0/0"
    )


@pytest.mark.parametrize(
    ("kind", "said"), [({}, ""), ({"type": " "}, ""), ({"type": 7}, "7"), ({"type": "SOS"}, "SOS")]
)
def test_a_label_that_is_none_of_a_sets_own_is_told(kind: Row, said: str, tmp_path: Path) -> None:
    row = {"id": 1, "query": TOAST, "category": "kitchen", "image": "a.png"}
    put_json(tmp_path / "holisafe_bench.json", [row | {"id": 2, "type": "SSS"}, row | kind])
    reason = f"'type' is '{said}', not one of SSS, SSU, SUU, USU, UUU"
    assert reasons("holisafe:list", tmp_path) == [reason]


NEEDED: dict[str, tuple[str, str, Row]] = {
    "harmbench:text": (
        "data/behavior_datasets/harmbench_behaviors_text_all.csv",
        "ContextString",
        {"Behavior": TOAST, "SemanticCategory": "a", "FunctionalCategory": "standard",
         "BehaviorID": "b", "Source": "", "Tags": ""},
    ),
    "simplesafetytests": (
        "SimpleSafetyTests - test cases.csv",
        "category",
        {"id": "1", "prompts_final": TOAST, "harm_area": "a"},
    ),
    "strongreject": (
        "strongreject_dataset.csv",
        "source",
        {"category": "a", "forbidden_prompt": TOAST},
    ),
    "visualleakbench": (
        "metadata.csv",
        "target",
        {"filename": "a.png", "category": "OCR Injection", "pii_type": ""},
    ),
    "figstep": (
        "data/question/safebench.csv",
        "question",
        {"dataset": "SafeBench", "category_id": "1", "task_id": "1", "category_name": "a",
         "instruction": TOAST},
    ),
    "figstep:tiny": (
        "data/question/SafeBench-Tiny.csv",
        "instruction",
        {"dataset": "SafeBench", "category_id": "1", "task_id": "1", "category_name": "a",
         "question": TOAST},
    ),
    "vlsu:all": (
        "VLSU.csv",
        "consensus_combined_grade",
        {"uuid": "a", "prompt": TOAST, "combined_category": "a", "image_grade": "safe",
         "consensus_text_grade": "safe"},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("name", "told"), NEEDED.items(), ids=NEEDED)
def test_a_column_that_is_gone_is_an_error_and_an_empty_one_is_none(
    name: str, told: tuple[str, str, Row], tmp_path: Path
) -> None:
    file, column, row = told
    put_csv(tmp_path / file, [row, row])
    with pytest.raises(VlsbenchError, match=f"no '{column}'"):
        load(name, data=tmp_path)
    put_csv(tmp_path / file, [row | {column: ""}])
    assert load(name, data=tmp_path, skip_bad=True).bad == ()


def test_jailbreakv_without_a_format_shows_no_pattern(tmp_path: Path) -> None:
    row = {"id": 0, "jailbreak_query": TOAST, "format": "", "policy": "Kitchen", "image_path": "a"}
    put_csv(tmp_path / "JailBreakV_28K.csv", [row, row | {"id": 1, "format": "figstep"}])
    (reason,) = reasons("jailbreakv", tmp_path)
    assert reason.startswith("'format' is '', not one of Template")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("spa-vl", "test/harm-00000-of-00001.parquet"),
        ("holisafe", "data/test-00000-of-00001.parquet"),
        ("beavertails-v", "data/a/evaluation.parquet"),
    ],
)
def test_embedded_images_are_no_paths(name: str, file: str, tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "id": "1", "question": TOAST, "query": TOAST, "category": "a", "type": "SSS", "class1": "a",
        "image": "a.png",
    }  # fmt: skip
    put(tmp_path / "a.png")
    put(tmp_path / file)
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / file)
    with pytest.raises(VlsbenchError, match="no image"):
        load(name, data=tmp_path)


@pytest.mark.parametrize("variant", ["base", "all"])
def test_a_style_that_is_no_text_is_told(variant: str, tmp_path: Path) -> None:
    row = {"question_id": 1, "category": "2", "turns": [TOAST]}
    put_lines(tmp_path / "question.jsonl", [row, row | {"prompt_style": ["base"]}])
    assert reasons(f"sorry-bench:{variant}", tmp_path) == ["'prompt_style' is list, not text"]
