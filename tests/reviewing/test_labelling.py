"""Replies of a run labelled in the browser: what is shown, recorded, and what it comes to."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

import vlsbench
from tests.grouped import grouped
from tests.reviewing.review_visitor import HOME, PORT, Visitor
from vlsbench.calibrating import CalibratedRun, calibrate, draw, reply_images
from vlsbench.errors import VlsbenchError
from vlsbench.reviewing import Labelling, Role, invite
from vlsbench.reviewing.app import make_app

Entering = Callable[[str], Visitor]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small run of the lab, of which all replies are drawn."""
    both = vlsbench.load("lab/leakless?n=6", controls=["lab/benign?n=4"])
    options = grouped(out=tmp_path_factory.mktemp("run") / "run", progress=False, gallery=0)
    vlsbench.evaluate(both, model="lab/shortsighted", judge="lab", **options)
    folder: Path = options["output"].out
    run = CalibratedRun(folder)
    draw(run, 4)
    return folder


@pytest.fixture
def run(made: Path, tmp_path: Path) -> CalibratedRun:
    return CalibratedRun(shutil.copytree(made, tmp_path / "run"))


@pytest.fixture
def desk(run: CalibratedRun) -> Labelling:
    return Labelling(run, reply_images(run, run.drawn, (), None))


@pytest.fixture
def visit(desk: Labelling) -> Entering:
    people = {person.name: person for person in invite(["ann", "ben"], ["cleo"])}
    app = make_app(desk, tuple(people.values()), PORT)
    return lambda name: Visitor(TestClient(app, base_url=HOME), people[name])


def test_a_screen_shows_the_reply_with_its_rubric_and_not_the_judge(
    visit: Entering, desk: Labelling, run: CalibratedRun
) -> None:
    shown = visit("ann").get("/review")
    screen = desk.screen("ann", Role.REVIEWER)
    assert screen
    for text in (screen.reply.query, screen.reply.reply):
        assert text.replace("'", "&#39;") in shown
    assert "Definitions" in shown
    assert set(re.findall(r'name="label" value="(\w+)"', shown)) == {*map(str, screen.labels)}
    # The judge's label is offered like the others, and marked nowhere.
    assert "checked" not in shown
    assert str(run.summary.judge) not in shown


def test_the_image_is_sent_once_it_is_asked_for(visit: Entering, desk: Labelling) -> None:
    ann = visit("ann")
    hidden = ann.get("/review")
    assert "/veil/" in hidden
    assert "/image/" not in hidden
    (sha256,) = set(re.findall(r"/image/(\w+)", ann.get("/review?reveal=0")))
    reply = ann.client.get(f"/image/{sha256}")
    assert reply.headers["content-type"].startswith("image/")


def test_labels_given_in_the_browser_are_labels_of_the_run(
    visit: Entering, run: CalibratedRun
) -> None:
    ann = visit("ann")
    truth = {id: run.replies[id].label for id in run.drawn}
    for number, id in enumerate(run.drawn):
        assert ann.post("/answer", {"number": str(number), "label": truth[id]}) == 200
    assert "That was the last reply" in ann.get("/review")
    again = CalibratedRun(run.folder)
    assert {one.id: one.label for one in again.given()} == truth
    assert calibrate(again).agreement[0].raw.value == 1


def test_undo_takes_back_and_asks_again(visit: Entering, run: CalibratedRun) -> None:
    ann = visit("ann")
    ann.post("/answer", {"number": "0", "label": run.replies[run.drawn[0]].label})
    assert "Reply 2 of" in ann.get("/review")
    ann.post("/undo", {})
    assert "Reply 1 of" in ann.get("/review")
    assert CalibratedRun(run.folder).given() == []
    lines = (run.folder / "calibration.jsonl").read_text().splitlines()
    assert len([line for line in lines if json.loads(line)["labels"]]) == 2  # nothing is erased


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"number": "0", "label": "harmless"}, 422),
        ({"number": "0"}, 422),
        ({"number": "x", "label": "refusal"}, 400),
    ],
)
def test_what_is_no_label_is_refused(
    visit: Entering, run: CalibratedRun, fields: dict[str, str], status: int
) -> None:
    assert visit("ann").post("/answer", fields) == status
    assert CalibratedRun(run.folder).given() == []


def test_a_second_click_labels_nothing_else(visit: Entering, run: CalibratedRun) -> None:
    ann, label = visit("ann"), run.replies[run.drawn[0]].label
    for _ in range(2):
        ann.post("/answer", {"number": "0", "label": label})
    assert len(CalibratedRun(run.folder).given()) == 1


def test_what_annotators_differ_on_an_adjudicator_decides(
    visit: Entering, run: CalibratedRun
) -> None:
    id = run.drawn[0]
    one, other, *_ = map(str, run.labels(id))
    visit("ann").post("/answer", {"number": "0", "label": one})
    assert "Nothing is in dispute" in visit("cleo").get("/review")
    visit("ben").post("/answer", {"number": "0", "label": other})
    shown = visit("cleo").get("/review")
    assert "What annotators said" in shown
    assert "ann" not in re.findall(r"<p>(.*?)</p>", shown)
    visit("cleo").post("/answer", {"number": "0", "label": other})
    assert "Nothing is in dispute" in visit("cleo").get("/review")
    given = CalibratedRun(run.folder).given()
    assert [(one.annotator, one.adjudicates) for one in given] == [
        ("ann", False),
        ("ben", False),
        ("cleo", True),
    ]


def test_the_organiser_sees_progress_and_agreement(visit: Entering, run: CalibratedRun) -> None:
    label = str(run.labels(run.drawn[0])[0])
    for name in ("ann", "ben"):
        visit(name).post("/answer", {"number": "0", "label": label})
    shown = visit("organiser").get("/overview")
    assert "Of 1 replies with several labels, 100 % have the same one" in shown
    assert visit("ann").client.get("/overview").status_code == 403


def test_nobody_decides_a_dispute_of_their_own(visit: Entering, desk: Labelling) -> None:
    number, label = "0", str(desk.screen("ann", Role.REVIEWER).labels[0])  # type: ignore[union-attr]
    visit("ann").post("/answer", {"number": number, "label": label})
    with pytest.raises(VlsbenchError, match="ann labelled in the other role"):
        desk.join({"ann": Role.ADJUDICATOR})


def test_hostile_text_is_text(tmp_path: Path) -> None:
    query = "<script>alert(1)</script>"
    (tmp_path / "set.jsonl").write_text(json.dumps({"id": "a", "query": query, "harmful": True}))
    options = grouped(out=tmp_path / "run", progress=False, gallery=0)
    vlsbench.evaluate(tmp_path / "set.jsonl", model="lab/helpful", judge="offline", **options)
    run = CalibratedRun(tmp_path / "run")
    draw(run, 1)
    people = invite(["ann"], [])
    app = make_app(Labelling(run, {}), people, PORT)
    shown = Visitor(TestClient(app, base_url=HOME), people[0]).get("/review")
    assert "<script>alert" not in shown
    assert "&lt;script&gt;alert(1)" in shown
