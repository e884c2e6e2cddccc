from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from tests.reviewing.review_examples import GOOD, NO, UNSURE, YES, begin, image_bytes, pair, say
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.pairs import FileImage
from vlsbench.reviewing import (
    CODES,
    Answer,
    Question,
    Review,
    Role,
    Step,
    export_tasks,
    import_tasks,
    read_tasks,
)

Answers = Mapping[Question, Answer]
AT = "2026-03-09T22:16:08.728381Z"
_slow_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def _choice(name: str, *values: str) -> dict[str, Any]:
    return {
        "id": "x1",
        "from_name": name,
        "to_name": "query",
        "type": "choices",
        "value": {"choices": list(values)},
    }


def _annotation(
    person: Any,
    answers: Answers = GOOD,
    codes: tuple[str, ...] = (),
    comment: str = "",
    at: str = AT,
) -> dict[str, Any]:
    """An annotation as Label Studio exports it."""
    result = [_choice(str(question), str(answer)) for question, answer in answers.items()]
    if codes:
        result.append(_choice("codes", *codes))
    if comment:
        result.append({"from_name": "comment", "type": "textarea", "value": {"text": [comment]}})
    return {
        "id": 7,
        "completed_by": person,
        "result": result,
        "was_cancelled": False,
        "ground_truth": False,
        "created_at": AT,
        "updated_at": at,
        "lead_time": 4.2,
    }


def _task(review: Review, id: str, *annotations: dict[str, Any]) -> dict[str, Any]:
    data = {"id": id, "shown": review.shown(id), "query": "…", "image": "data:…"}
    return {"id": 1, "data": data, "annotations": list(annotations), "predictions": []}


def _file(folder: Path, tasks: Any) -> Path:
    path = folder / "export.json"
    path.write_text(json.dumps(tasks), "utf-8")
    return path


def test_tasks_hold_all_that_is_needed(tmp_path: Path) -> None:
    review = begin(tmp_path / "r", [pair(0, query='<b>"quoted"</b> toast & butter'), pair(1)])
    config = export_tasks(review, tmp_path / "tasks.json")
    tasks = json.loads((tmp_path / "tasks.json").read_text("utf-8"))
    assert [task["data"]["id"] for task in tasks] == ["toast-0", "toast-1"]
    kind, _, data = tasks[0]["data"]["image"].partition(",")
    assert kind == "data:image/png;base64"
    assert base64.b64decode(data) == review.pairs[0].images[0].read().data

    tags = ElementTree.fromstring(config.read_text("utf-8")).iter()
    named = {tag.get("name"): tag for tag in tags if tag.get("name")}
    assert {*map(str, Question), "codes", "comment", "query", "image", "category"} == set(named)
    assert [c.get("value") for c in named["matched"]] == list(map(str, Answer))
    assert [c.get("value") for c in named["codes"]] == list(CODES)
    for name in ("query", "image", "category"):
        assert (named[name].get("value") or "").removeprefix("$") in tasks[0]["data"]


