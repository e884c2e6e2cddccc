"""Images as a browser may have them: by the digest of their content, and veiled until asked for."""

from __future__ import annotations

from vlsbench.pairs import Image, ImageData, Pair, decode, encode

VEIL_SIDE = 5
"""Pixels of the longer side of a veiled image: colours, no content."""


class Images:
    """The images that were shown so far. A name from outside is looked up, never opened."""

    def __init__(self) -> None:
        self._known: dict[str, Image] = {}

    def show(self, pair: Pair) -> tuple[str, ...]:
        """Return the digests of a pair's images, under which they can be had from now on.

        Raises:
            ImageError: An image is missing or no image.
        """
        digests = [image.read().sha256 for image in pair.images]
        self._known |= zip(digests, pair.images, strict=True)
        return tuple(digests)

    def get(self, sha256: str) -> ImageData | None:
        """Return an image that was shown, None where none with this digest was.

        Raises:
            ImageError: It cannot be read any more.
        """
        image = self._known.get(sha256)
        data = image.read() if image else None
        return data if data and data.sha256 == sha256 else None


def for_browser(data: ImageData) -> tuple[bytes, str]:
    """Return bytes and media type of an image that browsers show; a TIFF becomes a PNG.

    Raises:
        ImageError: It cannot be decoded.
    """
    return data.portable.data, data.portable.mime


def veiled(data: ImageData) -> tuple[bytes, str]:
    """Return a PNG of a few pixels with an image's colours, in its proportions; its media type.

    Raises:
        ImageError: It cannot be decoded.
    """
    return encode(decode(data, side=VEIL_SIDE), "veil").data, "image/png"
