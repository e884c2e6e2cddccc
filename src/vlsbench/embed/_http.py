"""Embeddings from any server that speaks `/v1/embeddings`.

Format: https://platform.openai.com/docs/api-reference/embeddings (vLLM, Ollama, llama.cpp and
text-embeddings-inference speak the same).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from vlsbench.embed._text import Vectors
from vlsbench.errors import VlsbenchError
from vlsbench.models import FatalCall, RetryPolicy, parse_http_spec
from vlsbench.text import first_line

BATCH = 128
"""Texts of one request."""
CONNECTIONS = 8
PASSING = (408, 409, 425, 429)
"""Statuses below 500 that may be gone next time."""
PATIENCE = RetryPolicy(timeout_s=120.0)


class _Passing(Exception):
    """A fault that may be gone next time."""


def parse_vectors(body: bytes, count: int) -> Vectors:
    """Read the answer to a request for `count` texts; the rows are scaled to length 1.

    Raises:
        ValueError: It is no such answer, or holds numbers that are no direction.
    """
    try:
        items = json.loads(body)["data"]
        placed: dict[int, Any] = {
            int(item.get("index", place)): item["embedding"] for place, item in enumerate(items)
        }
        rows = np.array([placed[place] for place in range(count)], dtype=np.float32)
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"no embeddings in it ({type(error).__name__})") from None
    if len(placed) != count or rows.ndim != 2 or rows.shape[1] == 0:
        raise ValueError(f"{len(placed)} embeddings for {count} texts")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise ValueError("an embedding is zero or not finite")
    unit: Vectors = rows / lengths
    return unit


class HttpEmbedder:
    """An embedding model on a server; the key comes from `VLSBENCH_API_KEY`."""

    def __init__(self, spec: str, *, patience: RetryPolicy = PATIENCE) -> None:
        """Take `NAME@http://host:port/v1`.

        Raises:
            VlsbenchError: The spec is malformed.
        """
        parsed = parse_http_spec(spec)
        if parsed is None:
            raise VlsbenchError(f"embedder {spec!r}: expected NAME@http://host:port/v1")
        self.name = spec
        self._url = f"{parsed.url.rstrip('/')}/embeddings"
        self._model = parsed.name
        self._key = parsed.api_key
        self._patience = patience
        self.digest = hashlib.sha256(f"{self._url}\0{parsed.name}".encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text.

        Raises:
            FatalCall: The server refuses the key, the model or the request.
            VlsbenchError: It gave no answer after all retries.
        """
        if not texts:
            return np.empty((0, 0), np.float32)
        # A thread of its own, because a notebook's loop is already running in this one.
        with ThreadPoolExecutor(1) as pool:
            parts = pool.submit(asyncio.run, self._all(texts)).result()
        if len({part.shape[1] for part in parts}) != 1:
            raise VlsbenchError(f"{self.name}: embeddings of different lengths")
        return np.concatenate(parts)

    async def _all(self, texts: Sequence[str]) -> list[Vectors]:
        import aiohttp

        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limit = asyncio.Semaphore(CONNECTIONS)
        timeout = aiohttp.ClientTimeout(total=self._patience.timeout_s)
        async with aiohttp.ClientSession(
            headers=headers, timeout=timeout, trust_env=True
        ) as session:

            async def one(batch: Sequence[str]) -> Vectors:
                async with limit:
                    return await self._patiently(session, batch)

            return await asyncio.gather(
                *(one(texts[start : start + BATCH]) for start in range(0, len(texts), BATCH))
            )

    async def _patiently(self, session: Any, batch: Sequence[str]) -> Vectors:
        import tenacity

        patience = self._patience
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(_Passing),
            stop=tenacity.stop_after_attempt(patience.retries + 1),
            wait=tenacity.wait_random_exponential(patience.backoff_s, patience.max_backoff_s),
            reraise=True,
        )
        try:
            return await retrying(self._once, session, batch)
        except _Passing as error:
            raise VlsbenchError(
                f"{self.name}: no embeddings after {patience.retries + 1} tries ({error}); what "
                "came is cached, run the same command again"
            ) from None

    async def _once(self, session: Any, batch: Sequence[str]) -> Vectors:
        import aiohttp

        try:
            async with session.post(
                self._url,
                # Servers refuse empty texts.
                json={"model": self._model, "input": [text or " " for text in batch]},
                allow_redirects=False,
            ) as response:
                status, body = response.status, await response.read()
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise _Passing(first_line(error, 120)) from None
        if status in PASSING or status >= 500:
            raise _Passing(f"http {status}")
        if status != 200:
            said = body[:200].decode("utf-8", "replace")
            said = said.replace(self._key, "***") if self._key else said
            raise FatalCall(f"{self.name}: http {status} from {self._url}: {said}")
        try:
            return parse_vectors(body, len(batch))
        except ValueError as error:
            raise _Passing(f"malformed answer: {error}") from None
