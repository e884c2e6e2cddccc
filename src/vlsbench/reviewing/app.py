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
from starlette.datastructures import FormData
from starlette.middleware.base import RequestResponseEndpoint

from vlsbench.errors import VlsbenchError
from vlsbench.pages import html_templates
from vlsbench.pairs import ImageData, ImageError, decode, encode
from vlsbench.reviewing._labelling import Labelling
from vlsbench.reviewing._review import Review
from vlsbench.reviewing._store import StoreError
from vlsbench.reviewing._verdicts import (
    CODES,
    MAX_COMMENT,
    Answer,
    Person,
    Question,
    Role,
    Said,
    Step,
)
from vlsbench.text import storable

VEIL_SIDE = 5
"""Pixels of the longer side of a veiled image: colours, no content."""
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

    def find(self, secret: str, kind: str) -> Person:
        """Return who has this `link` or `cookie`, in time that does not tell how near it is."""
        given = secret.encode("utf-8", "replace")
        for person in self.people:
            if secrets.compare_digest(getattr(person, kind).encode(), given):
                return person
        raise HTTPException(401, _STRANGER)


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


def _asked_by(*roles: Role) -> Any:
    """Let in whoever has one of these roles."""

    def person(request: Request) -> Person:
        desk = _desk(request)
        found = desk.find(request.cookies.get(desk.cookie, ""), "cookie")
        if found.role not in roles:
            raise HTTPException(403, "Reviews are blind: your link does not show this.")
        return found

    return Depends(person)


Served = Annotated[Desk, Depends(_desk)]
Anyone = Annotated[Person, _asked_by(*Role)]
Judge = Annotated[Person, _asked_by(Role.REVIEWER, Role.ADJUDICATOR)]
Organiser = Annotated[Person, _asked_by(Role.ORGANISER)]


async def _form(request: Request, person: Judge) -> FormData:
    fields = await request.form()
    given = _text(fields, "form").encode("utf-8", "replace")
    if not secrets.compare_digest(given, person.form.encode()):
        raise HTTPException(403, "This form is not one of ours: open your link again.")
    return fields


Form = Annotated[FormData, Depends(_form)]


def _text(fields: FormData, name: str) -> str:
    value = fields.get(name, "")
    return value if isinstance(value, str) else ""


# What they see.


_TEMPLATES = html_templates(PackageLoader("vlsbench.reviewing"))
_TEMPLATES.globals |= {"CODES": CODES, "MAX_COMMENT": MAX_COMMENT}


def _page(template: str, **context: Any) -> HTMLResponse:
    return HTMLResponse(_TEMPLATES.get_template(template).render(context))


@router.get("/enter/{link}")
def enter(desk: Served, link: str) -> Response:
    """Let a person in. The start page itself, no redirect: browsers would not send it the cookie.

    A strict same-site cookie stays behind on a redirect that began with a click on another site.
    """
    person = desk.find(link, "link")
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
def review(desk: Served, person: Judge, reveal: str = "") -> Response:
    """What the person is at; the image is there once it was asked for by the pair's number."""
    at = desk.review.screen(person.name, person.role)
    return _page(
        "review.html",
        within="_label.html" if isinstance(desk.review, Labelling) else "_screen.html",
        person=person,
        screen=at,
        revealed=at is not None and reveal == str(at.number),
        progress=desk.review.progress(person.name, person.role),
    )


@router.post("/answer")
def answer(desk: Served, person: Judge, fields: Form) -> Response:
    """Record what was said on a screen, and show the next one."""
    number = _text(fields, "number")
    if not number.isascii() or not number.isdigit() or len(number) > 9:
        raise HTTPException(400, "no such pair")
    if isinstance(desk.review, Labelling):
        desk.review.label(person.name, person.role, int(number), _text(fields, "label"))
        return _next()
    try:
        step = Step(_text(fields, "step"))
        answers = {q: Answer(_text(fields, q)) for q in Question if q in fields}
    except ValueError:
        raise HTTPException(400, "no such answer") from None
    comment = storable(_text(fields, "comment").replace("\r\n", "\n").strip())
    said = Said(answers, tuple(map(str, fields.getlist("codes"))), comment)
    recorded = desk.review.answer(person.name, person.role, int(number), step, said)
    # Whoever has just looked at the image has asked for it; who passed on it has not.
    looked = recorded and step is Step.IMAGE and "passed" not in fields
    return _next(f"?reveal={number}" if looked else "")


@router.post("/undo")
def undo(desk: Served, person: Judge, fields: Form) -> Response:
    """Take back what the person said last, and ask again."""
    desk.review.undo(person.name, person.role)
    return _next()


def _next(query: str = "") -> Response:
    # So that a browser without script can reload the page without sending the form again.
    return RedirectResponse(f"/review{query}", 303)


@router.get("/overview")
def overview(desk: Served, person: Organiser) -> Response:
    """Progress and agreement."""
    figures = "_labelled.html" if isinstance(desk.review, Labelling) else "_figures.html"
    return _page("overview.html", within=figures, status=desk.review.status())


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
