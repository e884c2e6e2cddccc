"""Embeddings from any server that speaks `/v1/embeddings`.

Format: https://platform.openai.com/docs/api-reference/embeddings (vLLM, Ollama, llama.cpp and
text-embeddings-inference speak the same).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from vlsbench.config import Connection
from vlsbench.embed.text import Vectors
from vlsbench.engine import run_async
from vlsbench.errors import VlsbenchError
from vlsbench.models import (
    Backoff,
    CallFailed,
    FatalCall,
    Finish,
    Reply,
    Server,
    parse_http_spec,
    text_tokens,
    to_json,
)

PATH = "/embeddings"
BATCH = 128
"""Texts of one request."""
CONNECTION = Connection(concurrency=8, timeout_s=120.0)


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
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    except (KeyError, IndexError, TypeError, AttributeError, RecursionError, ValueError) as error:
        raise ValueError(f"no embeddings in it ({type(error).__name__})") from None
    if len(placed) != count or not np.all(np.isfinite(lengths)) or np.any(lengths == 0):
        raise ValueError(f"{len(placed)} embeddings for {count} texts, or one that is no direction")
    unit: Vectors = rows / lengths
    return unit


class HttpEmbedder:
    """An embedding model on a server; the key comes from `VLSBENCH_API_KEY`."""

    def __init__(
        self, spec: str, connection: Connection = CONNECTION, *, backoff: Backoff | None = None
    ) -> None:
        """Take `NAME@http://host:port/v1`, and how it is asked.

        Raises:
            VlsbenchError: The spec is malformed.
        """
        parsed = parse_http_spec(spec)
        if parsed is None:
            raise VlsbenchError(f"embedder {spec!r}: expected NAME@http://host:port/v1")
        self.name = spec
        self._model = parsed.name
        self._server = Server(parsed.url, parsed.api_key, connection, backoff)
        address = f"{self._server.url}{PATH}\0{parsed.name}"
        self.digest = hashlib.sha256(address.encode()).hexdigest()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return one unit row a text.

        Raises:
            FatalCall: The server refuses the key, the model or the request.
            VlsbenchError: It gave no answer after all retries.
        """
        if not texts:
            return np.empty((0, 0), np.float32)
        batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]

        async def every() -> list[Vectors]:
            try:
                return await asyncio.gather(*map(self._batch, batches))
            finally:
                await self._server.close()

        parts = run_async(every)
        if len({part.shape[1] for part in parts}) != 1:
            raise VlsbenchError(f"{self.name}: embeddings of different lengths")
        return np.concatenate(parts)

    async def _batch(self, texts: Sequence[str]) -> Vectors:
        def read(body: bytes) -> Reply:
            return Reply("", extra={"vectors": parse_vectors(body, len(texts))})

        # Servers refuse empty texts.
        asked = {"model": self._model, "input": [text or " " for text in texts]}
        tokens = text_tokens(sum(map(len, texts)))
        try:
            reply = await self._server.ask(self.name, PATH, [to_json(asked)], read, tokens)
        except CallFailed as error:
            raise VlsbenchError(
                f"{self.name}: no embeddings after {error.attempts} tries ({error}); what came is "
                "cached, run the same command again"
            ) from None
        if reply.finish is not Finish.STOP:
            raise FatalCall(f"{self.name}: {reply.detail}")
        vectors: Vectors = reply.extra["vectors"]
        return vectors
