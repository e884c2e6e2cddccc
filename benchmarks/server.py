"""A local OpenAI-compatible server that costs as little as it can, so the client is what we time.

Bodies are counted and thrown away as they arrive; only their first and last bytes are kept, which
is enough to tell who is asked (`"model":"judge"` or another) and about which pair (`item-000017`).
Every call is answered after a fixed delay: a judge with one of the three labels, fixed per pair,
anyone else with a short text. One process, one thread, one receive buffer for all connections:
nothing is allocated per megabyte. Not a general HTTP server: bodies need a Content-Length.

    POST anything     a chat completion
    GET  /v1/models   the two model names
    GET  /stats       what was asked so far (see `_Books.totals`); `?calls` adds every call
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

RECEIVE_BYTES = 512 * 1024
KEPT_BYTES = 16 * 1024
"""Of each end of a body; the prompts around the image are much shorter."""
LABELS = ("refusal", "warning", "unsafe")

_JUDGE = re.compile(rb'"model": ?"judge"')
_ITEM = re.compile(rb"item-(\d{6})")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class _Call:
    role: str
    item: str
    arrived: float
    """When the last byte of the question came, on the machine's monotonic clock."""
    answered: float | None = None


@dataclass
class _Books:
    """What was asked, by whom, when."""

    calls: list[_Call] = field(default_factory=list)
    answered: int = 0
    opened: int = 0
    """Connections, ever."""
    busy: int = 0
    most_busy: int = 0
    """The most calls at once, from first byte to answer: the client's real concurrency."""
    bytes: int = 0
    first: float | None = None
    last: float | None = None

    def totals(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return {
            "target": sum(call.role == "target" for call in self.calls),
            "judge": sum(call.role == "judge" for call in self.calls),
            "answered": self.answered,
            "opened": self.opened,
            "most_busy": self.most_busy,
            "bytes": self.bytes,
            "span_s": (self.last or 0.0) - (self.first or 0.0),
            "cpu_s": usage.ru_utime + usage.ru_stime,
        }


class _Connection(asyncio.BufferedProtocol):
    def __init__(self, books: _Books, buffer: memoryview, delay: float) -> None:
        self.books = books
        self.buffer = buffer
        self.delay = delay
        self.head = bytearray()
        self.tail = bytearray()
        self.length: int | None = None
        """Of the body that is arriving; None between requests."""
        self.got = 0
        self.answering = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.books.opened += 1

    def connection_lost(self, exc: Exception | None) -> None:
        if self.answering or self.length is not None:
            self.books.busy -= 1
        self.answering = False
        self.length = None

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = self.buffer[:nbytes]
        if self.length is None:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            headers, rest = bytes(self.head[:end]), bytes(self.head[end + 4 :])
            self.head.clear()
            if headers.startswith(b"GET"):
                self._get(headers)
                return
            self._begin(headers)
            data = memoryview(rest)
        self._body(data)

    def _begin(self, headers: bytes) -> None:
        found = _LENGTH.search(headers)
        if not found:
            self._send(b'{"error":{"message":"Content-Length needed"}}', "411 Length Required")
            self.transport.close()
            return
        self.length, self.got = int(found[1]), 0
        books = self.books
        books.first = books.first or time.monotonic()
        books.busy += 1
        books.most_busy = max(books.most_busy, books.busy)

    def _body(self, data: memoryview) -> None:
        if self.length is None:
            return
        size = len(data)
        if self.got < KEPT_BYTES:
            self.head += data[: KEPT_BYTES - self.got]
        over = self.got + size - (self.length - KEPT_BYTES)
        if over > 0:
            self.tail += data[max(0, size - over) :]
        self.got += size
        if self.got < self.length:
            return
        kept = bytes(self.head + self.tail)
        self.books.bytes += self.length
        self.head.clear()
        self.tail.clear()
        self.length = None
        self._asked(kept)

    def _asked(self, kept: bytes) -> None:
        item = _ITEM.search(kept)
        call = _Call(
            "judge" if _JUDGE.search(kept) else "target",
            item[1].decode() if item else "",
            time.monotonic(),
        )
        self.books.calls.append(call)
        self.answering = True
        if self.delay:
            asyncio.get_running_loop().call_later(self.delay, self._answer, call)
        else:
            self._answer(call)

    def _answer(self, call: _Call) -> None:
        if not self.answering:
            return
        self.answering = False
        self.books.busy -= 1
        self.books.answered += 1
        call.answered = self.books.last = time.monotonic()
        if call.role == "judge":
            label = LABELS[int(call.item or 0) % len(LABELS)]
            text = json.dumps({"explanation": "It names the risk.", "label": label})
        else:
            text = f"Unplug it first, and keep it away from water. (item-{call.item})"
        self._send(json.dumps(_completion(call.role, text)).encode())

    def _get(self, headers: bytes) -> None:
        target = headers.split(b" ", 2)[1]
        if target.startswith(b"/stats"):
            totals = self.books.totals()
            if target.endswith(b"?calls"):
                totals["calls"] = [
                    [call.role, call.item, call.arrived, call.answered] for call in self.books.calls
                ]
            self._send(json.dumps(totals).encode())
        else:
            names = [{"id": name, "object": "model"} for name in ("helpful", "judge")]
            self._send(json.dumps({"object": "list", "data": names}).encode())

    def _send(self, body: bytes, status: str = "200 OK") -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        self.transport.write(head.encode() + b"\r\n\r\n" + body)


def _completion(role: str, text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": role,
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1000, "completion_tokens": 20, "total_tokens": 1020},
    }


async def _serve(port: int, delay: float) -> None:
    books, buffer = _Books(), memoryview(bytearray(RECEIVE_BYTES))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: _Connection(books, buffer, delay), "127.0.0.1", port, backlog=512
    )
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    print(server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()


@dataclass(frozen=True, slots=True)
class Server:
    """A running server, as its users see it."""

    root: str

    @property
    def url(self) -> str:
        """The base URL of the API."""
        return f"{self.root}/v1"

    def stats(self, *, calls: bool = False) -> dict[str, Any]:
        """What was asked so far; with `calls`, `[role, item, arrived, answered]` of each."""
        with urllib.request.urlopen(f"{self.root}/stats{'?calls' if calls else ''}") as reply:
            found: dict[str, Any] = json.load(reply)
        return found


@contextmanager
def running(delay: float = 0.2, port: int = 0) -> Iterator[Server]:
    """Start a server in a process of its own; stop it at the end.

    Args:
        delay: Seconds from the last byte of a question to its answer; 0 answers at once.
        port: To listen on; 0 takes any free one.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.server", "--delay", str(delay), "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    import uvloop

    parser = argparse.ArgumentParser(description="Answer chat completions, cheaply.")
    parser.add_argument("--port", type=int, default=0, help="0: any free one, printed")
    parser.add_argument("--delay", type=float, default=0.2, help="seconds")
    args = parser.parse_args()
    uvloop.run(_serve(args.port, args.delay))


if __name__ == "__main__":
    main()
