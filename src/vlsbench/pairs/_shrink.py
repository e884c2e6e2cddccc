"""Making an image smaller before it is sent: only where the user asks, and always on record."""

from __future__ import annotations

from dataclasses import dataclass

from vlsbench.pairs._decode import ImageData, ImageError, decode, encode, image_size

QUALITIES = (92, 85, 75, 65, 50, 35)
"""JPEG qualities tried in turn until the bytes fit."""


@dataclass(frozen=True, slots=True)
class Shrink:
    """Limits on what is sent; None does not limit."""

    max_side: int | None = None
    """Pixels of the longer side."""
    max_bytes: int | None = None
    """Bytes of the file, before base64."""

    def __bool__(self) -> bool:
        return self.max_side is not None or self.max_bytes is not None

    def apply(self, image: ImageData) -> ImageData:
        """Return the image within the limits: itself where it is within them already.

        Resizes by Lanczos and writes a JPEG of a JPEG, a PNG of all else; where bytes are limited
        and do not fit, JPEG at falling quality.

        Raises:
            ImageError: It cannot be decoded, or does not fit at the lowest quality.
        """
        from PIL import Image as Pillow

        too_large = self.max_side is not None and max(image_size(image)) > self.max_side
        too_heavy = self.max_bytes is not None and len(image.data) > self.max_bytes
        if not (too_large or too_heavy):
            return image
        found = decode(image)
        if too_large and self.max_side is not None:
            found.thumbnail((self.max_side, self.max_side), Pillow.Resampling.LANCZOS)
        small = encode(found, image.ref, "JPEG" if image.mime == "image/jpeg" else "PNG")
        if self.max_bytes is not None and len(small.data) > self.max_bytes:
            for quality in QUALITIES:
                small = encode(found, image.ref, "JPEG", quality=quality)
                if len(small.data) <= self.max_bytes:
                    break
            else:
                raise ImageError(
                    f"image {image.ref} needs {len(small.data):,} bytes at the lowest quality, "
                    f"over --max-image-bytes {self.max_bytes:,}; give --max-image-side too"
                )
        return small
