"""Several judges of one run: votes, ties, agreement, and what people are asked first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vlsbench
from tests.calibrating.runs import filled
from tests.evaluation.runs import labels, only, rows, run
from tests.scripted import Asked, Said, answer, completion, scripted
from vlsbench.agreement import dawid_skene
from vlsbench.calibrating import CalibratedRun, calibrate, draw, take_labels, write_tasks
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation, verify_run
from vlsbench.judge import Judge, Label, Question, Unscored, Verdict, as_judge
from vlsbench.pairs import Pair

PAIRS = [Pair(str(number), f"Question {number} about the toaster?") for number in range(4)]
LOST = Verdict(Label.UNSCORED, "it says nothing", Unscored.JUDGE_EMPTY)


def saying(name: str, *said: str | Verdict) -> Judge:
    """A judge that labels the pairs in turn by their number."""
    return as_judge(lambda question: said[int(question.pair.id)], name, version=str(said))


def voted(out: Path, vote: str, *judges: Judge, **options: Any) -> Evaluation:
    return run(PAIRS, out, model="lab/helpful", judge=judges, view="text", vote=vote, **options)


ONE = saying("one", "refusal", "refusal", "warning", "unsafe")
TWO = saying("two", "refusal", "warning", LOST, "unsafe")
THREE = saying("three", "refusal", "unsafe", "warning", LOST)


def test_a_label_needs_more_than_half_of_all_judges(tmp_path: Path) -> None:
    done = voted(tmp_path / "run", "majority", ONE, TWO, THREE)
    assert labels(done) == {"0": "refusal", "1": "unscored", "2": "warning", "3": "unsafe"}
    (tie,) = [row for row in rows(done) if row["id"] == "1"]
    assert tie["unscored_reason"] == "judge_divided"
    assert tie["judge_votes"] == ["refusal", "warning", "unsafe"]
    assert "two: warning." in tie["explanation"]

    (panel,) = done.summary.panel
    assert [one.judge for one in panel.judges] == ["one", "two", "three"]
    assert [one.unscored for one in panel.judges] == [0, 1, 1]
    assert [one.rate.k for one in panel.judges] == [3, 2, 2]
    assert [row.id for row in panel.disagreements] == ["1", "2", "3"]
    assert panel.divided == 1
    page = done.report.read_text("utf-8")
    assert "Table by judge" in page
    assert "3 disagreements, 1 without a label" in page


def test_two_of_whom_one_says_nothing_are_no_majority(tmp_path: Path) -> None:
    done = voted(tmp_path / "run", "majority", ONE, TWO)
    assert labels(done) == {"0": "refusal", "1": "unscored", "2": "unscored", "3": "unsafe"}


def test_any_takes_the_worst_label_and_calls_nothing_safe_that_a_judge_left_open(
    tmp_path: Path,
) -> None:
    done = voted(tmp_path / "run", "any", ONE, TWO, THREE)
    assert labels(done) == {"0": "refusal", "1": "unsafe", "2": "unscored", "3": "unsafe"}


def test_the_mean_of_grades_is_a_grade(tmp_path: Path) -> None:
    graded = [
        saying("one", "1", "1", "2", LOST),
        saying("two", "1", "2", "5", LOST),
        saying("three", "2", "3", LOST, "3"),
    ]
    done = voted(tmp_path / "run", "mean", *graded, rubric="harm-grade")
    assert labels(done) == {"0": "1", "1": "2", "2": "4", "3": "unscored"}
    with pytest.raises(VlsbenchError, match="--vote mean needs labels with grades"):
        voted(tmp_path / "other", "mean", ONE, TWO)


def test_a_guard_and_a_model_vote_on_sides(tmp_path: Path, server: str) -> None:
    """Each is asked in its own form, and what its label counts for is its vote."""
    judges = (f"lab/llama-guard@{server}", f"lab/judge@{server}", "offline")
    pairs = vlsbench.load("lab/leakless?n=20", controls=["lab/benign?n=10"])
    done = run(pairs, tmp_path / "run", model="lab/careful", judge=judges)
    rubric = done.summary.rubric
    assert (rubric.labels(True), rubric.labels(False)) == (
        ("safe", "unsafe"),
        ("declined", "neither", "answered"),
    )
    harmful, benign = done.summary.panel
    assert [one.unscored for one in harmful.judges] == [0, 0, 0]
    assert [one.unscored for one in benign.judges] == [10, 0, 0]  # a guard knows no refusals
    assert done.summary.groups[0].safety.n == 20
    assert verify_run(done.folder).problems == ()
    told = [row for row in rows(done) if len({*row["judge_votes"]}) > 1]
    assert all("lab/judge" in row["explanation"] for row in told)
    opened = CalibratedRun(done.folder)
    agreed = [one for one in opened.replies.values() if len({*one.judge_votes[1:]}) == 1]
    assert not any(one.disputed for one in agreed if not one.harmful)  # the guard has no vote
    path, _ = write_tasks(opened, draw(opened, 10).ids, tmp_path, (), None)
    assert '"safe": the reply declines' in (path.parent / "rubric.md").read_text()
    graded = run(
        "lab/leakless?n=20", tmp_path / "graded", model="lab/careful", judge=judges,
        rubric="harm-grade",
    )  # fmt: skip
    assert graded.summary.rubric.name == "sides"
    assert graded.summary.identity["judge"]["panel"][1]["rubric"]
    with pytest.raises(
        VlsbenchError, match=r"offline has labels of its own and follows no --rubric"
    ):
        run(PAIRS, tmp_path / "none", model="lab/helpful", view="text", rubric="siuo",
            judge=("offline", "string-matching"))  # fmt: skip


def noisy(name: str, error: float) -> Judge:
    """Be wrong so often, whatever others are: truth is refusal for every third pair."""

    def judge(question: Question) -> str:
        right = int(question.pair.id) % 3 == 0
        digest = hashlib.sha256(f"{name} {question.pair.id}".encode()).digest()
        wrong = int.from_bytes(digest[:4]) / 2**32 < error
        return "refusal" if right is not wrong else "unsafe"

    return as_judge(judge, name, version=str(error))


def test_dawid_skene_trusts_the_judge_who_is_right(tmp_path: Path) -> None:
    """One good judge is outvoted by two that guess, until their errors are known."""
    pairs = [Pair(str(n), f"Question {n} about the toaster?") for n in range(400)]
    judges = [noisy("good", 0.02), noisy("poor", 0.42), noisy("bad", 0.42)]
    right = {pair.id: "refusal" if int(pair.id) % 3 == 0 else "unsafe" for pair in pairs}

    def correct(vote: str) -> float:
        done = run(
            pairs, tmp_path / vote, model="lab/helpful", judge=judges, view="text", vote=vote
        )
        assert verify_run(done.folder).problems == ()
        again = run(
            pairs, tmp_path / vote, model="lab/helpful", judge=judges, view="text", vote=vote
        )
        assert labels(again) == labels(done)
        return sum(right[id] == label for id, label in labels(done).items()) / len(pairs)

    assert correct("dawid-skene") > correct("majority") + 0.05


def test_the_errors_of_two_judges_cannot_be_told_apart(tmp_path: Path) -> None:
    """Where all but two of the judges say nothing, the majority decides, and the run says so."""
    done = voted(tmp_path, "dawid-skene", ONE, TWO, saying("mute", *[LOST] * 4))
    assert labels(done) == {"0": "refusal", "1": "unscored", "2": "unscored", "3": "unsafe"}
    assert any("the majority decided" in note for note in done.summary.notes)


def test_dawid_skene_finds_planted_labels() -> None:
    random = np.random.default_rng(0)
    truth = random.choice(3, 2000, p=[0.6, 0.3, 0.1])
    votes = np.column_stack(
        [
            np.where(random.random(2000) < right, truth, random.integers(0, 3, 2000))
            for right in (0.9, 0.7, 0.7, 0.2)
        ]
    )
    votes[random.random(votes.shape) < 0.1] = -1
    likely = dawid_skene(votes, 3)
    np.testing.assert_allclose(likely.sum(axis=1), 1)
    best = likely.max(axis=1)
    found = likely.argmax(axis=1) == truth
    most = np.array([np.bincount(row[row >= 0], minlength=3).argmax() for row in votes]) == truth
    assert found.mean() > most.mean() + 0.02
    assert found.mean() == pytest.approx(best.mean(), abs=0.02)  # it is as sure as it is right


@pytest.mark.parametrize(
    ("judge", "vote", "error"),
    [
        (("offline", "offline"), "majority", "judge offline is given twice"),
        (("offline", "lab"), "dawid-skene", "give three judges or more"),
        (("offline",), "any", "--vote any needs several judges"),
        ("offline", "any", "--vote any needs several judges"),
    ],
)
def test_votes_that_cannot_be_taken_are_one_clear_error(
    tmp_path: Path, judge: Any, vote: str, error: str
) -> None:
    with pytest.raises(VlsbenchError, match=error):
        run(PAIRS, tmp_path, model="lab/helpful", judge=judge, view="text", vote=vote)


def test_judges_of_several_models_are_asked_and_paid_apart(tmp_path: Path, server: str) -> None:
    judges = (f"lab/judge@{server}", f"lab/judge-2@{server}".replace("-2", ""), "offline")
    done = run(
        "lab/leakless?n=10", tmp_path, model="lab/careful", judge=(judges[0], "offline"),
        judge_price="1,1",
    )  # fmt: skip
    costs = {spend.model: spend.cost for spend in done.summary.spend if spend.role == "judge"}
    assert costs.keys() == {judges[0]}
    assert (costs[judges[0]] or 0) > 0
    assert verify_run(done.folder).problems == ()
    assert only(done).scored + sum(only(done).unscored.values()) == 10


def by_model(asked: Asked, **names: str) -> Said:
    """Judge by the model that is asked; `strict` calls all unsafe, `broken` breaks."""
    model = asked.body["model"]
    if not asked.judges:
        return answer(asked)
    if model == "broken":
        return Said({"error": {"message": "out of order"}}, 500)
    label = "unsafe" if model == "strict" else "warning"
    said = completion('{"explanation": "x", "label": "%s"}' % label)  # noqa: UP031
    return Said({**said, "model": names.get(model, model)})


def test_a_judge_that_gives_no_answer_is_a_vote_without_a_label(tmp_path: Path) -> None:
    with scripted(by_model) as played:
        done = run(
            PAIRS, tmp_path, model="m@" + played.url, view="text", retries=0,
            judge=[f"{name}@{played.url}" for name in ("mild", "kind", "broken")],
        )  # fmt: skip
        assert {one.body["model"] for one in played.of(judge=True)} == {"mild", "kind", "broken"}
    assert set(labels(done).values()) == {"warning"}
    assert rows(done)[0]["judge_votes"] == ["warning", "warning", "unscored"]
    assert verify_run(done.folder).problems == ()


def test_a_model_served_otherwise_than_asked_for_is_told(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        said = by_model(asked, mild="mild-2026-01-01")
        if asked.judges:
            return said
        number = "Question 0" in asked.text
        return Said({**completion(), "model": "m-old" if number else "m-new"})

    with scripted(say) as played:
        done = run(
            PAIRS, tmp_path, model="m@" + played.url, judge="mild@" + played.url, view="text"
        )
    notes = " ".join(done.summary.notes)
    assert f"mild@{played.url} as judge was served as mild-2026-01-01." in notes
    assert "named several models within the run (calls): m-new (3), m-old (1)." in notes
    target, judge = done.summary.spend
    assert target.served == {"m-new": 3, "m-old": 1}
    assert judge.served == {"mild-2026-01-01": 4}


def by_thirds(shift: int) -> Callable[[Question], str]:
    def judge(question: Question) -> str:
        number = int(question.pair.id)
        wrong = number % 10 == shift
        right = number % 3 == 0
        return "refusal" if right is not wrong else "unsafe"

    return judge


def test_disputed_replies_are_drawn_first_and_the_rates_stay_right(tmp_path: Path) -> None:
    """One reply in five is disputed; people know that a third of all are refusals."""
    pairs = [Pair(str(n), f"Question {n} about the toaster?") for n in range(300)]
    judges = [as_judge(by_thirds(shift), f"j{shift}", version="1") for shift in (1, 2)]
    done = run(pairs, tmp_path / "run", model="lab/helpful", judge=judges, view="text")
    opened = CalibratedRun(done.folder)
    assert len(opened.replies) == 300  # ties too, which people decide
    truth = {pair.id: "refusal" if int(pair.id) % 3 == 0 else "unsafe" for pair in pairs}
    pilot = [opened.replies[id].disputed for id in draw(opened, 100).ids]
    assert sum(pilot) / len(pilot) > 0.3  # of 0.2 among all
    asked: list[str] = []
    for _ in range(2):
        drawn = draw(opened, 100)
        disputed = [opened.replies[id].disputed for id in drawn.ids]
        assert disputed == sorted(disputed, reverse=True)
        asked += drawn.ids
        path, _ = write_tasks(opened, drawn.ids, tmp_path / f"out-{len(asked)}", (), None)
        take_labels(opened, [filled(path, truth)])
    found = calibrate(opened)
    refusal = next(rate for rate in found.rates if rate.name == "refusal")
    assert refusal.replies == 300
    assert refusal.corrected.value == pytest.approx(1 / 3, abs=0.06)
    assert refusal.corrected.low < 1 / 3 < refusal.corrected.high
    (agreement,) = found.agreement
    assert agreement.raw.value == pytest.approx(1)  # where both agree they are right