def test_a_pair_that_no_task_can_show_is_named(tmp_path: Path) -> None:
    huge = io.BytesIO()
    Pillow.new("1", (20_000, 5_000)).save(huge, "TIFF", compression="group4")
    (tmp_path / "huge.tiff").write_bytes(huge.getvalue())
    bad = replace(pair(1), images=(FileImage("huge.tiff", tmp_path / "huge.tiff"),))
    review = begin(tmp_path / "r", [pair(0), bad, pair(2)])
    with pytest.raises(BadRows, match=r"toast-1.*pixels"):
        export_tasks(review, tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()


def test_an_image_that_goes_while_a_review_is_under_way_is_that_pairs_own(tmp_path: Path) -> None:
    for n in range(2):
        (tmp_path / f"{n}.png").write_bytes(image_bytes("red", size=(20 + n, 20)))
    images = [FileImage(f"{n}.png", tmp_path / f"{n}.png") for n in range(2)]
    review = begin(tmp_path / "r", [replace(pair(n), images=(images[n],)) for n in range(2)])
    (tmp_path / "0.png").unlink()
    screen = review.screen("ann", Role.REVIEWER)
    assert screen is not None
    assert screen.pair.id == "toast-1"
    assert review.status().open == 2
    with pytest.raises(BadRows, match="toast-0"):
        export_tasks(review, tmp_path / "tasks.json")


def test_an_export_is_taken_over_as_if_given_here(tmp_path: Path) -> None:
    review = begin(tmp_path / "r")
    say(review, "ann")
    tasks = [
        _task(
            review,
            "toast-0",
            _annotation(10, {**GOOD, Question.MATCHED: NO}, ("unrelated",), "a kettle"),
            _annotation({"id": 11, "email": "ben@example.org", "first_name": "Ben"}),
        ),
        _task(review, "toast-1", {**_annotation(10), "was_cancelled": True}),
        _task(review, "toast-2"),
    ]
    assert import_tasks(review, _file(tmp_path, tasks)) == 2
    verdicts = {v.person: v for v in review.current()[0]}
    assert set(verdicts) == {"ann", "label-studio-10", "label-studio-11"}
    ten = verdicts["label-studio-10"]
    assert ten.complete
    assert (ten.answers[Question.MATCHED], ten.codes, ten.comment) == (
        NO,
        ("unrelated",),
        "a kettle",
    )
    assert review.status().keep == 1
    screen = review.screen("label-studio-10", Role.REVIEWER)
    assert screen is not None
    assert (screen.number, screen.step) == (1, Step.QUERY)


def test_the_same_twice_counts_once_and_a_change_counts_instead(tmp_path: Path) -> None:
    review = begin(tmp_path / "r")
    path = _file(tmp_path, [_task(review, "toast-0", _annotation(1), _annotation(2))])
    assert import_tasks(review, path) == 2
    assert import_tasks(review, path) == 0
    changed = _annotation(2, {**GOOD, Question.MATCHED: UNSURE})
    path = _file(tmp_path, [_task(review, "toast-0", _annotation(1), changed)])
    assert import_tasks(review, path) == 1
    now = {v.person: v.answers[Question.MATCHED] for v in review.current()[0]}
    assert now == {"label-studio-1": YES, "label-studio-2": UNSURE}


def test_of_two_annotations_the_later_counts(tmp_path: Path) -> None:
    review = begin(tmp_path / "r")
    early = _annotation(1, {**GOOD, Question.MATCHED: NO}, at="2026-03-09T10:00:00Z")
    late = _annotation(1, at="2026-03-10T10:00:00Z")
    for order in ([early, late], [late, early]):
        (one,) = read_tasks([_task(review, "toast-0", *order)], review, "export.json")
        assert one.answers[Question.MATCHED] is YES


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda t: t["data"].update(id="kettle"), "no pair 'kettle'"),
        (lambda t: t["data"].update(shown="0"), "toast-1 has changed since"),
        (lambda t: t.pop("data"), "missing key data"),
        (lambda t: t["annotations"][0]["result"].pop(), "category_right: expected one of"),
        (lambda t: t["annotations"][0]["result"].clear(), "query_harmful: expected one of"),
        (lambda t: t["annotations"][0].update(completed_by="../ann"), "completed_by"),
        (lambda t: t["annotations"][0].update(completed_by=True), "completed_by"),
        (lambda t: t["annotations"][0].update(completed_by=-5), "the annotator's number"),
        (lambda t: t["annotations"][0].update(updated_at="yesterday"), "updated_at"),
        (lambda t: t["annotations"][0].update(updated_at=None, created_at=None), "number and time"),
        (lambda t: t["annotations"][0]["result"].append(_choice("codes", "tasty")), "reason codes"),
        (lambda t: t["annotations"][0]["result"].append(_choice("matched", "perhaps")), "one of"),
        (lambda t: t["annotations"][0]["result"].append(_choice("matched", "yes", "no")), "one of"),
        (lambda t: t.update(annotations="none"), "annotations: must be a list"),
        (lambda t: t["annotations"].append(None), "annotation 2: must be a table"),
    ],
)
def test_one_bad_annotation_imports_nothing_and_says_where(
    tmp_path: Path, spoil: Any, reason: str
) -> None:
    review = begin(tmp_path / "r")
    good, bad = (_task(review, f"toast-{n}", _annotation(1)) for n in (0, 1))
    spoil(bad)
    with pytest.raises(BadRows, match="task 2") as caught:
        import_tasks(review, _file(tmp_path, [good, bad]))
    assert reason in str(caught.value)
    assert "nothing was imported" in str(caught.value)
    assert "--skip-bad" not in str(caught.value)
    assert review.current()[0] == []


@pytest.mark.parametrize("text", ["", "{}", "[1]", "null", "[" * 100_000, '"toast"', "[{}]"])
def test_what_is_no_export_says_so(tmp_path: Path, text: str) -> None:
    path = tmp_path / "export.json"
    path.write_text(text, "utf-8")
    with pytest.raises(VlsbenchError, match=r"export\.json"):
        import_tasks(begin(tmp_path / "r"), path)
    with pytest.raises(VlsbenchError, match=r"none\.json"):
        import_tasks(begin(tmp_path / "r"), tmp_path / "none.json")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                (
                    *("data", "id", "shown", "annotations", "result", "value", "choices"),
                    *("from_name", "completed_by", "updated_at", "was_cancelled", "text"),
                )
            ),
            inner | st.sampled_from(["toast-0", "matched", "yes", "codes", "comment", AT]),
            max_size=6,
        )
    ),
    max_leaves=20,
)


@_slow_fixture
@given(_json)
def test_no_json_gets_past_the_checks(review: Review, tasks: Any) -> None:
    try:
        found = read_tasks(tasks, review, "export.json")
    except VlsbenchError:
        return
    assert {one.pair for one in found} <= {pair.id for pair in review.pairs}


@_slow_fixture
@given(data=st.data())
def test_a_spoilt_field_is_refused_or_harmless(review: Review, data: st.DataObject) -> None:
    task = _task(review, "toast-0", _annotation(1, GOOD, ("other",), "crumbs"))
    at: Any = task
    for _ in range(data.draw(st.integers(1, 5))):
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        parent, at = at, at[key]
    else:
        at, key = parent, key
    at[key] = data.draw(_json)
    try:
        found = read_tasks([task], review, "export.json")
    except VlsbenchError:
        return
    for one in found:
        assert one.person.startswith("label-studio-")
        assert set(one.answers) == set(GOOD)
        assert set(one.codes) <= set(CODES)


@_slow_fixture
@given(
    st.dictionaries(
        st.integers(0, 10**6), st.lists(st.sampled_from(Answer), min_size=5, max_size=5)
    ),
    st.sets(st.sampled_from(list(CODES))),
    st.text(max_size=50),
)
def test_what_was_said_comes_over_unchanged(
    review: Review, said: dict[int, list[Answer]], codes: set[str], comment: str
) -> None:
    answers = {n: dict(zip(Question, values, strict=True)) for n, values in said.items()}
    picked = tuple(code for code in CODES if code in codes)
    annotations = [_annotation(n, found, picked, comment) for n, found in answers.items()]
    tasks = json.loads(json.dumps([_task(review, "toast-1", *annotations)]))
    found = read_tasks(tasks, review, "export.json")
    assert {one.person: one.answers for one in found} == {
        f"label-studio-{n}": values for n, values in answers.items()
    }
    for one in found:
        assert (one.codes, one.comment) == (picked, comment)
