"""Images as a release holds them: decoded once, named by their content."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass

from vlsbench.pairs import ImageData, ImageError

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
}
"""Media type → the extension by which imagefolder knows a file for an image."""
_GPS = 0x8825
"""EXIF tag of the position (EXIF 2.3, section 4.6.3)."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What decoding one image told."""

    name: str
    """SHA-256 of the bytes, and the extension of what they are."""
    mime: str
    size: int
    """Bytes."""
    width: int
    height: int
    exif: bool
    located: bool


def decode(image: ImageData, ref: str) -> Picture:
    """Decode an image whole.

    Raises:
        ImageError: It cannot be decoded; names it.
    """
    from PIL import Image as Pillow

    try:
        with warnings.catch_warnings():
            # A large picture is no fault; one that Pillow takes for an attack raises.
            warnings.simplefilter("ignore")
            with Pillow.open(io.BytesIO(image.data)) as opened:
                opened.load()
                width, height = opened.size
                exif = opened.getexif()
                located = bool(exif.get_ifd(_GPS))
                has_exif = bool(exif)
    except Exception as error:
        # Decoders raise whatever they come upon in broken bytes.
        first = (str(error).splitlines() or [""])[0]
        raise ImageError(f"image {ref} cannot be decoded ({first})") from None
    return Picture(
        f"{image.sha256}.{EXTENSIONS[image.mime]}",
        image.mime,
        len(image.data),
        width,
        height,
        has_exif,
        located,
    )


def place(name: str) -> str:
    """Return where an image stands below its split's folder.

    A folder for each first byte of the digest, since the Hub wants at most 10,000 files in one.
    """
    return f"images/{name[:2]}/{name}"
