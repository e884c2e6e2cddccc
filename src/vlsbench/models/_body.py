"""A request's body in pieces, so that an image's base64 is never copied into one."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

JOINED_BYTES = 64 * 1024
"""Up to this size a copy is cheaper than another system call."""


class Body(Payload):
    """Pieces of JSON, written one after the other under a known Content-Length."""

    _autoclose = True

    def __init__(self, pieces: Sequence[bytes]) -> None:
        """Take the pieces in order."""
        super().__init__(pieces, content_type="application/json")
        self._size = sum(map(len, pieces))
        self._pieces = pieces if self._size > JOINED_BYTES else (b"".join(pieces),)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """Join the pieces (aiohttp asks for it only to print a request)."""
        return b"".join(self._pieces).decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        """Write all pieces."""
        for piece in self._pieces:
            await writer.write(piece)

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """Write all pieces; their length is the Content-Length."""
        await self.write(writer)
