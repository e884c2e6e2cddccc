"""The web application of reviews and of labelling. Imported only where the extra `review` is."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from fastapi.staticfiles import StaticFiles
from jinja2 import PackageLoader
from starlette.middleware.base import RequestResponseEndpoint

from vlsbench.errors import VlsbenchError
from vlsbench.pages import html_templates
from vlsbench.pairs import ImageData, ImageError, decode, encode
from vlsbench.reviewing._labelling import Labelling
from vlsbench.reviewing._people import Person, find
from vlsbench.reviewing._review import Review
from vlsbench.reviewing._store import StoreError
from vlsbench.reviewing._verdicts import CODES, MAX_COMMENT, Answer, Question, Role, Said, Step
from vlsbench.text import storable

VEIL_SIDE = 5
"""Pixels of the longer side of a veiled image: colours, no content."""
BREAK_EVERY = 25
"""Pairs after which a break is suggested."""
_STRANGER = "Open the link that vlsbench review printed for you; it is a new one at each start."

MAX_BODY = 32_768
"""Bytes of a form: a comment, and little else."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    # Not no-referrer: with it, browsers hide the origin of our own forms as well.
    "Referrer-Policy": "same-origin",
}

router = APIRouter()


@dataclass(frozen=True, slots=True)
class Desk:
    """What every request needs."""

    review: Review | Labelling
    people: tuple[Person, ...]
    cookie: str


