"""Embeddings and overlap for a build: one thread that owns the model and its cache."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing import Naming
from vlsbench.embed import open_embedder
from vlsbench.errors import MissingExtra


class Scorer:
    """Scores texts off the event loop; closes with the run."""

    def __init__(self) -> None:
        """Open the embedder. Raises `MissingExtra` naming the settings that do without."""
        self._waiting: list[tuple[list[tuple[str, str]], asyncio.Future[list[float]]]] = []
        self._busy: asyncio.Task[None] | None = None
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="scorer")
        self._embedder = open_embedder()
        try:
            self._naming = self._pool.submit(Naming, self._embedder).result()
        except MissingExtra:
            self._pool.shutdown()
            raise MissingExtra(
                "comparing texts by meaning (left out by --set leak_filter.overlap=false --set "
                "near_duplicates.similarity=false --set contamination.similarity=false)",
                "build",
            ) from None

    def load(self) -> None:
        """Begin to load the model, which takes seconds, and do not wait for it.

        What goes wrong is told when the first text is scored.
        """
        # Past the cache, which would answer without it.
        self._pool.submit(self._embedder.embed, ["a text"])

    async def overlap(self, queries: Sequence[str], content: str) -> list[float]:
        """Return for each query the probability, in [0, 1], that it names what `content` says.

        What is asked while the thread is busy is answered together.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[list[float]] = loop.create_future()
        self._waiting.append(([(query, content) for query in queries], done))
        while not done.done():
            if self._busy is None:
                self._busy = loop.create_task(self._answer())
            await asyncio.shield(self._busy)
        return await done

    async def _answer(self) -> None:
        """Answer all who wait by now."""
        taken, self._waiting = self._waiting, []
        asked = [pair for pairs, _ in taken for pair in pairs]
        try:
            loop = asyncio.get_running_loop()
            scores = iter(await loop.run_in_executor(self._pool, lambda: self._naming.score(asked)))
        except Exception as error:
            for _, done in taken:
                done.set_exception(error)
            return
        finally:
            self._busy = None
        for pairs, done in taken:
            done.set_result([next(scores) for _ in pairs])

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors, shape (texts, d)."""
        return self._pool.submit(self._naming.embed, texts).result()

    def close(self) -> None:
        """Close the cache and end the thread."""
        self._pool.submit(self._naming.__exit__, None, None, None).result()
        self._pool.shutdown()
