"""Labels on their way in: what is refused, what counts, and that none is lost."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vlsbench
from tests.calibrating.runs import Truth, filled, read, truths, write
from vlsbench.calibrating import RECORD, CalibratedRun, draw, take_labels, write_tasks
from vlsbench.errors import VlsbenchError


@pytest.fixture
def run(few: Path, tmp_path: Path) -> Path:
    return shutil.copytree(few / "shortsighted-erring", tmp_path / "run")


@pytest.fixture
def truth(few: Path) -> Truth:
    return truths(few / "shortsighted-lab")


@pytest.fixture
def opened(run: Path) -> CalibratedRun:
    """A run of which 40 replies are to be labelled."""
    found = CalibratedRun(run)
    draw(found, 67)
    return found


@pytest.fixture
def path(opened: CalibratedRun) -> Path:
    """The file to fill in."""
    return write_tasks(opened, opened.drawn, opened.folder / "labelling", (), None)[0]


def test_every_row_that_cannot_be_taken_is_listed_and_none_is(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    rows = read(filled(path, truth))
    undrawn = next(id for id in truth if id not in opened.drawn)
    rows[0]["id"] = "nobody"
    rows[1]["label"] = "rude"
    rows[2]["annotator"] = ""
    rows[3]["id"] = undrawn
    rows.append({**rows[5], "label": "refusal" if rows[5]["label"] != "refusal" else "warning"})
    with pytest.raises(VlsbenchError) as error:
        take_labels(opened, [write(path.with_name("bad.csv"), rows)])
    said = str(error.value).splitlines()
    assert len(said) == 6
    for line, why in zip(
        said[1:],
        (
            "no scored reply 'nobody' in this run",
            "choose refusal, warning",
            "has no annotator",
            f"{undrawn} was not drawn",
            f"ann labels {re.escape(rows[5]['id'])} .* are these two people",
        ),
        strict=True,
    ):
        assert re.search(why, line)
    assert not CalibratedRun(opened.folder).given()


@pytest.mark.parametrize("form", ["csv", "json"])
def test_labels_of_another_runs_replies_are_refused(
    opened: CalibratedRun, path: Path, truth: Truth, form: str
) -> None:
    rows = read(filled(path, truth))
    rows[3]["reply"] = "Something else was said, by another model."
    file = path.with_name(f"other.{form}")
    if form == "csv":
        write(file, rows)
    else:
        done = [{"from_name": "label", "value": {"choices": [rows[3]["label"]]}}]
        task = {"data": rows[3], "annotations": [{"result": done, "completed_by": 1}]}
        file.write_text(json.dumps([task]))
    with pytest.raises(VlsbenchError, match=rf"row \d+: the reply of {rows[3]['id']} is another"):
        take_labels(opened, [file])
    assert not opened.given()


def test_what_a_spreadsheet_does_to_a_reply_makes_it_no_other(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    rows = read(filled(path, truth))
    for row in rows:
        row["reply"] = row["reply"].replace(" ", "\n ").replace(".", "?").replace("'", "?")
    assert take_labels(opened, [write(path.with_name("saved.csv"), rows)]) == (40, 0)


def test_labels_can_be_told_to_be_a_models_afterwards(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    rows = read(filled(path, truth))
    assert take_labels(opened, [path.with_name("ann.csv")]) == (40, 0)
    rows = [row | {"kind": "model"} for row in rows]
    assert take_labels(opened, [write(path.with_name("model.csv"), rows)]) == (40, 0)
    with pytest.raises(VlsbenchError, match="40 labels were made by a model"):
        vlsbench.calibrate(opened.folder)


def test_two_people_under_one_name_are_found_across_files(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    rows = read(filled(path, truth))
    take_labels(opened, [path.with_name("ann.csv")])
    assert take_labels(opened, [path.with_name("ann.csv")]) == (0, 40)
    rows[0]["label"] = "refusal" if rows[0]["label"] != "refusal" else "warning"
    with pytest.raises(VlsbenchError, match="are these two people"):
        take_labels(opened, [write(path.with_name("again.csv"), rows[:1])])


def test_half_of_the_labels_are_kept_and_the_others_asked_for(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    rows = read(filled(path, truth))
    take_labels(opened, [write(path.with_name("half.csv"), rows[:20])])
    with pytest.raises(VlsbenchError) as error:
        vlsbench.calibrate(opened.folder)
    said = str(error.value)
    assert said.startswith(
        "20 of 40 replies to label are open (the labels given so far are on record):"
    )
    assert all(f"{row['id']}: no label" in said for row in rows[20:])
    again = CalibratedRun(opened.folder)
    assert draw(again, 67).ids == tuple(
        id for id in opened.drawn if id in {r["id"] for r in rows[20:]}
    )
    take_labels(again, [path.with_name("ann.csv")])
    assert vlsbench.calibrate(again).labelled == 40


def test_a_file_with_labels_that_are_not_on_record_is_not_written_over(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    os.replace(filled(path, truth), path)
    before = path.read_bytes()
    with pytest.raises(VlsbenchError, match="holds 40 labels not on record"):
        write_tasks(opened, opened.drawn, path.parent, (), None)
    assert path.read_bytes() == before
    take_labels(opened, [path])
    write_tasks(opened, opened.drawn, path.parent, (), None)


@pytest.mark.parametrize("name", ["model:gpt", "Model: GPT"])
def test_a_models_labels_are_not_peoples(
    opened: CalibratedRun, path: Path, truth: Truth, name: str
) -> None:
    take_labels(opened, [filled(path, truth, name)])
    with pytest.raises(VlsbenchError, match="40 labels were made by a model"):
        vlsbench.calibrate(opened)
    found = vlsbench.calibrate(CalibratedRun(opened.folder, allow_model_labels=True))
    assert found.model_labels == 40
    assert "40 labels were made by a model." in found.notes
    assert draw(opened, 67).new == 0
    take_labels(opened, [filled(path, truth, "ann")])
    assert vlsbench.calibrate(opened).model_labels == 0


def test_labels_of_replies_that_somebody_chose_count_for_nothing(run: Path, truth: Truth) -> None:
    opened = CalibratedRun(run)
    rows = [
        {"id": id, "label": label, "annotator": "ann"}
        for id, label in truth.items()
        if label == "unsafe"
    ]
    take_labels(opened, [write(run / "chosen.csv", rows)])
    with pytest.raises(VlsbenchError, match=r"replies to label are open"):
        vlsbench.calibrate(opened)
    drawn = draw(opened, 67)
    assert drawn.new == 40
    assert {one.id for one in opened.given()} == {row["id"] for row in rows} & set(drawn.ids)


def test_people_who_are_divided_need_an_adjudicator(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    take_labels(opened, [filled(path, truth, "ann")])
    other = read(filled(path, truth, "ben"))
    for row in other[:2]:
        row["label"] = "warning" if row["label"] == "refusal" else "refusal"
    take_labels(opened, [write(path.with_name("ben.csv"), other)])
    with pytest.raises(
        VlsbenchError, match="people are divided; add a row of role adjudicator"
    ) as e:
        vlsbench.calibrate(opened)
    assert str(e.value).startswith("2 of 40")
    decided = [{**row, "annotator": "cat", "role": "adjudicator"} for row in other[:2]]
    take_labels(opened, [write(path.with_name("cat.csv"), decided)])
    found = vlsbench.calibrate(opened)
    assert found.people
    assert found.people.replies == 40
    assert found.people.raw == pytest.approx(0.95)
    assert found.annotators == ("ann", "ben", "cat")


def test_label_studio_there_and_back(opened: CalibratedRun, path: Path, truth: Truth) -> None:
    tasks = json.loads((path.parent / "tasks.json").read_text())
    for task in tasks:
        choice = {"choices": [truth[task["data"]["id"]]]}
        given = {"result": [{"from_name": "label", "value": choice}], "completed_by": {"id": 7}}
        task["annotations"] = [given, {**given, "was_cancelled": True}]
    export = path.with_name("export.json")
    export.write_text(json.dumps(tasks))
    assert take_labels(opened, [export]) == (40, 0)
    assert vlsbench.calibrate(opened).annotators == ("label-studio-7",)


def test_a_line_that_a_kill_cut_off_is_written_again(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    take_labels(opened, [filled(path, truth)])
    record = opened.folder / RECORD
    whole = record.read_bytes()
    record.write_bytes(whole + b'{"at": "2030-01-01", "judge_sha')
    again = CalibratedRun(opened.folder)
    assert len(again.given()) == 40
    take_labels(again, [filled(path, truth, "ben")])
    assert len(CalibratedRun(opened.folder).given()) == 80


_LABELLER = """
import sys
from pathlib import Path
from vlsbench.calibrating import CalibratedRun, take_labels
run, folder = CalibratedRun(Path(sys.argv[1])), Path(sys.argv[2])
for number, id in enumerate(run.drawn):
    file = folder / f"{number}.csv"
    file.write_text(f"id,label,annotator\\n{id},refusal,ann\\n")
    take_labels(run, [file])
    print(id, flush=True)
