"""Images as a release holds them: decoded once, named by their content."""

from __future__ import annotations

from dataclasses import dataclass

from vlsbench import pairs
from vlsbench.pairs import ImageData

EXTENSIONS = {
    "image/png": "png",
    "image/jpeg": "jpg",
    "image/gif": "gif",
    "image/webp": "webp",
    "image/bmp": "bmp",
    "image/tiff": "tiff",
}
"""Media type → the extension by which imagefolder knows a file for an image."""


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
    pairs.decode(image, ref)
    facts = pairs.image_facts(image, ref)
    return Picture(
        f"{image.sha256}.{EXTENSIONS[image.mime]}",
        image.mime,
        len(image.data),
        facts.width,
        facts.height,
        facts.exif,
        facts.located,
    )


def place(name: str) -> str:
    """Return where an image stands below its split's folder.

    A folder for each first byte of the digest, since the Hub wants at most 10,000 files in one.
    """
    return f"images/{name[:2]}/{name}"
