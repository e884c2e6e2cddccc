"""Scores that lmms-eval and VLMEvalKit wrote, read strictly."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import vlsbench
from vlsbench.comparing import ABILITIES, read_abilities
from vlsbench.errors import VlsbenchError

LMMS: dict[str, Any] = {
    "results": {
        "mme": {
            "alias": "mme",
            "mme_cognition_score,none": 355.0,
            "mme_cognition_score_stderr,none": "N/A",
            "mme_perception_score,none": 1510.7,
            "mme_perception_score_stderr,none": "N/A",
        },
        "mmmu_val": {"alias": "mmmu_val", "mmmu_acc,none": 0.3644},
        "mmstar": {"alias": "mmstar", "math,none": 0.3, "average,none": 0.3374},
        "mmvet": {"alias": "mmvet", "gpt_eval_score,none": 29.82},
        "pope": {"pope_accuracy,none": 0.86},
    },
    "n-samples": {"mmstar": {"original": 1500, "effective": 1500}},
    "model_name": "lab/toaster-7b",
}
WANTED = {
    "mme_perception": 1510.7,
    "mme_cognition": 355.0,
    "mmmu": 36.44,
    "mmstar": 33.74,
    "mmvet": 29.82,
}
quick = settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
names = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), max_size=12)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)


def _lmms(tmp_path: Path, value: object, name: str = "20260101_120000_results.json") -> Path:
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), "utf-8")
    return path


def _kit(path: Path, rows: list[dict[str, object]]) -> Path:
    """Write rows as VLMEvalKit does: every cell quoted."""
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(out.getvalue(), "utf-8", newline="")
    return path


def _kit_folder(root: Path) -> Path:
    _kit(
        root / "T" / "toaster_MME_score.csv",
        [{"perception": 1510.7, "reasoning": 355.0, "OCR": 125.0, "artwork": 119.5}],
    )
    _kit(
        root / "T" / "toaster_MMMU_DEV_VAL_acc.csv",
        [
            {"split": "dev", "Overall": 0.41, "Art": 0.5},
            {"split": "validation", "Overall": 0.3644, "Art": 0.4},
        ],
    )
    _kit(root / "T" / "toaster_MMStar_acc.csv", [{"split": "none", "Overall": 0.3374}])
    _kit(
        root / "T" / "toaster_MMVet_gpt-4-turbo_score.csv",
        [
            {"Category": "rec", "tot": 187, "acc": 33.1},
            {"Category": "Overall", "tot": 218, "acc": 29.82},
        ],
    )
    _kit(root / "T" / "toaster_MMVet_gpt-4-turbo_score_fine.csv", [{"Category": "x", "acc": 1}])
    _kit(root / "T" / "toaster_POPE_score.csv", [{"split": "Overall", "acc": 86}])
    return root


def _scores(path: Path) -> dict[str, float]:
    return {key: round(found.score, 6) for key, found in read_abilities(path).items()}


def test_lmms_eval_and_vlmevalkit_give_the_same_columns(tmp_path: Path) -> None:
    assert _scores(_lmms(tmp_path, LMMS)) == WANTED
    assert _scores(_kit_folder(tmp_path / "kit")) == WANTED
    assert list(WANTED) == [ability.key for ability in ABILITIES]


def test_the_older_spelling_of_perception_is_read(tmp_path: Path) -> None:
    path = _lmms(tmp_path, {"results": {"mme": {"mme_percetion_score": 1400}}})
    assert _scores(path) == {"mme_perception": 1400}


def test_rows_as_json_are_read_like_csv(tmp_path: Path) -> None:
    rows = [{"split": "none", "Overall": 0.3374, "math": 0.3}]
    path = _lmms(tmp_path, rows, "toaster_MMStar_acc.json")
    assert _scores(path) == {"mmstar": 33.74}


def test_a_link_to_a_file_in_the_same_folder_is_no_second_score(tmp_path: Path) -> None:
    folder = _kit_folder(tmp_path / "kit")
    (folder / "toaster_MMStar_acc.csv").symlink_to(folder / "T" / "toaster_MMStar_acc.csv")
    assert _scores(folder) == WANTED


def test_two_different_scores_in_a_folder_are_refused(tmp_path: Path) -> None:
    folder = _kit_folder(tmp_path / "kit")
    _kit(folder / "again" / "toaster_MMStar_acc.csv", [{"split": "none", "Overall": 0.5}])
    with pytest.raises(VlsbenchError, match="different scores of mmstar"):
        read_abilities(folder)


@pytest.mark.long
def test_a_run_on_part_of_the_questions_says_so(runs: Path, tmp_path: Path) -> None:
    part = LMMS | {"n-samples": {"mmstar": {"original": 1500, "effective": 8}}}
    found = vlsbench.compare([runs / "leaky-blind"], ability=[_lmms(tmp_path, part)])
    assert any("mmstar is on 8 of 1,500 questions" in note for note in found.notes)


@pytest.mark.parametrize(
    ("name", "content", "wanted"),
    [
        ("a_results.json", "{", "is not valid JSON"),
        ("a_results.json", "[1]", "must be a table, not a list"),
        ("a_results.json", '{"results": {"pope": {}}}', "holds no MME"),
        ("a_results.json", '{"results": {"mme": 3}}', "results.mme: must be a table"),
        ("a_results.json", '{"results": {"mmstar": {"math,none": 0.1}}}', "no average, only math"),
        (
            "a_results.json",
            '{"results": {"mmstar": {"average,none": "N/A"}}}',
            "number from 0 to 1;",
        ),
        ("a_results.json", '{"results": {"mmstar": {"average,none": true}}}', "not a number"),
        (
            "a_results.json",
            '{"results": {"mmstar": {"average,none": NaN}}}',
            "number from 0 to 1;",
        ),
        (
            "a_results.json",
            '{"results": {"mmstar": {"average,none": 33.7}}}',
            "number from 0 to 1;",
        ),
        (
            "a_results.json",
            '{"results": {"mmvet": {"gpt_eval_score": -1}}}',
            "from 0 to 100;",
        ),
        (
            "x_MME_score.csv",
            '"perception","OCR"\n"1500","90"\n',
            "with perception and reasoning",
        ),
        ("x_MME_score.csv", '"perception","reasoning"\n', "with perception and reasoning"),
        ("x_MME_score.csv", '"perception","reasoning"\n"a","300"\n', "not a number"),
        (
            "x_MMMU_DEV_VAL_acc.csv",
            '"split","Overall"\n"dev","0.3"\n',
            "'validation' and Overall",
        ),
        (
            "x_MMVet_gpt_score.csv",
            '"Category","acc"\n"rec","30"\n',
            "'Overall' and acc",
        ),
        ("x_MMStar_acc.csv", '"split","Overall"\n"none","33.7"\n', "number from 0 to 1;"),
        ("x_MMStar_acc.json", '{"Overall": {"0": 0.3}}', "must be a list, not a table"),
        ("x_POPE_score.csv", "a\n1\n", "holds no MME"),
        ("scores.xlsx", "", "holds no MME"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(
    tmp_path: Path, name: str, content: str, wanted: str
) -> None:
    path = tmp_path / name
    path.write_text(content, "utf-8")
    with pytest.raises(VlsbenchError, match=wanted) as caught:
        read_abilities(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_empty_folder_and_a_missing_file_are_said(tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="holds no MME"):
        read_abilities(tmp_path)
    with pytest.raises(VlsbenchError, match=r"a_results\.json: no such file"):
        read_abilities(tmp_path / "a_results.json")


@quick
@given(
    perception=st.floats(0, 2000),
    reasoning=st.floats(0, 800),
    others=st.dictionaries(
        names.filter(lambda name: name not in ("perception", "reasoning")), st.floats(), max_size=4
    ),
    first=st.booleans(),
)
def test_a_table_is_read_whatever_else_is_in_it(
    tmp_path: Path,
    perception: float,
    reasoning: float,
    others: dict[str, object],
    first: bool,
) -> None:
    mine: dict[str, object] = {"perception": perception, "reasoning": reasoning}
    row = mine | others if first else others | mine
    path = _kit(tmp_path / "x_MME_score.csv", [row])
    assert {key: found.score for key, found in read_abilities(path).items()} == {
        "mme_perception": perception,
        "mme_cognition": reasoning,
    }


@quick
@given(score=st.floats(0, 1), others=st.dictionaries(names, anything, max_size=4))
def test_lmms_eval_round_trips_beside_any_other_task(
    tmp_path: Path, score: float, others: dict[str, object]
) -> None:
    tasks = {key: value for key, value in others.items() if not key.startswith("mm")}
    value = {"results": tasks | {"mmmu_val": {"mmmu_acc,none": score}}, "n-samples": others}
    found = read_abilities(_lmms(tmp_path, value))
    assert found["mmmu"].score == pytest.approx(100 * score)


@quick
@given(value=anything, name=st.sampled_from(["a_results.json", "x_MME_score.json"]))
def test_no_json_breaks_the_reader(tmp_path: Path, value: object, name: str) -> None:
    _read_or_refuse(_lmms(tmp_path, value, name))
    if name.startswith("a"):
        _read_or_refuse(_lmms(tmp_path, {"results": {"mme": value, "mmvet": value}}, name))
        metric = {"mme_perception_score,none": value}
        _read_or_refuse(_lmms(tmp_path, {"results": {"mme": metric}, "n-samples": value}, name))


@quick
@given(
    content=st.binary(max_size=80)
    | st.text('"perception,reasoning\n\r0123.-eE ', max_size=80).map(str.encode),
    name=st.sampled_from(
        ["x_MME_score.csv", "x_MMMU_DEV_VAL_acc.csv", "x_MMVet_j_score.csv", "a_results.json"]
    ),
)
def test_no_bytes_break_the_reader(tmp_path: Path, content: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(content)
    _read_or_refuse(tmp_path / name)


def _read_or_refuse(path: Path) -> None:
    tops = {ability.key: ability.top for ability in ABILITIES}
    refused = ""
    found = {}
    try:
        found = read_abilities(path)
    except VlsbenchError as error:
        refused = str(error)
    assert found or str(path) in refused
    assert all(0 <= score.score <= tops[key] * 1.001 for key, score in found.items())


def test_scores_go_to_the_row_of_the_model_that_the_file_names(runs: Path, tmp_path: Path) -> None:
    two = [runs / "leaky-blind", runs / "leaky-helpful"]
    path = _lmms(tmp_path, LMMS | {"model_name": "some-org/helpful"})
    found = vlsbench.compare(two, ability=[path])
    assert "mmmu" not in found.rows[0].cells
    assert found.rows[1].cells["mmmu"].score == pytest.approx(36.44)
    assert [column.title for column in found.columns[-5:]] == [
        "MME perception",
        "MME cognition",
        "MMMU",
        "MMStar",
        "MMVet",
    ]
    unknown = _lmms(tmp_path / "other", LMMS)
    with pytest.raises(VlsbenchError, match=r"fits no row or several.*--ability NAME="):
        vlsbench.compare(two, ability=[unknown])
    named = vlsbench.compare(two, ability=[f"lab/blind={unknown}"])
    assert named.rows[0].cells["mmvet"].score == 29.82
    with pytest.raises(VlsbenchError, match="no row is named 'nobody'"):
        vlsbench.compare(two, ability=[f"nobody={unknown}"])
