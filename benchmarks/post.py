"""Which way of sending a 2.3 MB body costs least? One way a process, so memory is its own.

    python -m benchmarks.post DIR --connections 32 --repeats 5

Ways, each over asyncio's own loop and uvloop:

    joined     one bytes object: head, base64 and tail joined, given to aiohttp as `data`
    generator  an async generator of 64 KB slices, with a Content-Length
    slices-N   a `Payload` that writes slices of N KB of the finished base64, and waits for room
    encode-N   a `Payload` that encodes N KB of base64 at a time while it sends: no whole base64
    joined-std, slices-std  the same with the standard library's base64
    …-sndbuf   with a send buffer of 4 MB set on every socket
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import random
import socket
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pybase64
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

from benchmarks.clients.bare import body
from benchmarks.measure import Cost, measured, median
from benchmarks.workload import Item, items, warm

WAYS = (
    "joined-std",
    "joined",
    "generator",
    "slices-std",
    "slices-64",
    "slices-256",
    "slices-1024",
    "slices-4096",
    "encode-64",
    "encode-256",
    "encode-1024",
    "joined-sndbuf",
    "slices-256-sndbuf",
    "encode-256-sndbuf",
)
MARK = b"@"


class Pieces(Payload):
    """A body made of pieces, with a length known before."""

    _autoclose = True

    def __init__(self, pieces: Callable[[], Iterator[bytes | memoryview]], size: int) -> None:
        super().__init__(pieces, content_type="application/json")
        self._size = size

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        raise TypeError("not kept whole")

    async def write(self, writer: AbstractStreamWriter) -> None:
        for piece in self._value():
            await writer.write(piece)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        await self.write(writer)


def sliced(data: bytes, size: int) -> Iterator[memoryview]:
    view = memoryview(data)
    for start in range(0, len(view), size):
        yield view[start : start + size]


class Maker:
    """Makes the body of one call out of an image, in one of the ways."""

    def __init__(self, way: str) -> None:
        self.kind, _, rest = way.removesuffix("-sndbuf").partition("-")
        self.size = 1024 * (int(rest) if rest.isdigit() else 256)
        self.encode: Callable[[bytes], bytes] = (
            base64.b64encode if rest == "std" else pybase64.b64encode
        )

    def prepare(self, data: bytes) -> bytes:
        """Do what is done once for both calls of a pair."""
        return data if self.kind == "encode" else self.encode(data)

    def payload(self, model: str, image: bytes, text: str) -> tuple[Any, dict[str, str]]:
        headers = {"Content-Type": "application/json"}
        if self.kind == "joined":
            return body(model, image, text), headers
        head, _, tail = body(model, MARK, text).partition(MARK)
        if self.kind == "encode":
            step = self.size // 4 * 3

            def encoded() -> Iterator[bytes | memoryview]:
                yield head
                for part in sliced(image, step):
                    yield pybase64.b64encode(part)
                yield tail

            return Pieces(encoded, len(head) + -(-len(image) // 3) * 4 + len(tail)), headers
        total = len(head) + len(image) + len(tail)
        if self.kind == "generator":

            async def generated() -> AsyncIterator[bytes]:
                yield head
                for part in sliced(image, 65536):
                    yield bytes(part)
                yield tail

            return generated(), headers | {"Content-Length": str(total)}

        def cut() -> Iterator[bytes | memoryview]:
            yield head
            yield from sliced(image, self.size)
            yield tail

        return Pieces(cut, total), headers


async def send(way: str, folder: Path, url: str, connections: int) -> None:
    maker = Maker(way)

    def wide(info: Any) -> socket.socket:
        made = socket.socket(*info[:3])
        made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
        return made

    connector = aiohttp.TCPConnector(
        limit=connections, socket_factory=wide if way.endswith("sndbuf") else None
    )

    async def worker(session: aiohttp.ClientSession, queue: Iterator[Item]) -> None:
        for item in queue:
            image = maker.prepare(item.image.read_bytes())
            for model in ("helpful", "judge"):
                data, headers = maker.payload(model, image, item.query)
                async with session.post(url, data=data, headers=headers) as response:
                    response.raise_for_status()
                    await response.read()

    async with aiohttp.ClientSession(connector=connector) as session:
        queue = items(folder)
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(worker(session, queue))


def measure(way: str, loop: str, folder: Path, connections: int) -> Cost:
    """Run one way in a process of its own."""

    def command(url: str) -> list[str]:
        where = [str(folder), "--url", f"{url}/chat/completions"]
        how = ["--way", way, "--loop", loop, "--connections", str(connections)]
        return [sys.executable, "-m", "benchmarks.post", *where, *how]

    return measured(command)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare ways of sending a large body.")
    parser.add_argument("dir", type=Path)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--loops", nargs="+", default=["asyncio", "uvloop"])
    parser.add_argument("--way", help=argparse.SUPPRESS)
    parser.add_argument("--loop", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.way:
        job = send(args.way, args.dir, args.url, args.connections)
        if args.loop == "uvloop":
            import uvloop

            uvloop.run(job)
        else:
            asyncio.run(job)
        return
    warm(args.dir)
    runs = [(way, loop) for way in args.ways for loop in args.loops]
    found: dict[tuple[str, str], list[Cost]] = {run: [] for run in runs}
    for repeat in range(args.repeats):
        for way, loop in random.Random(repeat).sample(runs, len(runs)):
            found[way, loop].append(measure(way, loop, args.dir, args.connections))
    print(f"{args.connections} connections, median of {args.repeats}")
    print(f"{'way':20} {'loop':8} {'calls/s':>8} {'CPU ms/call':>12} {'peak MB':>8}")
    for (way, loop), costs in found.items():
        cpu_ms = median(costs, "cpu_s") / costs[0].calls * 1e3
        rate, peak = median(costs, "calls_s"), median(costs, "peak_mb")
        print(f"{way:20} {loop:8} {rate:8.1f} {cpu_ms:12.2f} {peak:8.0f}")


if __name__ == "__main__":
    main()
