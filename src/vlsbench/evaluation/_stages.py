"""The first stage of an evaluation: the target answers. `judge.JudgeStage` is the second."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from vlsbench.engine import Context, Keep, Quarantine, Record, Result, put_blob
from vlsbench.evaluation._settings import Presentation
from vlsbench.judge import Case, Question, Unscored
from vlsbench.models import ChatModel, RecordedReplies, Request, call_key
from vlsbench.pairs import ImageData, ImageError, Pair, Swapper, View, show

ANSWER = "answer"
JUDGE = "judge"

QUICK_S = 0.0005
"""After a read faster than this the next stays on the event loop: a hop to a thread costs more."""


class AnswerStage:
    """Shows a pair to the target: once for each answer, which is a record of its own."""

    name = ANSWER
    version = "1"

    def __init__(
        self, target: ChatModel, shown: Presentation, swapper: Swapper | None, folder: Path
    ) -> None:
        """Take the target, how pairs are shown, and the run's folder for what is derived."""
        self._target = target
        # Kept apart, for on Ray a stand-in takes the target's place.
        self._missing = target.missing if isinstance(target, RecordedReplies) else None
        self._settings = shown
        self._swapper = swapper
        self._folder = folder
        self._slow = False
        """Whether the last read was."""

    def _timed(self, pair: Pair) -> tuple[str, tuple[ImageData, ...], dict[str, Any]]:
        began = time.perf_counter()
        try:
            return self._read(pair)
        finally:
            self._slow = time.perf_counter() - began > QUICK_S

    def _read(self, pair: Pair) -> tuple[str, tuple[ImageData, ...], dict[str, Any]]:
        settings = self._settings
        shown = show(pair, settings.view, self._swapper)
        sent: list[ImageData] = []
        shrunk: list[dict[str, Any]] = []
        redrawn: list[dict[str, Any]] = []
        for image in shown.images:
            whole = image.read()
            data = settings.shrink.apply(whole) if settings.shrink else whole
            if data is not whole:
                told = {"from": whole.sha256, "to": data.sha256, "bytes": len(data.data)}
                shrunk.append(told)
            if shrunk or settings.view is View.BLANK:
                put_blob(self._folder, data.data, data.sha256)
            # Both are wanted soon; here they are made off the event loop's thread.
            made = data.portable
            _ = data.sha256, made.base64
            if made is not data:
                redrawn.append({"from": data.sha256, "to": made.sha256, "mime": made.mime})
            sent.append(data)
        facts = {"shrunk": shrunk, "redrawn": redrawn}
        return shown.text, tuple(sent), {name: told for name, told in facts.items() if told}

    async def run(self, record: Record, ctx: Context) -> Result:
        """Ask, and pass the reply on whatever it is."""
        pair, sample = record.value
        try:
            text, images, changed = (
                await ctx.in_thread(self._timed, pair) if self._slow else self._timed(pair)
            )
        except ImageError as error:
            return Quarantine(Unscored.IMAGE_UNREADABLE, {"detail": str(error)})
        if self._missing and (why := self._missing.get(record.id)):
            return Quarantine(Unscored.REPLY_MISSING, {"detail": why})
        request = Request(
            text,
            images,
            self._settings.system,
            self._settings.params,
            sample=ctx.epoch(record.id, ANSWER) * self._settings.samples + sample,
            record="" if self._missing is None else record.id,
        )
        reply = await ctx.call("target", self._target, request)
        facts = {
            "call": call_key(self._target.identity, request),
            "images": [image.sha256 for image in images],
            **changed,
        }
        # A grey image tells the judge nothing; it reads the description instead.
        seen = () if self._settings.view is View.BLANK else images
        return Keep(Case(Question(pair, text, seen, reply), facts))
