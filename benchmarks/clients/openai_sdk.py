"""The openai package doing what the bare client does."""

from __future__ import annotations

import asyncio
import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from openai import AsyncOpenAI

from benchmarks.clients.chat import (
    JUDGE,
    MAX_TOKENS,
    RESPONSE_FORMAT,
    TARGET,
    arguments,
    judge_prompt,
)
from benchmarks.workload import Item, items


def message(url: str, text: str) -> list[Any]:
    image = {"type": "image_url", "image_url": {"url": url}}
    return [{"role": "user", "content": [image, {"type": "text", "text": text}]}]


async def ask(client: AsyncOpenAI, model: str, image: str, text: str, **more: Any) -> str:
    reply = await client.chat.completions.create(
        model=model,
        messages=message(image, text),
        max_tokens=MAX_TOKENS,
        temperature=0,
        **more,
    )
    return reply.choices[0].message.content or ""


async def worker(client: AsyncOpenAI, queue: Iterator[Item], labels: Counter[str]) -> None:
    for item in queue:
        image = "data:image/png;base64," + base64.b64encode(item.image.read_bytes()).decode()
        reply = await ask(client, TARGET, image, item.query)
        prompt = judge_prompt(item.query, reply)
        verdict = await ask(client, JUDGE, image, prompt, response_format=RESPONSE_FORMAT)
        labels[json.loads(verdict)["label"]] += 1


async def main() -> None:
    args = arguments("Run the workload with the openai package.").parse_args()
    labels: Counter[str] = Counter()
    queue = items(args.dir)
    async with AsyncOpenAI(base_url=args.url, api_key="none") as client, asyncio.TaskGroup() as all:
        for _ in range(args.connections):
            all.create_task(worker(client, queue, labels))
    print(dict(labels))


if __name__ == "__main__":
    asyncio.run(main())