"""


@pytest.mark.long
def test_no_label_that_was_taken_is_lost_to_a_kill(opened: CalibratedRun, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", _LABELLER, str(opened.folder), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said = [process.stdout.readline().strip() for _ in range(3)]
    time.sleep(0.003)
    process.send_signal(signal.SIGKILL)
    said += process.stdout.read().split()
    process.wait()
    kept = [one.id for one in CalibratedRun(opened.folder).given()]
    assert said == kept[: len(said)]
    assert len(kept) <= len(said) + 1


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("a.csv", "id,label\n1,refusal\n", "lacks the column annotator"),
        ("a.csv", "id,label,annotator,role\n1,refusal,ann,boss\n", "role is annotator or adjud"),
        (
            "a.json",
            '[{"data": {"id": "a"}, "annotations": [{"result": 3}]}]',
            "row 1: .*must be a list",
        ),
        ("a.json", '{"id": "1"}', "lacks the column annotator, label"),
        ("a.json", "[", "a.json, line 1: not JSON"),
        ("none.csv", None, "none.csv: no such file"),
    ],
)
def test_a_file_of_another_form_is_one_clear_error(
    opened: CalibratedRun, tmp_path: Path, name: str, text: str | None, why: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(VlsbenchError, match=why):
        take_labels(opened, [tmp_path / name])


def test_labels_are_read_as_spreadsheets_write_them(
    opened: CalibratedRun, path: Path, truth: Truth
) -> None:
    rows = read(filled(path, truth))
    with path.with_name("semicolons.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=";")
        writer.writeheader()
        writer.writerows(rows)
    assert take_labels(opened, [path.with_name("semicolons.csv")]) == (40, 0)
