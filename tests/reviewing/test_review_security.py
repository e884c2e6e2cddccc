"""Who is refused, and what every reply forbids."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tests.reviewing.review_visitor import HOME, PORT, Visitor
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.reviewing import Person, Review, Store, invite, serve
from vlsbench.reviewing.app import make_app

Visit = Callable[[str], Visitor]
NO_HARM = {"number": "0", "step": "query", "query_harmful": "no"}


def _rows(review: Review) -> int:
    with Store.read(review.folder) as store:
        return len(store.rows())


def _stranger(review: Review, people: tuple[Person, ...]) -> TestClient:
    return TestClient(make_app(review, people, PORT), base_url=HOME)


PAGES = ("/", "/review", "/overview", "/image/0", "/veil/0")


@pytest.mark.parametrize("path", [*PAGES, "/enter/", "/enter/guess", "/docs", "/openapi.json"])
def test_without_a_link_there_is_nothing_to_see(
    review: Review, people: tuple[Person, ...], path: str
) -> None:
    client = _stranger(review, people)
    for cookies in ({}, {f"vlsbench-review-{PORT}": people[0].link}, {"other": people[0].cookie}):
        client.cookies = cookies
        reply = client.get(path)
        assert reply.status_code in (401, 404)
        assert "toddler" not in reply.text
        assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("path", ["/answer", "/undo"])
def test_without_a_link_nothing_is_recorded(
    review: Review, people: tuple[Person, ...], path: str
) -> None:
    sent = {"form": people[0].form, **NO_HARM}
    reply = _stranger(review, people).post(path, data=sent, headers={"origin": HOME})
    assert reply.status_code == 401
    assert _rows(review) == 0


@pytest.mark.long
@pytest.mark.parametrize("path", ["/answer", "/undo"])
@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ({}, {"form": ""}),
        ({}, {"form": "guess"}),
        ({"origin": "http://evil.example"}, {}),
        ({"origin": "null"}, {}),
        ({"origin": ""}, {}),
        ({"origin": f"http://localhost:{PORT}"}, {}),
        ({"origin": f"http://127.0.0.1:{PORT + 1}"}, {}),
        ({"sec-fetch-site": "cross-site"}, {}),
        ({"sec-fetch-site": "same-site"}, {}),
    ],
)
def test_forms_of_other_sites_are_refused(
    review: Review, visit: Visit, path: str, headers: dict[str, str], fields: dict[str, str]
) -> None:
    ann = visit("ann")
    assert ann.post("/answer", NO_HARM) == 200
    assert _rows(review) == 1
    step = {"number": "0", "step": "image", "image_harmful": "no"}
    assert ann.post(path, {**step, **fields}, **headers) == 403
    assert _rows(review) == 1


def test_a_form_needs_the_secret_of_the_very_person(
    review: Review, visit: Visit, people: tuple[Person, ...]
) -> None:
    assert visit("ann").post("/answer", {**NO_HARM, "form": people[1].form}) == 403
    assert _rows(review) == 0


@pytest.mark.parametrize(
    "host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:80", "", "[::1]:8710"]
)
def test_another_host_is_not_answered(
    review: Review, people: tuple[Person, ...], host: str
) -> None:
    client = _stranger(review, people)
    for path in (f"/enter/{people[0].link}", "/static/style.css", "/"):
        reply = client.get(path, headers={"host": host})
        assert reply.status_code == 421
        assert "set-cookie" not in reply.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_other_methods_are_refused(visit: Visit, method: str) -> None:
    assert (
        visit("ann").client.request(method, "/answer", headers={"origin": HOME}).status_code == 405
    )


def test_a_form_has_a_size_and_keeps_it(review: Review, visit: Visit) -> None:
    ann = visit("ann")
    assert ann.post("/answer", {**NO_HARM, "comment": "crumbs" * 10_000}) == 413
    chunks = ann.client.post("/answer", content=iter([b"form=1"]), headers={"origin": HOME})
    assert chunks.status_code == 411
    assert _rows(review) == 0


@pytest.mark.parametrize(
    "fields",
    [
        {"number": "-1"},
        {"number": "٣"},
        {"number": "9" * 400},
        {"number": "../../etc/passwd"},
        {"step": "undo"},
        {"step": "adjudication"},
        {"query_harmful": "maybe"},
        {"query_harmful": "yes", "matched": "yes"},
        {"codes": "<script>"},
        {"comment": "crumbs" * 500},
    ],
)
def test_what_no_form_of_ours_says_is_not_recorded(
    review: Review, visit: Visit, fields: dict[str, str]
) -> None:
    assert visit("ann").post("/answer", {**NO_HARM, **fields}) in (200, 400, 422)
    assert _rows(review) == 0


@pytest.mark.parametrize(
    "path",
    [
        "/static/../_app.py",
        "/static/%2e%2e/_app.py",
        "/static/..%2f_app.py",
        "/image/../../../etc/passwd",
        "/image/..%2f..%2fetc%2fpasswd",
        "/image/" + "0" * 64,
        "/veil/%00",
    ],
)
def test_no_path_reaches_the_disk(visit: Visit, path: str) -> None:
    assert visit("ann").client.get(path).status_code == 404


def test_every_reply_carries_the_policy(visit: Visit) -> None:
    ann = visit("ann")
    replies = [
        ann.entered,
        ann.client.get("/review"),
        ann.client.get("/static/review.js"),
        ann.client.get("/nowhere"),
        ann.client.get("/", headers={"host": "evil.example"}),
        ann.client.post("/answer", headers={"origin": "http://evil.example"}),
    ]
    for reply in replies:
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cross-origin-resource-policy"] == "same-origin"


def test_pages_hold_no_script_and_no_style_of_their_own(visit: Visit) -> None:
    for name, paths in (("ann", ("/", "/review")), ("organiser", ("/overview",))):
        for path in paths:
            page = visit(name).get(path)
            assert "<style" not in page
            assert " style=" not in page
            assert page.count("<script") == page.count('<script src="/static/') == 2
            assert "javascript:" not in page
            assert " onclick" not in page


def test_the_cookie_is_kept_from_script_and_other_sites(visit: Visit) -> None:
    ann = visit("ann")
    cookie = ann.entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert ann.person.link not in cookie


def test_secrets_are_new_each_time_and_in_no_representation() -> None:
    one, other = invite(["ann"], []), invite(["ann"], [])
    secrets = {s for p in (*one, *other) for s in (p.link, p.cookie, p.form)}
    assert len(secrets) == 12
    assert not any(secret in repr(one) for secret in secrets)


def test_no_secret_is_written_to_disk(review: Review, visit: Visit, tmp_path: Path) -> None:
    ann = visit("ann")
    ann.post("/answer", NO_HARM)
    person = ann.person
    written = b"".join(p.read_bytes() for p in tmp_path.rglob("*") if p.is_file())
    assert b"query_harmful" in written
    for secret in (person.link, person.cookie, person.form):
        assert secret.encode() not in written


def test_reviewers_cannot_see_how_far_others_are(visit: Visit) -> None:
    for name in ("ann", "cleo"):
        assert visit(name).client.get("/overview").status_code == 403
    organiser = visit("organiser")
    assert organiser.client.get("/review").status_code == 403
    assert organiser.post("/answer", NO_HARM) == 403


@pytest.mark.parametrize(
    ("reviewers", "adjudicators"),
    [(["ann", "ann"], []), (["ann"], ["ann"]), (["organiser"], []), (["a/b"], []), ([""], [])],
)
def test_a_name_is_a_name_and_given_once(reviewers: list[str], adjudicators: list[str]) -> None:
    with pytest.raises(VlsbenchError, match="name"):
        invite(reviewers, adjudicators)


def test_without_the_extra_one_line_says_which(
    review: Review, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(MissingExtra, match=r"vlsbench\[review\]"):
        serve(review, invite(["ann"], []))
