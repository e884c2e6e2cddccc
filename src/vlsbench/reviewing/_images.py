"""Images as a browser may have them: by the digest of their content, and veiled until asked for."""

from __future__ import annotations

import io

from vlsbench.pairs import Image, ImageData, Pair

MAX_PIXELS = 64_000_000
"""Larger images are not decoded: 64 million pixels take 190 MB."""
VEIL_SIDE = 5
"""Pixels of the longer side of a veiled image: colours, no content."""
_BROWSERS_SHOW = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp")


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
        ValueError: It cannot be decoded.
    """
    if data.mime in _BROWSERS_SHOW:
        return data.data, data.mime
    return _redrawn(data, None), "image/png"


def veiled(data: ImageData) -> tuple[bytes, str]:
    """Return a PNG of a few pixels with an image's colours, in its proportions; its media type.

    Raises:
        ValueError: It cannot be decoded.
    """
    return _redrawn(data, VEIL_SIDE), "image/png"


def _redrawn(data: ImageData, side: int | None) -> bytes:
    from PIL import Image, ImageOps

    try:
        # Pillow guesses among dozens of formats, some of which start other programs.
        with Image.open(
            io.BytesIO(data.data), formats=[data.mime.removeprefix("image/")]
        ) as opened:
            if opened.width * opened.height > MAX_PIXELS:
                raise ValueError("too many pixels")
            image = ImageOps.exif_transpose(opened).convert("RGBA")
            if side:
                image.thumbnail((side, side))
            bare = Image.new("RGB", image.size, (255, 255, 255))
            bare.paste(image, mask=image)
            out = io.BytesIO()
            bare.save(out, "PNG")
            return out.getvalue()
    except Exception as error:  # decoders raise anything from struct.error to MemoryError
        raise ValueError(f"not readable: {error}") from None
