"""Pictures on record: what an image model draws is a blob of the run before its call is known."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vlsbench.engine import get_blob, put_blob
from vlsbench.errors import VlsbenchError
from vlsbench.models import Drawing, ImageModel, Reply, Request
from vlsbench.pairs import ImageData


class KeptDrawings:
    """An image model in the form of a chat model, so that `ctx.call` records and counts it.

    A reply holds the digest of the picture; the picture is durable before the reply is.
    """

    def __init__(self, painter: ImageModel, size: str, run: Path) -> None:
        """Take the model, the size of its pictures (`WIDTHxHEIGHT`) and the run's folder."""
        self.spec = painter.spec
        self.endpoint = painter.endpoint
        self._painter = painter
        self._size = size
        self._run = run

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything of the model that could change a picture."""
        return {**self._painter.identity, "size": self._size}

    async def ask(self, request: Request) -> Reply:
        """Draw; see `ChatModel.ask`."""
        seed = request.params.seed or 0
        drawn = await self._painter.draw(Drawing(request.text, seed, self._size))
        if drawn.image is None:
            return drawn.reply
        await asyncio.to_thread(put_blob, self._run, drawn.image.data, drawn.image.sha256)
        return drawn.kept()

    async def close(self) -> None:
        """Close the model."""
        await self._painter.close()


def picture_of(run: Path, sha256: str) -> ImageData:
    """Return a picture of the run by its digest.

    Raises:
        VlsbenchError: Somebody took it away.
    """
    data = get_blob(run, sha256)
    if data is None:
        raise VlsbenchError(
            f"{run}: the picture {sha256[:12]}… is gone from blobs/; put it back, or build anew "
            "with another --out"
        )
    return ImageData.of(data, sha256)
