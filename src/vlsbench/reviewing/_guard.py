"""What stands between the network and the review: who may ask at all, and what a page may do.

The server listens on this machine only. Other sites that are open in the same browser can still
reach it; so a request must name this very host (DNS rebinding), and one that records something must
come from a page of ours (CSRF), which the forms' own secret says once more.
"""

from __future__ import annotations

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

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


class Guard:
    """ASGI middleware that refuses requests from elsewhere and sets the headers of all replies."""

    def __init__(self, app: ASGIApp, *, port: int) -> None:
        self._app = app
        self._hosts = frozenset((f"127.0.0.1:{port}", f"localhost:{port}"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            # Start and stop of the server; anything else, such as a web socket, is not spoken here.
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self._refusal(scope["method"], Headers(scope=scope))
        if refused:
            status, why = refused
            await PlainTextResponse(f"{why}\n", status)(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _refusal(self, method: str, headers: Headers) -> tuple[int, str] | None:
        host, length = headers.get("host", ""), headers.get("content-length", "")
        if host not in self._hosts:
            return 421, "no such host here"
        if method in ("GET", "HEAD"):
            return None
        if method != "POST":
            return 405, "method not allowed"
        site = headers.get("sec-fetch-site", "same-origin")
        if headers.get("origin") != f"http://{host}" or site != "same-origin":
            return 403, "this form is not one of ours"
        if not length.isdecimal():
            return 411, "length required"
        return (413, "too long") if int(length) > MAX_BODY else None
