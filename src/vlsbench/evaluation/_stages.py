"""The two stages of an evaluation: the target answers, the judge decides."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.evaluation._settings import Settings
from vlsbench.judge import LLMJudge, Unscored, Verdict, judge_by_rules
from vlsbench.ledger import put_blob
from vlsbench.models import ChatModel, Reply, Request, call_key
from vlsbench.pairs import ImageData, ImageError, Pair, Swapper, View, show
from vlsbench.run import Context, Keep, Quarantine, Record, Result

ANSWER = "answer"
JUDGE = "judge"

QUICK_S = 0.0005
"""Reads faster than this stay on the event loop: the hop to a thread and back costs more."""
LOOK_AGAIN = 64
"""Reads sent to threads, at most, before one is timed on the event loop again."""


@dataclass(frozen=True)
class Answered:
    """A pair with what its target was given and what it said."""

    pair: Pair
    text: str
    images: tuple[ImageData, ...]
    reply: Reply
    facts: Mapping[str, Any]
    """What the outcome keeps: the call, the images' digests, what was shrunk."""


class AnswerStage:
    """Shows a pair to the target."""

    name = ANSWER
    version = "1"

    def __init__(
        self, target: ChatModel, settings: Settings, swapper: Swapper | None, folder: Path
    ) -> None:
        """Take the target, how pairs are shown, and the run's folder for what is derived."""
        self._target = target
        self._settings = settings
        self._swapper = swapper
        self._folder = folder
        # Shrinking images and writing blobs is never fast.
        self._slow = bool(settings.shrink) or settings.view is View.BLANK
        self._elsewhere = self._stay = 0

    async def _shown(self, pair: Pair) -> tuple[str, tuple[ImageData, ...], list[dict[str, Any]]]:
        if self._slow or self._elsewhere:
            self._elsewhere = max(0, self._elsewhere - 1)
            return await asyncio.to_thread(self._read, pair)
        began = time.perf_counter()
        try:
            return self._read(pair)
        finally:
            # A single slow read may be noise, so the detour doubles with each one in a row.
            slow = time.perf_counter() - began > QUICK_S
            self._elsewhere = self._stay = min(2 * self._stay or 1, LOOK_AGAIN) if slow else 0

    def _read(self, pair: Pair) -> tuple[str, tuple[ImageData, ...], list[dict[str, Any]]]:
        settings = self._settings
        shown = show(pair, settings.view, self._swapper)
        sent: list[ImageData] = []
        shrunk: list[dict[str, Any]] = []
        for image in shown.images:
            data = image.read()
            if settings.shrink:
                small = settings.shrink.apply(data)
                if small is not data:
                    shrunk.append(
                        {"from": data.sha256, "to": small.sha256, "bytes": len(small.data)}
                    )
                    data = small
            if shrunk or settings.view is View.BLANK:
                put_blob(self._folder, data.data, data.sha256)
            # Both are wanted soon; here they are made off the event loop's thread.
            _ = data.sha256, data.base64
            sent.append(data)
        return shown.text, tuple(sent), shrunk

    async def run(self, record: Record, ctx: Context) -> Result:
        """Ask, and pass the reply on whatever it is."""
        pair: Pair = record.value
        try:
            text, images, shrunk = await self._shown(pair)
        except ImageError as error:
            return Quarantine(Unscored.IMAGE_UNREADABLE, {"detail": str(error)})
        request = Request(
            text,
            images,
            self._settings.system,
            self._settings.params,
            sample=ctx.epoch(pair.id, ANSWER),
        )
        reply = await ctx.call("target", self._target, request)
        facts = {
            "call": call_key(self._target.identity, request),
            "images": [image.sha256 for image in images],
            **({"shrunk": shrunk} if shrunk else {}),
        }
        return Keep(Answered(pair, text, images, reply, facts))


def _outcome(answered: Answered, verdict: Verdict, calls: list[str]) -> Keep:
    value: dict[str, Any] = {
        "label": str(verdict.label),
        "explanation": verdict.explanation,
        "tries": verdict.tries,
        **answered.facts,
    }
    if verdict.reason:
        value["reason"] = str(verdict.reason)
    if calls:
        value["judge_calls"] = calls
    return Keep(value)


class JudgeStage:
    """Asks a model for the verdict."""

    name = JUDGE
    version = "1"

    def __init__(self, model: ChatModel, judge: LLMJudge, view: View) -> None:
        """Take the judge's model, how it is asked, and what the target was shown."""
        self._model = model
        self._judge = judge
        # A grey picture tells the judge nothing; it reads the description instead.
        self._images = view is not View.BLANK

    async def run(self, record: Record, ctx: Context) -> Result:
        """Judge one reply."""
        answered: Answered = record.value
        calls: list[str] = []

        async def call(request: Request) -> Reply:
            calls.append(call_key(self._model.identity, request))
            return await ctx.call("judge", self._model, request)

        verdict = await self._judge.judge(
            answered.pair,
            answered.text,
            answered.images if self._images else (),
            answered.reply,
            call,
            epoch=ctx.epoch(record.id, JUDGE),
        )
        return _outcome(answered, verdict, calls)


class RulesStage:
    """Decides by wording alone, offline."""

    name = JUDGE
    version = "1"

    async def run(self, record: Record, ctx: Context) -> Result:
        """Judge one reply."""
        answered: Answered = record.value
        return _outcome(answered, judge_by_rules(answered.reply, answered.pair.harmful), [])
