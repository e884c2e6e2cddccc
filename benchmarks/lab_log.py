"""The lab's server with a log of its calls: which question, when it came, when it was answered.

    GET /log    [[question, arrived, answered or null], …] in the order of arrival

A question's name is a digest of what stands in a ledger too, so that both can be compared.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from aiohttp import web

from vlsbench.engine import Call
from vlsbench.lab.server import LabServer, Setup

Log = list[tuple[str, float, float | None]]
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def question(model: str, text: str, images: Sequence[str], seed: int | None) -> str:
    """Name a question; images by the SHA-256 of their bytes."""
    name = model.removeprefix("lab/").partition("@")[0]
    known = json.dumps([name, text, list(images), seed])
    return hashlib.sha256(known.encode()).hexdigest()[:24]


def asked(body: bytes) -> str:
    """Name the question in the body of a request, to a chat model or an image model."""
    found = json.loads(body)
    if "prompt" in found:
        return question(found["model"], found["prompt"], (), found["seed"])
    content = found["messages"][-1]["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    images = [hashlib.sha256(base64.b64decode(url.partition(",")[2])).hexdigest() for url in urls]
    text = "".join(part["text"] for part in parts if part["type"] == "text")
    return question(found["model"], text, images, found.get("seed"))


def recorded(call: Call) -> str:
    """Name the question of a call on record."""
    request = call.asked
    return question(call.model, request["text"], request["images"], request["params"]["seed"])


async def _serve(latency: float) -> None:
    log: list[list[Any]] = []

    @web.middleware
    async def keep(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method != "POST":
            return await handler(request)
        entry = [asked(await request.read()), time.monotonic(), None]
        log.append(entry)
        response = await handler(request)
        entry[2] = time.monotonic()
        return response

    async def show(request: web.Request) -> web.Response:
        return web.json_response(log)

    app = LabServer(Setup(latency_s=latency)).app()
    app.middlewares.append(keep)
    app.router.add_get("/log", show)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=512).start()
    print(f"http://127.0.0.1:{runner.addresses[0][1]}/v1", flush=True)
    await asyncio.Event().wait()


@contextmanager
def logged(latency: float) -> Iterator[str]:
    """Serve the lab from a process of its own; yields its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.lab_log", "--latency", str(latency)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()


def log_of(url: str) -> Log:
    """Fetch the log of a server by its base URL."""
    with urllib.request.urlopen(f"{url.removesuffix('/v1')}/log", timeout=10) as reply:
        return [tuple(entry) for entry in json.load(reply)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Serve the lab, with a log.")
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    asyncio.run(_serve(parser.parse_args().latency))


if __name__ == "__main__":
    main()
