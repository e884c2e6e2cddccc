"""Small images for the gallery, made from images that nobody vouches for."""

from __future__ import annotations

from vlsbench.pairs import ImageData, decode, encode

MIME = "image/jpeg"
QUALITY = 78


def thumbnail(image: ImageData | bytes, ref: str = "", side: int = 256) -> bytes:
    """Shrink an image to at most `side` × `side` pixels.

    Args:
        image: The original file's bytes, in any format that can be sent to a model.
        ref: Names it in errors.
        side: Longest side of the result, in pixels; smaller images keep their size.

    Returns:
        A JPEG file without metadata.

    Raises:
        ImageError: It cannot be decoded; see `decode`.
    """
    small = decode(image, ref, side=side)
    return encode(small, ref, "JPEG", quality=QUALITY, optimize=True).data
