"""A bare client: about the fastest that one reasonably writes by hand, and nothing kept.

Read the file, encode it once, splice the JSON, ask the target, ask the judge. No retries, no
record, no progress. The yardstick for the others.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import aiohttp

from benchmarks.clients.chat import (
    JUDGE,
    MAX_TOKENS,
    RESPONSE_FORMAT,
    TARGET,
    arguments,
    judge_prompt,
)
from benchmarks.workload import Item, items

HEADERS = {"Content-Type": "application/json"}


def body(model: str, image: bytes, text: str, **more: object) -> bytes:
    """Splice a chat request around an image that is already base64."""
    rest = json.dumps({"max_tokens": MAX_TOKENS, "temperature": 0, **more})
    return b"".join(
        (
            b'{"model":"%s","messages":[{"role":"user","content":[{"type":"image_url",'
            % model.encode(),
            b'"image_url":{"url":"data:image/png;base64,',
            image,
            b'"}},{"type":"text","text":%s}]}],%s' % (json.dumps(text).encode(), rest[1:].encode()),
        )
    )


async def ask(session: aiohttp.ClientSession, url: str, data: bytes) -> str:
    async with session.post(url, data=data, headers=HEADERS) as response:
        response.raise_for_status()
        reply = json.loads(await response.read())
    text: str = reply["choices"][0]["message"]["content"]
    return text


async def worker(
    session: aiohttp.ClientSession, url: str, queue: Iterator[Item], labels: Counter[str]
) -> None:
    for item in queue:
        image = base64.b64encode(item.image.read_bytes())
        reply = await ask(session, url, body(TARGET, image, item.query))
        prompt = judge_prompt(item.query, reply)
        verdict = await ask(
            session, url, body(JUDGE, image, prompt, response_format=RESPONSE_FORMAT)
        )
        labels[json.loads(verdict)["label"]] += 1


async def run(folder: Path, url: str, connections: int) -> Counter[str]:
    labels: Counter[str] = Counter()
    queue = items(folder)
    connector = aiohttp.TCPConnector(limit=connections)
    async with aiohttp.ClientSession(connector=connector) as session:
        target = f"{url}/chat/completions"
        async with asyncio.TaskGroup() as group:
            for _ in range(connections):
                group.create_task(worker(session, target, queue, labels))
    return labels


def main() -> None:
    parser = arguments("Run the workload with a bare aiohttp client.")
    parser.add_argument("--uvloop", action="store_true")
    args = parser.parse_args()
    job = run(args.dir, args.url, args.connections)
    if args.uvloop:
        import uvloop

        print(dict(uvloop.run(job)))
    else:
        print(dict(asyncio.run(job)))


if __name__ == "__main__":
    main()
