"""Models in this process: `hf/PATH` or `hf/ORG/NAME`, any that transformers lets chat.

Questions are prepared in threads while the device answers others, and those that wait are answered
together: the longest first, beside others of nearly their length, as many as memory holds. Needs
the extra `align`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from jinja2 import TemplateError

from vlsbench.models._chat import CallFailed, Finish, Params, Reply, Request
from vlsbench.models._hf_load import FOUR_BIT, PREFIX, Loading, digest_of
from vlsbench.models._hf_local import LocalModel, Prepared, Question
from vlsbench.models._hf_room import Room, SharedImages, is_out_of_memory
from vlsbench.pairs import ImageError
from vlsbench.text import first_line

GATHER_S = 0.02
"""How long an idle device waits for another question."""
PREPARERS = 16
"""Threads that prepare questions, at most."""
_DEVICE = threading.Lock()
"""Target and judge take turns: two batches at once would only share the memory."""


@dataclass(frozen=True, eq=False)
class _Waiting:
    question: Prepared
    params: Params
    seed: int
    limit: int
    reply: asyncio.Future[Reply]

    @property
    def group(self) -> tuple[Any, ...]:
        """What must be equal within a batch."""
        return self.question.form, self.params, self.limit

    @property
    def tokens(self) -> int:
        return self.question.tokens + self.limit


class HfChat:
    """A model in this process; implements `ChatModel`.

    A schema is not enforced: what the prompt says of the form must do. Sampled answers depend on
    the request's seed and sample number alone.
    """

    def __init__(
        self, spec: str, loading: Loading | None = None, local: LocalModel | None = None
    ) -> None:
        """Load the model.

        Args:
            spec: `hf/PATH` of a folder in Hugging Face format, or `hf/ORG/NAME` of the Hub.
            loading: How it is held in memory.
            local: The model, where it is in memory already.

        Raises:
            MissingExtra: transformers, torch or bitsandbytes is not installed.
            FatalCall: It cannot be loaded.
        """
        self.spec = self.endpoint = spec
        self._loading = loading = loading or Loading()
        name = spec.removeprefix(PREFIX)
        self._local = local = local or LocalModel.load(name, loading)
        whose = {"name": name, "revision": getattr(local.model.config, "_commit_hash", None)}
        if Path(name).is_dir():
            whose = {"weights": digest_of(Path(name))}
        dtype = str(local.model.dtype).removeprefix("torch.")
        if loading.dtype == FOUR_BIT:
            dtype = FOUR_BIT
        self.identity: Mapping[str, Any] = {"kind": "hf", "dtype": dtype, **whose}
        self._room = Room(local.model, loading.batch_size)
        self.in_flight = 2 * self._room.most
        """Questions that should be on their way at once, so that the device never waits."""
        self._images = SharedImages(local.processor)
        self._pool = ThreadPoolExecutor(min(PREPARERS, os.cpu_count() or 1), "hf-prepare")
        self._waiting: list[_Waiting] = []
        self._preparing = 0
        self._arrived = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None

    def replica(self) -> Callable[[], HfChat]:
        """Return what loads the model once more, in another process."""
        return partial(HfChat, self.spec, self._loading)

    async def ask(self, request: Request) -> Reply:
        """Answer one request, together with others that wait."""
        if request.images and not self._local.sees:
            return Reply("", Finish.REJECTED, detail=f"{self.spec} takes no images")
        loop = asyncio.get_running_loop()
        self._preparing += 1
        try:
            question = await loop.run_in_executor(self._pool, self._prepare, request)
        except ImageError as error:
            return Reply("", Finish.REJECTED, detail=str(error))
        except TemplateError as error:
            detail = f"the chat template of {self.spec} does not take this: {first_line(error)}"
            return Reply("", Finish.REJECTED, detail=detail)
        except Exception as error:  # of a tokeniser, a template or an image processor
            raise CallFailed(first_line(error), 1) from None
        finally:
            self._preparing -= 1
            self._arrived.set()
        if question.tokens >= (most := self._local.context):
            detail = f"{self.spec} reads {most:,} tokens at most, and this has {question.tokens:,}"
            return Reply("", Finish.REJECTED, detail=detail)
        params = request.params
        # Each sample of the same question is another draw, whatever else was asked before.
        seed = (params.seed or 0) * 1_000_003 + request.sample
        limit = self._local.limit(question, params)
        waiting = _Waiting(question, params, seed, limit, loop.create_future())
        self._waiting.append(waiting)
        if self._worker is None or self._worker.done():
            self._arrived = asyncio.Event()
            self._worker = asyncio.create_task(self._work())
        return await waiting.reply

    def _prepare(self, request: Request) -> Prepared:
        images = self._images.decode(request.images)
        question = Question(request.text, images, request.system, request.said)
        return self._local.prepare(question, self._images.processor)

    async def _work(self) -> None:
        """Answer what waits; the next batch is put together while the device has one."""
        running: asyncio.Task[None] | None = None
        while batch := await self._next(running):
            inputs = await asyncio.to_thread(self._collate, batch)
            if running:
                await running
            running = asyncio.create_task(self._settle(batch, inputs))

    async def _next(self, running: asyncio.Task[None] | None) -> list[_Waiting]:
        """Return the next batch: a full one, or what there is once the device is idle."""
        while True:
            batch, full = self._take()
            if full:
                break
            self._arrived.clear()
            arrival = asyncio.create_task(self._arrived.wait())
            busy = running is not None and not running.done()
            events = {arrival, running} if running is not None and busy else {arrival}
            patience = None if busy or self._preparing else GATHER_S
            came, _ = await asyncio.wait(
                events, timeout=patience, return_when=asyncio.FIRST_COMPLETED
            )
            arrival.cancel()
            # A question may have come in the turn of the loop in which the wait ended.
            if not came and not self._arrived.is_set():
                break
        self._waiting = [one for one in self._waiting if one not in batch]
        return batch

    def _take(self) -> tuple[list[_Waiting], bool]:
        """Return the batch that could be answered now, and whether waiting makes it no better.

        Among twice as many, those of one length are found; what is in preparation comes soon.
        """
        self._waiting = [one for one in self._waiting if not one.reply.done()]
        if not self._waiting:
            return [], False
        group = self._waiting[0].group
        alike = sorted(
            (one for one in self._waiting if one.group == group), key=lambda one: -one.tokens
        )
        rows = self._room.rows(alike[0].tokens)
        return alike[:rows], len(alike) >= (2 * rows if self._preparing else rows)

    def _collate(self, batch: Sequence[_Waiting]) -> Mapping[str, Any] | None:
        with contextlib.suppress(Exception):  # who cannot be joined is answered alone
            return self._local.collate([one.question for one in batch])
        return None

    async def _settle(self, batch: Sequence[_Waiting], inputs: Mapping[str, Any] | None) -> None:
        began = time.perf_counter()
        replies = await asyncio.to_thread(lambda: [*self._answer(batch, inputs)])
        took = time.perf_counter() - began
        for one, reply in zip(batch, replies, strict=True):
            if one.reply.done():
                continue
            if isinstance(reply, CallFailed):
                one.reply.set_exception(reply)
            else:
                one.reply.set_result(replace(reply, latency_s=took, served_by=self.spec))

    def _answer(
        self, batch: Sequence[_Waiting], inputs: Mapping[str, Any] | None
    ) -> Iterator[Reply | CallFailed]:
        """Answer a batch, or where it fails its halves: one question costs no other its answer."""
        rows, tokens = len(batch), max(one.tokens for one in batch)
        questions = [one.question for one in batch]
        try:
            with _DEVICE:
                replies = self._local.generate(
                    questions,
                    inputs if inputs is not None else self._local.collate(questions),
                    batch[0].params,
                    [one.seed for one in batch],
                )
                self._room.worked(rows, tokens)
        except Exception as error:
            reason, crowded = first_line(error), is_out_of_memory(error)
        else:
            yield from replies
            return
        del inputs
        if crowded:
            gc.collect()
            if rows > 1:
                self._room.failed(rows, tokens)
        if rows == 1:
            yield CallFailed(reason, 1)
            return
        for half in (batch[: rows // 2], batch[rows // 2 :]):
            yield from self._answer(half, None)

    async def close(self) -> None:
        """Nothing is held open between calls."""
