"""Models in this process: `hf/PATH` or `hf/ORG/NAME`, any that transformers lets chat.

Questions are prepared in threads while the device answers others, and those that wait are answered
together: the longest first, beside others of nearly their length, as many as memory holds. Needs
the extra `align`.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import os
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import TemplateError

from vlsbench.models._chat import CallFailed, Finish, Reply, Request
from vlsbench.models._hf_load import FOUR_BIT, PREFIX, Loading, digest_of
from vlsbench.models._hf_local import LocalModel, Prepared, Question
from vlsbench.pairs import ImageError, decode
from vlsbench.text import first_line

GATHER_S = 0.02
"""How long an idle device waits for another question."""
PREPARERS = 16
"""Threads that prepare questions, at most."""
MOST_ON_CPU = 64
MOST_ON_GPU = 512
"""Questions answered together, at most; from here on the device has nothing to gain."""
KEPT_IMAGES = 32
"""Prepared images that are kept for the next question about them."""
DIGEST = "vlsbench"
"""Where a decoded image holds the digest of its file."""
_CROWDED = re.compile("out of memory|allocate memory", re.IGNORECASE)
_DEVICE = threading.Lock()
"""Target and judge take turns: two batches at once would only share the memory."""


class _Waiting(NamedTuple):
    question: Prepared
    group: tuple[Any, ...]
    """What must be equal within a batch."""
    request: Request
    limit: int
    reply: asyncio.Future[Reply]


class HfChat:
    """A model in this process; implements `ChatModel`.

    A schema is not enforced: what the prompt says of the form must do.
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
        usual = MOST_ON_GPU if local.model.device.type == "cuda" else MOST_ON_CPU
        self._most = loading.batch_size or usual
        self._room = float("inf")
        """Tokens that memory holds at once, replies included, once a batch was too large for it."""
        self.in_flight = 2 * self._most
        """Questions that should be on their way at once, so that the device never waits."""
        self._processor = copy.copy(local.processor)
        if local.sees:
            self._processor.image_processor = _Remembering(local.processor.image_processor)
        self._pool = ThreadPoolExecutor(min(PREPARERS, os.cpu_count() or 1), "hf-prepare")
        self._waiting: list[_Waiting] = []
        self._preparing = 0
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
        if question.tokens >= (most := self._local.context):
            detail = f"{self.spec} reads {most:,} tokens at most, and this has {question.tokens:,}"
            return Reply("", Finish.REJECTED, detail=detail)
        limit = self._local.limit(question, request.params)
        group = (question.form, request.params, limit)
        one = _Waiting(question, group, request, limit, loop.create_future())
        self._waiting.append(one)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return await one.reply

    def _prepare(self, request: Request) -> Prepared:
        images = []
        for image in request.images:
            images.append(decode(image))
            images[-1].info[DIGEST] = image.sha256
        question = Question(request.text, images, request.system, request.said)
        return self._local.prepare(question, self._processor)

    async def _work(self) -> None:
        """Answer what waits: full batches, then what there is once nothing else is prepared."""
        while True:
            batch, full = self._next()
            if not full:
                await asyncio.sleep(GATHER_S)
                if self._preparing:
                    continue
                batch, _ = self._next()
            if not batch:
                return
            self._waiting = [one for one in self._waiting if one not in batch]
            began = time.perf_counter()
            replies = await asyncio.to_thread(self._answer, batch)
            took = time.perf_counter() - began
            for one, reply in zip(batch, replies, strict=True):
                if one.reply.done():
                    continue
                if isinstance(reply, CallFailed):
                    one.reply.set_exception(reply)
                else:
                    one.reply.set_result(replace(reply, latency_s=took, served_by=self.spec))

    def _next(self) -> tuple[list[_Waiting], bool]:
        """Return the batch that could be answered now, and whether waiting makes it no better.

        Among twice as many, those of one length are found; what is in preparation comes soon.
        """
        self._waiting = [one for one in self._waiting if not one.reply.done()]
        if not self._waiting:
            return [], False
        alike = [one for one in self._waiting if one.group == self._waiting[0].group]
        alike.sort(key=lambda one: (-one.question.tokens, one.question.prompt, one.request.sample))
        longest = alike[0].question.tokens + alike[0].limit
        rows = int(max(1, min(self._most, self._room // longest)))
        return alike[:rows], len(alike) >= (2 * rows if self._preparing else rows)

    def _answer(self, batch: Sequence[_Waiting]) -> list[Reply | CallFailed]:
        """Answer a batch, or where it fails its halves: one question costs no other its answer."""
        import torch

        rows, questions = len(batch), [one.question for one in batch]
        try:
            with _DEVICE:
                inputs = self._local.collate(questions)
                samples = [one.request.sample for one in batch]
                params = batch[0].request.params
                return [*self._local.generate(questions, inputs, params, samples)]
        except Exception as error:
            reason = first_line(error)
            # A device says so by one kind of error, this process by either of two.
            crowded = isinstance(error, MemoryError) or bool(_CROWDED.search(str(error)))
        if crowded:
            gc.collect()
            torch.cuda.empty_cache()  # does nothing where there is no GPU
        if rows == 1:
            return [CallFailed(reason, 1)]
        if crowded:
            longest = max(question.tokens for question in questions) + batch[0].limit
            self._room = rows * longest / 2
        return [*self._answer(batch[: rows // 2]), *self._answer(batch[rows // 2 :])]

    async def close(self) -> None:
        """Nothing is held open between calls."""


class _Remembering:
    """An image processor that prepares the same images once, from whatever threads it is asked."""

    def __init__(self, whole: Any) -> None:
        self._whole = whole
        self._kept: Callable[..., tuple[threading.Lock, list[Any]]]
        self._kept = lru_cache(KEPT_IMAGES)(lambda *digests: (threading.Lock(), []))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._whole, name)

    def __call__(self, images: Any, *arguments: Any, **options: Any) -> Any:
        flat = images[0] if isinstance(images[0], (list, tuple)) else images
        lock, made = self._kept(*(image.info[DIGEST] for image in flat))
        with lock:
            if not made:
                made.append(self._whole(images, *arguments, **options))
        return type(made[0])(dict(made[0]))
