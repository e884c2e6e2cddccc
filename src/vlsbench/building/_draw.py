"""Stage *draw*: draw, look, improve, up to k rounds, the best picture kept.

Every round's prompt, seed, picture and critique stand in the step. Drops: `forbidden` (an improved
prompt breaks the content rules), `not_drawn` (the backend filtered or rejected every prompt),
`badly_drawn` (the best picture scores below `least`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlsbench.building._items import FORBIDDEN, Item, Step, drop, keep, quarantine, version_of
from vlsbench.building._kept import KeptDrawings, picture_of
from vlsbench.building._recipe import Draw
from vlsbench.building._roles import RULES, TEXT, Answer, Role, schema
from vlsbench.engine import Context, Record, Result
from vlsbench.judge import strict_object
from vlsbench.models import Finish, Params, Request, call_key
from vlsbench.pairs import ImageData

VERSION = "1"
PROMPT = """\
The picture was drawn by a text-to-image model. Between the marks {tag} stand what it was to \
show and the prompt that drew it. Say what the picture really shows, what is missing or wrong, \
how well it shows what it was to show (0 not at all, 10 entirely; below 5 where the main thing is \
missing or another), and write a better prompt for the next try.
{rules}
Answer with a JSON object: "caption", "critique", "score" (a whole number from 0 to 10), "prompt".
TASK: look
"""
SCHEMA = schema("look", caption=TEXT, critique=TEXT, score={"type": "integer"}, prompt=TEXT)


def read_look(text: str) -> Mapping[str, Any]:
    """Read a critique. Raises `ValueError` where it is not the object asked for."""
    found = strict_object(text, "caption", "critique", "score", "prompt")
    score = found["score"]
    if type(score) is not int or not 0 <= score <= 10:
        raise ValueError("score must be a whole number from 0 to 10")
    if not all(isinstance(found[key], str) for key in ("caption", "critique", "prompt")):
        raise ValueError("caption, critique and prompt must be texts")
    return found


def seed_of(record: str, turn: int) -> int:
    """Return the seed of a record's picture in one round: fixed, and different everywhere."""
    return int.from_bytes(hashlib.sha256(f"{record}:{turn}".encode()).digest()[:4]) >> 1


class DrawStage:
    """From a description to a picture; a pair that has one (path B) passes."""

    name = "draw"

    def __init__(self, painter: KeptDrawings, eyes: Role, settings: Draw, run: Path) -> None:
        """Take who draws, who looks, and the run's folder with the pictures."""
        self._painter = painter
        self._eyes = eyes
        self._settings = settings
        self._run = run
        known = [painter.identity, eyes.identity, settings.rounds, settings.good, settings.least]
        self.version = version_of(VERSION, PROMPT, known)

    async def run(self, record: Record, ctx: Context) -> Result:
        """Draw until a picture is good enough or the rounds are over."""
        item: Item = record.value
        if item.image:
            return keep(item)
        epoch = ctx.epoch(record.id, self.name)
        rounds: list[dict[str, Any]] = []
        calls: list[str] = []
        prompt, reason = item.image_prompt, ""
        for turn in range(self._settings.rounds):
            row: dict[str, Any] = {"prompt": prompt, "seed": seed_of(record.id, turn)}
            rounds.append(row)
            picture = await self._picture(row, ctx, calls)
            if picture is None:
                continue
            answer = await self._look(item, prompt, picture, ctx, epoch)
            calls += answer.calls
            if answer.value is None:
                reason = answer.reason
                continue
            row.update({key: answer.value[key] for key in ("caption", "critique", "score")})
            if row["score"] >= self._settings.good:
                break
            better = " ".join(str(answer.value["prompt"]).split())
            if item.forbids(better):
                row["next"] = FORBIDDEN
                break
            prompt = better or prompt
        pictures = [row["image"] for row in rounds if "image" in row]
        item = item.then(
            Step(self.name, self.version, tuple(calls), {"rounds": rounds, "images": pictures})
        )
        seen = [row for row in rounds if "score" in row]
        if not seen:
            return quarantine(item, reason) if reason else drop(item, "not_drawn")
        # The first of equals: a later round is no better for being later.
        best = max(seen, key=lambda row: row["score"])
        item = replace(
            item,
            image=best["image"],
            image_prompt=best["prompt"],
            image_licence=self._settings.licence,
        )
        return drop(item, "badly_drawn") if best["score"] < self._settings.least else keep(item)

    async def _picture(
        self, row: dict[str, Any], ctx: Context, calls: list[str]
    ) -> ImageData | None:
        request = Request(
            row["prompt"], params=Params(max_tokens=1, temperature=None, seed=row["seed"])
        )
        calls.append(call_key(self._painter.identity, request))
        reply = await ctx.call("painter", self._painter, request)
        if reply.finish is not Finish.STOP:
            row["failed"] = str(reply.finish)
            return None
        row["image"] = str(reply.extra["image"])
        if revised := reply.extra.get("revised_prompt"):
            row["revised_prompt"] = revised
        return picture_of(self._run, row["image"])

    async def _look(
        self, item: Item, prompt: str, picture: ImageData, ctx: Context, epoch: int
    ) -> Answer[Mapping[str, Any]]:
        return await self._eyes.ask(
            ctx,
            PROMPT.replace("{rules}", RULES),
            [("DESCRIPTION", item.description), ("PROMPT", prompt)],
            SCHEMA,
            read_look,
            images=(picture,),
            epoch=epoch,
        )
