from __future__ import annotations

import csv
from pathlib import Path

import pytest

import vlsbench
from tests.reviewing.review_examples import GOOD, NO, begin, pair, say
from vlsbench import lab
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import read_drop
from vlsbench.reviewing import Question, Role, Said, Step, Store, export, open_review

UNMATCHED = {**GOOD, Question.MATCHED: NO}


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_lists_hold_what_is_decided_and_nothing_else(tmp_path: Path) -> None:
    review = begin(tmp_path / "r", 4)
    say(review, "ann")
    say(review, "ann", UNMATCHED, codes=("unrelated", "harmless"))
    say(review, "ann")
    say(review, "ben")
    say(review, "ben", UNMATCHED, codes=("unrelated",))
    say(review, "ben", UNMATCHED)
    found = export(review, tmp_path / "out" / "verdicts.csv")
    assert (found.keep, found.drop, found.open, len(found.people)) == (1, 1, 2, 2)
    lists = tmp_path / "out"
    assert [row["id"] for row in _rows(lists / "keep.csv")] == ["toast-0"]
    (dropped,) = _rows(lists / "drop.csv")
    assert dropped == {
        "bench": "toast",
        "id": "toast-1",
        "score": "1.0000",
        "why": "matched: no (2 of 2); unrelated ×2; harmless",
    }

    said = Said({Question.MATCHED: NO})
    assert review.answer("cleo", Role.ADJUDICATOR, 2, Step.ADJUDICATION, said)
    export(review, lists / "verdicts.csv")
    assert [row["score"] for row in _rows(lists / "drop.csv")] == ["1.0000", "0.5000"]
    assert _rows(lists / "drop.csv")[1]["why"] == "matched: no (adjudicated)"


def test_load_takes_the_list(tmp_path: Path) -> None:
    folder = tmp_path / "pairs"
    lab.write(lab.benchmark("lab/leakless?n=3"), folder)
    with Store.write(tmp_path / "r") as store:
        review = open_review(vlsbench.load(folder), store)
        say(review, "ann")
        gone = say(review, "ann", UNMATCHED)
        say(review, "ann")
        export(review, tmp_path / "verdicts.csv")
    rest = vlsbench.load(folder, leave_out=tmp_path / "drop.csv")
    assert len(rest) == 2
    assert gone not in {p.id for p in rest}
    kept = {row["id"] for row in _rows(tmp_path / "keep.csv")}
    assert kept == {p.id for p in rest}


def test_verdicts_are_whole(tmp_path: Path) -> None:
    review = begin(tmp_path / "r", [pair(0, id='a "quoted", id')])
    comment = 'crumbs,\n"butter"; é'
    say(review, "ann", UNMATCHED, codes=("unrelated", "other"), comment=comment)
    review.answer("ben", Role.REVIEWER, 0, Step.QUERY, Said({Question.QUERY_HARMFUL: NO}))
    export(review, tmp_path / "verdicts.csv")
    ann, ben = _rows(tmp_path / "verdicts.csv")
    assert ann["codes"] == "unrelated other"
    assert (ann["id"], ann["person"], ann["role"]) == ('a "quoted", id', "ann", "reviewer")
    assert (ann["matched"], ann["query_harmful"], ann["comment"]) == ("no", "no", comment)
    assert ann["complete"].lower() == "true"
    assert ben["complete"].lower() == "false"
    assert (ben["query_harmful"], ben["matched"]) == ("no", "")
    assert ann["shown"] == review.shown('a "quoted", id')


@pytest.mark.parametrize("comment", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_spreadsheet_runs_nothing_that_a_person_wrote(tmp_path: Path, comment: str) -> None:
    review = begin(tmp_path / "r", [pair(0, id="=toast()")])
    say(review, "ann", comment=comment)
    export(review, tmp_path / "verdicts.csv")
    (row,) = _rows(tmp_path / "verdicts.csv")
    assert (row["comment"], row["id"]) == ("'" + comment, "'=toast()")


@pytest.mark.parametrize("odd", ["=toast()", "'=toast()", "-1", "@a", "plain"])
def test_lists_are_read_back_whatever_the_ids_are(tmp_path: Path, odd: str) -> None:
    pairs = [pair(0, id=odd), pair(1)]
    review = begin(tmp_path / "r", pairs)
    for _ in pairs:
        say(review, "ann", UNMATCHED)
    export(review, tmp_path / "verdicts.csv")
    (row, _) = sorted(_rows(tmp_path / "drop.csv"), key=lambda row: row["id"] == "toast-1")
    assert not row["id"].startswith(("=", "-", "@"))
    assert set(read_drop(tmp_path / "drop.csv", "toast")) == {odd, "toast-1"}


def test_another_ending_or_a_name_of_the_lists_is_refused(tmp_path: Path) -> None:
    review = begin(tmp_path / "r")
    for name in ("verdicts.xlsx", "verdicts.jsonl", "keep.csv", "drop.csv"):
        with pytest.raises(VlsbenchError):
            export(review, tmp_path / name)
    assert not (tmp_path / "drop.csv").exists()
