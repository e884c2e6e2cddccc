"""The lab's models behind an OpenAI-compatible HTTP server, with faults on demand."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.request import urlopen

from vlsbench.errors import VlsbenchError
from vlsbench.lab._asked import Chat, Refused, load, parse_chat, parse_moderation
from vlsbench.lab._batches import LabBatches
from vlsbench.lab._faults import (
    FAULTS,
    UNPAID,
    check_rates,
    draw_number,
    spoil,
    strike,
)
from vlsbench.lab._guard import moderation_result
from vlsbench.lab._look import look_at
from vlsbench.lab._models import IMAGE_TOKENS, JUDGES, MODELS, cut, options_of, reply_of, tokens
from vlsbench.lab._painter import paint_prompt, side_of
from vlsbench.lab._setup import Setup
from vlsbench.lab._world import Thing

if TYPE_CHECKING:
    from aiohttp import web
    from aiohttp.typedefs import Handler

T = TypeVar("T")

MAX_BODY = 256 * 2**20
"""Bytes of the largest request body."""
HANG_S = 60.0
LARGE_IMAGE = 200_000
"""Characters of base64 beyond which an image is looked at in a thread."""
HTML = "<!doctype html><html><head><title>Error</title></head><body><h1>{what}</h1></body></html>"


class LabServer:
    """The state of one server: what it was asked so far."""

    def __init__(self, setup: Setup) -> None:
        """Start from zero."""
        self._setup = setup
        self._faults = check_rates({**dict.fromkeys(FAULTS, setup.each_fault), **setup.faults})
        names = {name: model.removeprefix("lab/") for name, model in setup.names.items()}
        for name, model in names.items():
            if model not in MODELS:
                there = f"no such model; there are {', '.join(MODELS)}"
                raise VlsbenchError(f"--model-name {name}={model}: {there}")
        self._served = {**{model: model for model in MODELS}, **names}
        self._in_flight = self._most_in_flight = self._requests = 0
        self._by_fault: Counter[str] = Counter()
        self._by_model: Counter[str] = Counter()
        self._seen: Counter[bytes] = Counter()
        self._paid: Counter[bytes] = Counter()
        self._batches = LabBatches(self._batched, self._faults, setup)

    def app(self) -> web.Application:
        """Build the application."""
        from aiohttp import web

        @web.middleware
        async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
            try:
                return await handler(request)
            except Refused as error:
                return _error(error)

        app = web.Application(client_max_size=MAX_BODY, middlewares=[refusing])
        for method, path, handler in self._batches.routes():
            app.router.add_route(method, path, partial(self._checked, handler))
        app.router.add_post("/v1/chat/completions", partial(self._counted, self._chat))
        app.router.add_post("/v1/images/generations", partial(self._counted, self._paint))
        app.router.add_post("/v1/moderations", partial(self._counted, self._moderate))
        app.router.add_get("/v1/models", self._models)
        app.router.add_get("/stats", self._stats)
        return app

    async def _stats(self, request: web.Request) -> web.Response:
        """Count what happened so far; docs/lab.md describes the fields."""
        counts = {
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
        return _json(counts)

    async def _models(self, request: web.Request) -> web.Response:
        self._check_key(request)
        names = (name if name in self._setup.names else f"lab/{name}" for name in self._served)
        return _json({"object": "list", "data": [{"id": one, "object": "model"} for one in names]})

    def _check_key(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode()
        wanted = f"Bearer {self._setup.api_key}".encode()
        if self._setup.api_key and not hmac.compare_digest(given, wanted):
            raise Refused(401, "Incorrect API key provided.", "invalid_api_key")

    async def _checked(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        """Answer a question about batches."""
        self._check_key(request)
        if request.method == "GET" and self._batches.strikes("batch_poll", request.path):
            raise Refused(500, "The server had an error.", "server_error")
        return await handler(request)

    async def _counted(self, handler: Handler, request: web.Request) -> web.StreamResponse:
        self._requests += 1
        self._in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self._in_flight)
        try:
            self._check_key(request)
            return await handler(request)
        finally:
            self._in_flight -= 1

    def _strike(self, body: bytes, model: str) -> tuple[str, int, str | None]:
        """Count a request; return its digest, how often it was seen, and the fault it gets."""
        self._by_model[model] += 1
        digest = hashlib.sha256(body).digest()
        self._seen[digest] += 1
        setup, seen = self._setup, self._seen[digest]
        fault = strike(self._faults, setup.seed, digest.hex(), seen, judge=model in JUDGES)
        if fault:
            self._by_fault[fault] += 1
        if fault not in UNPAID:
            # Counted before the answer: a caller who is gone by then would have to pay all the
            # same.
            self._paid[digest] += 1
        return digest.hex(), seen, fault

    async def _paint(self, request: web.Request) -> web.StreamResponse:
        """Draw an image; answers of the service that spoil a text do nothing to it."""
        body, start = await request.read(), time.monotonic()
        try:
            asked = json.loads(body)
            name, _, options = str(asked["model"]).removeprefix("lab/").partition("?")
            prompt, seed = str(asked["prompt"]), int(asked.get("seed") or 0)
            side = side_of(str(asked.get("size", "1024x1024")))
            values = options_of(f"painter?{options}" if options else "painter")
        except (ValueError, KeyError, TypeError, AttributeError, VlsbenchError) as error:
            raise Refused(400, f"not a request for an image: {error}", "invalid") from None
        if self._served.get(name) != "painter":
            raise Refused(404, f"The image model {name!r} does not exist.", "model_not_found")
        fault = self._strike(body, "painter")[2]
        if fault in UNPAID:
            return await self._fail(request, fault)
        data = await asyncio.to_thread(paint_prompt, prompt, seed, side, values)
        image = {"b64_json": base64.b64encode(data).decode("ascii")}
        answer = {"created": int(time.time()), "model": "lab/painter", "data": [image]}
        return await self._answer(request, answer, fault, start)

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body, start = await request.read(), time.monotonic()
        fault, answer = await self._complete(body)
        if answer is None:
            return await self._fail(request, fault or "")
        return await self._answer(request, answer, fault, start)

    async def _batched(self, body: bytes) -> Mapping[str, Any]:
        """Answer a request of a batch; a fault of the connection is an error of the server."""
        fault, answer = await self._complete(body)
        if answer is None:
            raise Refused(500, f"The server had an error ({fault}).", "server_error")
        return answer

    async def _complete(self, body: bytes) -> tuple[str | None, dict[str, Any] | None]:
        """Return the fault that a chat request gets, and the answer where there is one."""
        setup = self._setup
        chat = parse_chat(body, self._served, schemas=setup.schemas)
        plain = chat.model.partition("?")[0]
        digest, seen, fault = self._strike(body, plain)
        del body
        if fault in UNPAID:
            return fault, None
        text, finish = cut(await _say(chat, seen - 1), chat.max_tokens)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": str(finish)}
        spoil(choice, fault, draw_number(setup.seed, digest, seen, "turn"))
        usage = {
            "prompt_tokens": tokens(chat.text) + IMAGE_TOKENS * len(chat.images),
            "completion_tokens": tokens(text),
        }
        answer = {
            "id": f"chatcmpl-{digest[:16]}-{seen}",
            "object": "chat.completion",
            "created": int(time.time()),
            # Not the name it was asked for: whoever reads the answer must see that it is simulated.
            "model": f"lab/{plain}",
            "choices": [choice],
            "usage": {**usage, "total_tokens": sum(usage.values())},
        }
        return fault, answer

    async def _moderate(self, request: web.Request) -> web.StreamResponse:
        """Answer as the moderations endpoint does."""
        body, start = await request.read(), time.monotonic()
        chat = parse_moderation(body, self._served)
        _, seen, fault = self._strike(body, "moderation")
        if fault in UNPAID:
            return await self._fail(request, fault)
        results = [moderation_result(await _say(chat, seen - 1))]
        answer = {"model": f"lab/{chat.model}", "results": results}
        return await self._answer(request, answer, fault, start)

    async def _fail(self, request: web.Request, fault: str) -> web.StreamResponse:
        """Send no answer, but what a fault puts in its place."""
        from aiohttp import web

        match fault:
            case "429":
                response = _error(Refused(429, "Rate limit reached.", "rate_limit_exceeded"))
                response.headers["Retry-After"] = f"{self._setup.retry_after_s:g}"
                return response
            case "500" | "503":
                return _error(Refused(int(fault), "The server had an error.", "server_error"))
            case "html" | "html502":
                status, what = (200, "Come back later") if fault == "html" else (502, "Bad Gateway")
                page = HTML.format(what=what)
                return web.Response(status=status, text=page, content_type="text/html")
            case "azure_filter":
                message = "The response was filtered by the policy."
                return _error(Refused(400, message, "content_filter"))
            case "hang":
                await asyncio.sleep(HANG_S)
        if transport := request.transport:
            # Lingering for no time makes the kernel send RST, as a crashing server does.
            if connection := transport.get_extra_info("socket"):
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()
        return web.Response()

    async def _answer(
        self, request: web.Request, answer: object, fault: str | None, start: float
    ) -> web.StreamResponse:
        """Send an answer in its time, or what a fault leaves of it."""
        from aiohttp import web

        await asyncio.sleep(max(0.0, start + self._setup.latency_s - time.monotonic()))
        data = json.dumps(answer).encode()
        half = data[: len(data) // 2]
        if fault != "short":
            body = half if fault == "truncated" else data
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        response.content_type = "application/json"
        await response.prepare(request)
        await response.write(half)
        if request.transport:
            request.transport.close()
        return response


async def _say(chat: Chat, earlier: int) -> str:
    def look() -> Sequence[Thing]:
        return look_at([load(url) for url in chat.images])

    reply = reply_of(chat.model, chat.seed, earlier if chat.hot else None)
    if max(map(len, chat.images), default=0) > LARGE_IMAGE:
        return await asyncio.to_thread(reply, chat.text, look)
    return reply(chat.text, look)


def _error(error: Refused) -> web.Response:
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    body = {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}
    return _json(body, error.status)


def _json(body: Mapping[str, object], status: int = 200) -> web.Response:
    from aiohttp import web

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
        site = web.TCPSite(runner, setup.host, setup.port, backlog=1024)
        try:
            await site.start()
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
