"""What people see, over HTTP, without script."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from PIL import Image as Pillow

from tests.reviewing.review_examples import GOOD, NO, begin, image_bytes, pair, say
from tests.reviewing.review_visitor import HOME, PORT, Visitor
from vlsbench.pairs import MadeImage
from vlsbench.reviewing import Question, Review, Store, invite
from vlsbench.reviewing.app import make_app

Visit = Callable[[str], Visitor]
ATTACK = '"><script>window.pwned = 1</script><img src=x onerror=alert(1)>{{ 7 * 7 }}'


def _answer(visitor: Visitor, number: int, step: str, **answers: str) -> None:
    assert visitor.post("/answer", {"number": str(number), "step": step, **answers}) == 200


def test_the_start_page_warns_before_anything_is_shown(visit: Visit) -> None:
    page = visit("ann").entered.text
    for words in ("disturbing", "Take breaks", "To stop", "No image is shown before you ask"):
        assert words in page
    assert "toddler" not in page
    assert "/image/" not in page
    assert "/veil/" not in page


def test_the_query_comes_alone_then_the_image_then_both(visit: Visit) -> None:
    ann = visit("ann")
    page = ann.get("/review")
    assert "May my toddler" in page
    assert "/veil/" not in page
    assert "Kitchen" not in page

    _answer(ann, 0, "query", query_harmful="no")
    page = ann.get("/review")
    assert "May my toddler" not in page
    assert "/veil/" in page
    assert "/image/" not in page
    assert 'button name="image_harmful"' not in page

    page = ann.get("/review?reveal=0")
    assert "/image/" in page
    assert 'button name="image_harmful"' in page

    _answer(ann, 0, "image", image_harmful="no")
    page = ann.get("/review?reveal=0")
    assert all(words in page for words in ("May my toddler", "/image/", "Kitchen", "matched"))


@pytest.mark.parametrize("reveal", ["1", "-1", "00", "x", ""])
def test_asking_for_one_image_reveals_no_other(visit: Visit, reveal: str) -> None:
    ann = visit("ann")
    _answer(ann, 0, "query", query_harmful="no")
    assert "/image/" not in ann.get(f"/review?reveal={reveal}")


def test_a_veil_tells_nothing_but_colours(review: Review, visit: Visit) -> None:
    ann = visit("ann")
    _answer(ann, 0, "query", query_harmful="no")
    found = re.search(r"/veil/([0-9a-f]{64})", ann.get("/review"))
    assert found
    with Pillow.open(io.BytesIO(ann.client.get(found[0]).content)) as veil:
        assert max(veil.size) <= 8
    reply = ann.client.get(f"/image/{found[1]}")
    assert reply.content == review.pairs[0].images[0].read().data
    assert reply.headers["content-type"] == "image/png"


def test_each_reviewer_sees_own_verdicts_only(review: Review, visit: Visit) -> None:
    say(review, "ben", codes=("unclear_query",), comment="BEN WAS HERE")
    ann = visit("ann")
    for path in ("/", "/review", "/review?reveal=0"):
        page = ann.get(path)
        assert not re.search(r"\bben\b", page, re.IGNORECASE)
    assert "Pair 1 of 3" in ann.get("/review")
    assert "Pair 2 of 3" in visit("ben").get("/review")


def test_the_adjudicator_sees_verdicts_and_no_names(review: Review, visit: Visit) -> None:
    say(review, "ann", comment="fits")
    say(review, "ben", {**GOOD, Question.MATCHED: NO}, codes=("unrelated",), comment="a kettle")
    cleo = visit("cleo")
    page = cleo.get("/review")
    assert "fits" in page
    assert "a kettle" in page
    assert "little to do with each other" in page
    assert not re.search(r"\b(ann|ben)\b", page)
    assert "/image/" not in page
    assert 'name="matched"' not in page
    assert 'name="matched"' in cleo.get("/review?reveal=0")
    _answer(cleo, 0, "adjudication", matched="yes")
    assert "Nothing is in dispute" in cleo.get("/review")


def test_undo_and_passing_work_without_script(visit: Visit) -> None:
    ann = visit("ann")
    _answer(ann, 0, "query", query_harmful="no")
    assert ann.post("/undo", {}) == 200
    assert 'name="query_harmful"' in ann.get("/review")
    _answer(ann, 0, "query", query_harmful="no")
    _answer(ann, 0, "image", image_harmful="unsure", passed="yes")
    assert "/image/" not in ann.get("/review")
    passing = {"matched": "unsure", "pair_harmful": "unsure", "category_right": "unsure"}
    _answer(ann, 0, "pair", **passing)
    assert "Pair 2 of 3" in ann.get("/review")


def test_a_second_click_changes_nothing_and_shows_what_is_next(
    review: Review, visit: Visit
) -> None:
    ann = visit("ann")
    for _ in range(2):
        _answer(ann, 0, "query", query_harmful="no")
    with Store.read(review.folder) as store:
        assert len(store.rows()) == 1


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    hostile = pair(0, query=ATTACK + " \ud800", category=ATTACK, subcategory=ATTACK)
    review = begin(tmp_path, [hostile])
    say(review, "ann", comment=ATTACK)
    say(review, "ben", {**GOOD, Question.MATCHED: NO})
    people = invite(["dan"], ["cleo"])
    app = make_app(review, people, PORT)
    for person in people[:2]:
        visitor = Visitor(TestClient(app, base_url=HOME), person)
        page = visitor.get("/review")
        assert "&lt;script&gt;window.pwned" in page
        assert "<script>" not in page
        assert "<img src=x" not in page
        assert "{{ 7 * 7 }}" in page


def test_an_image_that_browsers_do_not_show_becomes_one_they_do(tmp_path: Path) -> None:
    tiff = MadeImage("toaster.tif", lambda: image_bytes("red", "TIFF"))
    broken = MadeImage("broken.png", lambda: image_bytes("red")[:40] + b"IEND" + b"\0" * 8)
    review = begin(tmp_path, [pair(0, images=(tiff, broken))])
    people = invite(["ann"], [])
    ann = Visitor(TestClient(make_app(review, people, PORT), base_url=HOME), people[0])
    _answer(ann, 0, "query", query_harmful="no")
    first, second = re.findall(r"/veil/([0-9a-f]{64})", ann.get("/review"))
    assert ann.client.get(f"/image/{first}").content.startswith(b"\x89PNG")
    assert ann.client.get(f"/veil/{first}").status_code == 200
    assert ann.client.get(f"/veil/{second}").status_code == 404


def test_the_organiser_sees_progress_and_agreement(review: Review, visit: Visit) -> None:
    for _ in range(3):
        say(review, "ann")
    say(review, "ben")
    say(review, "ben", {**GOOD, Question.MATCHED: NO})
    page = visit("organiser").get("/overview")
    assert "3 of 3" in page
    assert "2 of 3" in page
    assert re.search(r"match</th>\s*<td class=\"num\">-?\d\.\d\d</td>", page)
    assert re.search(r"50 %</td>\s*<td class=\"num\">2</td>", page)


def test_the_end_says_so(review: Review, visit: Visit) -> None:
    for _ in range(3):
        say(review, "ann")
    page = visit("ann").get("/review")
    assert "That was the last pair" in page
    assert "/answer" not in page
