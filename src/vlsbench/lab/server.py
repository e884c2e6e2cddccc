"""The lab's models behind an OpenAI-compatible HTTP server, with faults on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import urlopen

from vlsbench.errors import VlsbenchError
from vlsbench.lab._asked import MALFORMED, read_chat
from vlsbench.lab._batches import LabBatches, Told
from vlsbench.lab._faults import UNPAID, Refused, Setup, check_rates, draw_number, spoil, strike
from vlsbench.lab._models import (
    IMAGE_TOKENS,
    JUDGES,
    MODELS,
    cut,
    options_of,
    tokens,
)
from vlsbench.lab._writer import paint_prompt, side_of

if TYPE_CHECKING:
    from aiohttp import web

T = TypeVar("T")
Work = Callable[[bytes], Awaitable[tuple[str | None, Told | None]]]
"""Returns the fault that a request gets, and the answer where there is one."""

MAX_BODY = 256 * 2**20
"""Bytes of the largest request body."""
HANG_S = 60.0
HTML = "<!doctype html><html><head><title>Error</title></head><body>Come back later</body></html>"


class LabServer:
    """The state of one server: what it was asked so far."""

    def __init__(self, setup: Setup) -> None:
        """Start from zero."""
        check_rates(setup.faults)
        self._setup = setup
        names = {name: model.removeprefix("lab/") for name, model in setup.names.items()}
        if unknown := {*names.values()} - MODELS.keys():
            there = f"there are {', '.join(MODELS)}"
            raise VlsbenchError(f"--model-name: no model {', '.join(unknown)}; {there}")
        self._served = {**{model: model for model in MODELS}, **names}
        self._in_flight = self._most_in_flight = self._requests = 0
        self._by_fault: Counter[str] = Counter()
        self._by_model: Counter[str] = Counter()
        self._seen: Counter[bytes] = Counter()
        self._paid: Counter[bytes] = Counter()
        self._batches = LabBatches(self._batched, setup)

    def app(self) -> web.Application:
        """Build the application."""
        from aiohttp import web

        app = web.Application(client_max_size=MAX_BODY)
        for (method, path), handler in self._batches.routes.items():
            app.router.add_route(method, path, partial(self._told, handler))
        app.router.add_get("/v1/models", partial(self._told, self._models))
        app.router.add_get("/stats", self._stats)
        app.router.add_post("/v1/chat/completions", partial(self._asked, self._chat))
        app.router.add_post("/v1/images/generations", partial(self._asked, self._paint))
        app.router.add_post("/v1/moderations", partial(self._asked, self._moderate))
        return app

    async def _stats(self, request: web.Request) -> web.Response:
        """Count what happened so far; docs/lab.md describes the fields."""
        return _respond(
            {
                "requests": self._requests,
                "in_flight": self._in_flight,
                "max_in_flight": self._most_in_flight,
                "by_model": dict(self._by_model),
                "by_fault": dict(self._by_fault),
                "distinct": len(self._seen),
                "paid": self._paid.total(),
                "paid_again": self._paid.total() - len(self._paid),
                **self._batches.stats(),
            }
        )

    async def _models(self, request: web.Request) -> Told:
        names = (name if name in self._setup.names else f"lab/{name}" for name in self._served)
        return {"object": "list", "data": [{"id": one, "object": "model"} for one in names]}

    def _check_key(self, request: web.Request) -> None:
        key = self._setup.api_key
        if key and request.headers.get("Authorization") != f"Bearer {key}":
            raise Refused(401, "Incorrect API key provided.", "invalid_api_key")

    async def _told(
        self, handler: Callable[[web.Request], Awaitable[Told | bytes]], request: web.Request
    ) -> web.Response:
        """Answer a question about models or batches."""
        try:
            self._check_key(request)
            if request.method == "GET" and self._batches.strikes("batch_poll", request.path):
                raise Refused(500, "The server had an error.", "server_error")
            return _respond(await handler(request))
        except Refused as error:
            return _respond(error.body, error.status)

    async def _asked(self, work: Work, request: web.Request) -> web.Response:
        """Answer a question to a model in its time, or send what a fault makes of the answer."""
        self._requests += 1
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        try:
            self._check_key(request)
            body, start = await request.read(), time.monotonic()
            fault, answer = await work(body)
            del body
            if answer is None:
                return await self._fail(request, fault)
            await asyncio.sleep(max(0.0, start + self._setup.latency_s - time.monotonic()))
            data = json.dumps(answer).encode()
            sent = data[: len(data) // 2] if fault == "truncated" else data
            return _respond(sent, kind="application/json")
        except Refused as error:
            return _respond(error.body, error.status)
        finally:
            self._in_flight -= 1

    def _strike(self, body: bytes, model: str) -> tuple[str, int, str | None]:
        """Count a request; return its digest, how often it was seen, and the fault it gets."""
        self._by_model[model] += 1
        digest = hashlib.sha256(body).digest()
        self._seen[digest] += 1
        seen = self._seen[digest]
        fault = strike(self._setup, digest.hex(), seen, judge=model in JUDGES)
        if fault:
            self._by_fault[fault] += 1
        if fault not in UNPAID:
            # Counted before the answer: a caller who is gone by then would have to pay all the
            # same.
            self._paid[digest] += 1
        return digest.hex(), seen, fault

    async def _paint(self, body: bytes) -> tuple[str | None, Told | None]:
        """Draw an image; answers of the service that spoil a text do nothing to it."""
        try:
            asked = json.loads(body)
            name, mark, options = str(asked["model"]).removeprefix("lab/").partition("?")
            prompt, seed = str(asked["prompt"]), int(asked.get("seed") or 0)
            side = side_of(str(asked.get("size", "1024x1024")))
            values = options_of(f"painter{mark}{options}")
        except (*MALFORMED, VlsbenchError) as error:
            raise Refused(400, f"not a request for an image: {error}", "invalid") from None
        if self._served.get(name) != "painter":
            raise Refused(404, f"The image model {name!r} does not exist.", "model_not_found")
        fault = self._strike(body, "painter")[2]
        if fault in UNPAID:
            return fault, None
        data = await asyncio.to_thread(paint_prompt, prompt, seed, side, values)
        image = {"b64_json": base64.b64encode(data).decode("ascii")}
        return fault, {"created": int(time.time()), "model": "lab/painter", "data": [image]}

    async def _batched(self, body: bytes) -> Told:
        """Answer a request of a batch; a fault of the connection is an error of the server."""
        fault, answer = await self._chat(body)
        if answer is None:
            raise Refused(500, f"The server had an error ({fault}).", "server_error")
        return answer

    async def _chat(self, body: bytes) -> tuple[str | None, Told | None]:
        chat = read_chat(body, self._served, schemas=self._setup.schemas)
        plain = chat.model.partition("?")[0]
        digest, seen, fault = self._strike(body, plain)
        if fault in UNPAID:
            return fault, None
        text, finish = cut(await chat.say(seen - 1), chat.max_tokens)
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": str(finish)}
        spoil(choice, fault, draw_number(self._setup.seed, digest, seen, "turn"))
        usage = {
            "prompt_tokens": tokens(chat.text) + IMAGE_TOKENS * len(chat.images),
            "completion_tokens": tokens(text),
        }
        return fault, {
            "id": f"chatcmpl-{digest[:16]}-{seen}",
            "object": "chat.completion",
            "created": int(time.time()),
            # Not the name it was asked for: whoever reads the answer must see that it is simulated.
            "model": f"lab/{plain}",
            "choices": [choice],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }

    async def _moderate(self, body: bytes) -> tuple[str | None, Told | None]:
        """Answer as the moderations endpoint does."""
        try:
            asked = json.loads(body)
            message = {"role": "user", "content": asked["input"]}
            as_chat = json.dumps({"model": asked["model"], "messages": [message]}).encode()
        except MALFORMED as error:
            raise Refused(400, f"not a moderation request: {error!r}", "invalid_request") from None
        chat = read_chat(as_chat, self._served, schemas=True)
        if chat.model.partition("?")[0] != "moderation":
            raise Refused(404, f"{asked['model']!r} does not moderate.", "model_not_found")
        _, seen, fault = self._strike(body, "moderation")
        if fault in UNPAID:
            return fault, None
        said = json.loads(await chat.say(seen - 1))
        result = {
            "flagged": said["flagged"],
            "categories": {"risky": said["flagged"]},
            "category_scores": {"risky": said["score"]},
        }
        return fault, {"model": f"lab/{chat.model}", "results": [result]}

    async def _fail(self, request: web.Request, fault: str | None) -> web.Response:
        """Send no answer, but what a fault puts in its place."""
        match fault:
            case "429":
                error = Refused(429, "Rate limit reached.", "rate_limit_exceeded")
                response = _respond(error.body, error.status)
                response.headers["Retry-After"] = f"{self._setup.retry_after_s:g}"
                return response
            case "500":
                raise Refused(500, "The server had an error.", "server_error")
            case "html":
                return _respond(HTML.encode(), kind="text/html")
            case "azure_filter":
                raise Refused(400, "The response was filtered by the policy.", "content_filter")
            case "hang":
                await asyncio.sleep(HANG_S)
        if transport := request.transport:
            # Lingering for no time makes the kernel send RST, as a crashing server does.
            if connection := transport.get_extra_info("socket"):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return _respond(b"")


def _respond(
    body: Mapping[str, object] | bytes, status: int = 200, kind: str = "application/octet-stream"
) -> web.Response:
    from aiohttp import web

    if isinstance(body, bytes):
        return web.Response(body=body, status=status, content_type=kind)
    return web.json_response(body, status=status)


@asynccontextmanager
async def serving(setup: Setup) -> AsyncIterator[str]:
    """Serve the lab in this event loop.

    Yields:
        The base URL, such as `http://127.0.0.1:8700/v1`.

    Raises:
        VlsbenchError: The port is taken.
    """
    from aiohttp import web

    runner = web.AppRunner(
        LabServer(setup).app(),
        access_log=None,
        handler_cancellation=True,
        shutdown_timeout=1.0,
        read_bufsize=2**20,
    )
    await runner.setup()
    try:
        try:
            await web.TCPSite(runner, setup.host, setup.port, backlog=1024).start()
        except OSError as error:
            raise VlsbenchError(
                f"cannot listen on {setup.host}:{setup.port} ({error.strerror}); --port 0 takes "
                "any free port"
            ) from None
        yield f"http://{setup.host}:{runner.addresses[0][1]}/v1"
    finally:
        await runner.cleanup()


@contextmanager
def running(
    *, faults: Mapping[str, float] | None = None, latency: float = 0.0, **setup: Any
) -> Iterator[str]:
    """Serve the lab from a thread, for tests and notebooks: `with running() as url: …`.

    Args:
        faults: Fault → rate.
        latency: Seconds before an answer.
        setup: Further fields of `Setup`; any free `port` unless told otherwise.

    Yields:
        The base URL, such as `http://127.0.0.1:41234/v1`.

    Raises:
        VlsbenchError: The port is taken.
    """
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, name="lab-server", daemon=True)
    thread.start()

    def wait(work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    try:
        setting = Setup(faults=faults or {}, latency_s=latency, **{"port": 0, **setup})
        yield wait(stack.enter_async_context(serving(setting)))
    finally:
        wait(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def stats(url: str) -> dict[str, Any]:
    """Fetch the counts of a running lab server by its base URL (docs/lab.md describes them)."""
    with urlopen(f"{url.removesuffix('/v1')}/stats", timeout=10) as answer:
        counts: dict[str, Any] = json.load(answer)
    return counts
