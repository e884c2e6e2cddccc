"""Stage *draw*, and the images on record: each is a blob of the run before its call is known."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlsbench.building._items import FORBIDDEN, Item, decide, keep
from vlsbench.building._recipe import Draw
from vlsbench.building.roles import Line, Role, Score, Task, TaskStage
from vlsbench.engine import Context, Record, Result, get_blob, put_blob
from vlsbench.errors import VlsbenchError
from vlsbench.models import Finish, ImageModel, Params, Reply, Request, call_key
from vlsbench.pairs import ImageData

LOOK = """\
The picture was drawn by a text-to-image model. Between the marks {tag} stand what it was to \
show and the prompt that drew it. Say what the picture really shows, what is missing or wrong, \
how well it shows what it was to show (0 not at all, 10 entirely; below 5 where the main thing is \
missing or another), and write a better prompt for the next try.
{rules}
Answer with a JSON object: "caption", "critique", "score" (a whole number from 0 to 10), "prompt".
TASK: look
"""


class KeptDrawings:
    """An image model in the form of a chat model, so that `ctx.call` records and counts it.

    A reply holds the digest of the image; the image is durable before the reply is.
    """

    def __init__(self, painter: ImageModel, size: str, run: Path) -> None:
        self.spec = painter.spec
        self.endpoint = painter.endpoint
        self.identity: Mapping[str, Any] = {**painter.identity, "size": size}
        self._painter = painter
        self._size = size
        self._run = run

    async def ask(self, request: Request) -> Reply:
        reply = await self._painter.draw(replace(request, system=self._size))
        if reply.finish is not Finish.STOP:
            return reply
        image: ImageData = reply.extra["image"]
        await asyncio.to_thread(put_blob, self._run, image.data, image.sha256)
        return replace(reply, extra={**reply.extra, "image": image.sha256, "mime": image.mime})

    async def close(self) -> None:
        await self._painter.close()


def image_of(run: Path, sha256: str) -> ImageData:
    """Return an image of the run by its digest. Raises `VlsbenchError` where it is gone."""
    data = get_blob(run, sha256)
    if data is None:
        raise VlsbenchError(
            f"{run}: the image {sha256[:12]}… is gone from blobs/; put it back, or build anew "
            "with another --out"
        )
    return ImageData.of(data, sha256)


class DrawStage(TaskStage):
    """From a description to an image: draw, look, improve; a pair that has one (path B) passes.

    Every round's prompt, seed, image and critique stand in the step; the best image is kept.
    Drops: `forbidden` (an improved prompt breaks the content rules), `not_drawn` (the backend
    filtered or rejected every prompt), `badly_drawn` (the best image scores below `least`).
    """

    name = "draw"
    task = Task("look", LOOK, {"caption": str, "critique": str, "score": Score, "prompt": Line})

    def __init__(self, painter: KeptDrawings, eyes: Role, settings: Draw, run: Path) -> None:
        known = [painter.identity, eyes.identity, settings.rounds, settings.good, settings.least]
        super().__init__(eyes, known)
        self._painter = painter
        self._settings = settings
        self._run = run

    async def run(self, record: Record, ctx: Context) -> Result:
        item: Item = record.value
        if item.image:
            return keep(item)
        rounds: list[dict[str, Any]] = []
        calls: list[str] = []
        prompt, reason = item.image_prompt, ""
        for turn in range(self._settings.rounds):
            # Fixed, and different for every record and round.
            seed = hashlib.sha256(f"{record.id}:{turn}".encode()).digest()[:4]
            row: dict[str, Any] = {"prompt": prompt, "seed": int.from_bytes(seed) >> 1}
            rounds.append(row)
            image = await self._draw(row, ctx, calls)
            if image is None:
                continue
            blocks = [("DESCRIPTION", item.description), ("PROMPT", prompt)]
            answer = await self.ask(record, ctx, blocks, (image,))
            calls += answer.calls
            if answer.value is None:
                reason = answer.reason
                continue
            row.update({key: answer.value[key] for key in ("caption", "critique", "score")})
            if row["score"] >= self._settings.good:
                break
            better = answer.value["prompt"]
            if item.forbids(better):
                row["next"] = FORBIDDEN
                break
            prompt = better or prompt
        images = [row["image"] for row in rounds if "image" in row]
        item = item.then(self.step(calls, rounds=rounds, images=images))
        seen = [row for row in rounds if "score" in row]
        if not seen:
            return decide(item, reason, "not_drawn")
        # The first of equals: a later round is no better for being later.
        best = max(seen, key=lambda row: row["score"])
        item = replace(
            item,
            image=best["image"],
            image_prompt=best["prompt"],
            image_licence=self._settings.licence,
        )
        return decide(item, "", "badly_drawn" if best["score"] < self._settings.least else "")

    async def _draw(self, row: dict[str, Any], ctx: Context, calls: list[str]) -> ImageData | None:
        params = Params(max_tokens=1, temperature=None, seed=row["seed"])
        request = Request(row["prompt"], params=params)
        calls.append(call_key(self._painter.identity, request))
        reply = await ctx.call("painter", self._painter, request)
        if reply.finish is not Finish.STOP:
            row["failed"] = str(reply.finish)
            return None
        row["image"] = str(reply.extra["image"])
        if revised := reply.extra.get("revised_prompt"):
            row["revised_prompt"] = revised
        return image_of(self._run, row["image"])