def make_app(review: Review | Labelling, people: Sequence[Person], port: int) -> FastAPI:
    """Return the application.

    The port where it will listen is part of the hosts it answers to, and of its cookie's name,
    since browsers give the cookies of one port to all.

    Raises `VlsbenchError` where someone took part in another role before; see `Review.join`.
    """
    review.join({p.name: p.role for p in people if p.role is not Role.ORGANISER})
    app = FastAPI(title="vlsbench review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = Desk(review, tuple(people), f"vlsbench-review-{port}")
    app.include_router(router)
    app.mount("/static", StaticFiles(packages=[("vlsbench.reviewing", "static")]))

    @app.middleware("http")
    async def guard(request: Request, answer: RequestResponseEndpoint) -> Response:
        response = _refusal(request, port) or await answer(request)
        response.headers.update(HEADERS)
        return response

    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(VlsbenchError, _refused)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return PlainTextResponse(f"{error.detail}\n", error.status_code)
    status = 507 if isinstance(error, StoreError) else 422
    return PlainTextResponse(f"{storable(str(error))}\n", status)


def _refusal(request: Request, port: int) -> PlainTextResponse | None:
    """Refuse requests from elsewhere.

    The server listens on this machine only, but other sites that are open in the same browser can
    still reach it; so a request must name this very host (DNS rebinding), and one that records
    something must come from a page of ours (CSRF), which the forms' own secret says once more.
    """
    host = request.headers.get("host", "")
    length = request.headers.get("content-length", "")
    site = request.headers.get("sec-fetch-site", "same-origin")
    if host not in (f"127.0.0.1:{port}", f"localhost:{port}"):
        return PlainTextResponse("no such host here\n", 421)
    if request.method in ("GET", "HEAD"):
        return None
    if request.method != "POST":
        return PlainTextResponse("method not allowed\n", 405)
    if request.headers.get("origin") != f"http://{host}" or site != "same-origin":
        return PlainTextResponse("this form is not one of ours\n", 403)
    if not length.isdecimal():
        return PlainTextResponse("length required\n", 411)
    return PlainTextResponse("too long\n", 413) if int(length) > MAX_BODY else None


# Who asks.


def _desk(request: Request) -> Desk:
    desk = request.app.state.desk
    assert isinstance(desk, Desk)
    return desk


def _anyone(request: Request) -> Person:
    desk = _desk(request)
    person = find(desk.people, request.cookies.get(desk.cookie, ""), "cookie")
    if person is None:
        raise HTTPException(401, _STRANGER)
    return person


def _judge(person: Annotated[Person, Depends(_anyone)]) -> Person:
    if person.role is Role.ORGANISER:
        raise HTTPException(403, "The organiser's link shows progress; it records no verdict.")
    return person


def _organiser(person: Annotated[Person, Depends(_anyone)]) -> Person:
    if person.role is not Role.ORGANISER:
        raise HTTPException(403, "Reviews are blind: only the organiser's link shows this.")
    return person


async def _form(request: Request, person: Annotated[Person, Depends(_judge)]) -> _Fields:
    fields: _Fields = {}
    for name, value in (await request.form()).multi_items():
        if isinstance(value, str):
            fields.setdefault(name, []).append(value)
    given = _one(fields, "form").encode("utf-8", "replace")
    if not secrets.compare_digest(given, person.form.encode()):
        raise HTTPException(403, "This form is not one of ours: open your link again.")
    return fields


_Fields = dict[str, list[str]]
Served = Annotated[Desk, Depends(_desk)]
Anyone = Annotated[Person, Depends(_anyone)]
Judge = Annotated[Person, Depends(_judge)]
Organiser = Annotated[Person, Depends(_organiser)]
Form = Annotated[_Fields, Depends(_form)]


# What they see.


_TEMPLATES = html_templates(PackageLoader("vlsbench.reviewing"))
_TEMPLATES.globals |= {"CODES": CODES, "MAX_COMMENT": MAX_COMMENT, "BREAK_EVERY": BREAK_EVERY}


def _page(template: str, **context: Any) -> HTMLResponse:
    return HTMLResponse(_TEMPLATES.get_template(template).render(context))


@router.get("/enter/{link}")
def enter(desk: Served, link: str) -> Response:
    """Let a person in. The start page itself, no redirect: browsers would not send it the cookie.

    A strict same-site cookie stays behind on a redirect that began with a click on another site.
    """
    person = find(desk.people, link, "link")
    if person is None:
        raise HTTPException(401, _STRANGER)
    response = start(desk, person)
    response.set_cookie(desk.cookie, person.cookie, httponly=True, samesite="strict", path="/")
    return response


@router.get("/")
def start(desk: Served, person: Anyone) -> Response:
    """What this is, what to expect, how to stop; also where a break is taken."""
    done = None
    if person.role is not Role.ORGANISER:
        done = desk.review.progress(person.name, person.role)
    labels = isinstance(desk.review, Labelling)
    return _page("start.html", person=person, review=desk.review, progress=done, labels=labels)


@router.get("/review")
def review(desk: Served, person: Judge, request: Request, reveal: str = "") -> Response:
    """What the person is at; the image is there once it was asked for by the pair's number."""
    at = desk.review.screen(person.name, person.role)
    screen = "_label.html" if isinstance(desk.review, Labelling) else "_screen.html"
    fragment = request.headers.get("hx-request") == "true"
    return _page(
        screen if fragment else "review.html",
        within=screen,
        person=person,
        screen=at,
        revealed=at is not None and reveal == str(at.number),
        progress=desk.review.progress(person.name, person.role),
    )


@router.post("/answer")
def answer(desk: Served, person: Judge, fields: Form, request: Request) -> Response:
    """Record what was said on a screen, and show the next one."""
    number = _number(fields)
    if isinstance(desk.review, Labelling):
        desk.review.label(person.name, person.role, number, _one(fields, "label"))
        return _next(desk, person, request)
    try:
        step = Step(_one(fields, "step"))
        answers = {q: Answer(_one(fields, q)) for q in Question if q in fields}
    except ValueError:
        raise HTTPException(400, "no such answer") from None
    comment = storable(_one(fields, "comment").replace("\r\n", "\n").strip())
    said = Said(answers, tuple(fields.get("codes", ())), comment)
    recorded = desk.review.answer(person.name, person.role, number, step, said)
    # Whoever has just looked at the image has asked for it.
    return _next(desk, person, request, str(number) if recorded and step is Step.IMAGE else "")


@router.post("/pass")
def pass_on(desk: Served, person: Judge, fields: Form, request: Request) -> Response:
    """Leave a pair without looking at its image."""
    if person.role is Role.REVIEWER and isinstance(desk.review, Review):
        desk.review.pass_on(person.name, _number(fields))
    return _next(desk, person, request)


@router.post("/undo")
def undo(desk: Served, person: Judge, fields: Form, request: Request) -> Response:
    """Take back what the person said last, and ask again."""
    desk.review.undo(person.name, person.role)
    return _next(desk, person, request)


def _next(desk: Desk, person: Person, request: Request, reveal: str = "") -> Response:
    if request.headers.get("hx-request") == "true":
        return review(desk, person, request, reveal)
    # So that a browser without script can reload the page without sending the form again.
    return RedirectResponse(f"/review?reveal={reveal}" if reveal else "/review", 303)


def _one(fields: _Fields, name: str) -> str:
    return fields.get(name, [""])[0]


def _number(fields: _Fields) -> int:
    text = _one(fields, "number")
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise HTTPException(400, "no such pair")
    return int(text)


@router.get("/overview")
@router.get("/overview/figures")
def overview(desk: Served, person: Organiser, request: Request) -> Response:
    """Progress and agreement; the figures alone for a page that is open."""
    alone = request.url.path.endswith("/figures")
    figures = "_labelled.html" if isinstance(desk.review, Labelling) else "_figures.html"
    page = figures if alone else "overview.html"
    return _page(page, within=figures, status=desk.review.status())


# Images and what belongs to the pages.


@router.get("/image/{sha256}")
def image(desk: Served, person: Judge, sha256: str) -> Response:
    """One image of a pair that was shown, by the digest of its content; a TIFF becomes a PNG."""
    return _drawn(desk, sha256, lambda data: data.portable)


@router.get("/veil/{sha256}")
def veil(desk: Served, person: Judge, sha256: str) -> Response:
    """The same image as a few patches of colour: nothing of it reaches the browser unasked."""
    return _drawn(desk, sha256, lambda data: encode(decode(data, side=VEIL_SIDE), "veil"))


def _drawn(desk: Desk, sha256: str, draw: Callable[[ImageData], ImageData]) -> Response:
    try:
        if data := desk.review.image(sha256):
            drawn = draw(data)
            return Response(drawn.data, media_type=drawn.mime)
    except ImageError:
        pass
    raise HTTPException(404, "no such image, or not readable")
