"""Images as a browser may have them: by the digest of their content, and veiled until asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict

from vlsbench.pairs import Image, ImageData, Pair, decode, encode

HELD = 64
"""Images in memory; any other is read again when it is asked for."""
VEIL_SIDE = 5
"""Pixels of the longer side of a veiled image: colours, no content."""


class Images:
    """The images that were shown so far. A name from outside is looked up, never opened."""

    def __init__(self) -> None:
        self._known: dict[str, Image] = {}
        self._held: OrderedDict[str, ImageData] = OrderedDict()
        self._lock = threading.Lock()

    def show(self, pair: Pair) -> tuple[str, ...]:
        """Return the digests of a pair's images, under which they can be had from now on.

        Raises:
            ImageError: An image is missing or no image.
        """
        return tuple(self._read(image) for image in pair.images)

    def _read(self, image: Image) -> str:
        data = image.read()
        with self._lock:
            self._known[data.sha256] = image
            self._held[data.sha256] = data
            self._held.move_to_end(data.sha256)
            while len(self._held) > HELD:
                self._held.popitem(last=False)
        return data.sha256

    def get(self, sha256: str) -> ImageData | None:
        """Return an image that was shown, None where none with this digest was.

        Raises:
            ImageError: It cannot be read any more.
        """
        with self._lock:
            held, image = self._held.get(sha256), self._known.get(sha256)
        if held is None and image is not None:
            held = image.read()
        return held if held and held.sha256 == sha256 else None


def veiled(data: ImageData) -> bytes:
    """Return a PNG of a few pixels with an image's colours, in its proportions.

    Raises:
        ImageError: It cannot be decoded.
    """
    return encode(decode(data, side=VEIL_SIDE), "veil").data
