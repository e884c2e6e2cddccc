"""Making an image smaller before it is sent: only where the user asks, and always on record."""

from __future__ import annotations

import io
from dataclasses import dataclass

from vlsbench.pairs._image import ImageData, ImageError

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

        Resizes by Lanczos and keeps the format; where bytes are limited and do not fit, writes
        JPEG at falling quality.

        Raises:
            ImageError: It cannot be decoded, or does not fit at the lowest quality.
        """
        from PIL import Image as Pillow

        try:
            with Pillow.open(io.BytesIO(image.data)) as opened:
                too_large = self.max_side is not None and max(opened.size) > self.max_side
                too_heavy = self.max_bytes is not None and len(image.data) > self.max_bytes
                if not (too_large or too_heavy):
                    return image
                form = opened.format or "PNG"
                picture = opened.copy()
        except (OSError, Pillow.DecompressionBombError, SyntaxError) as error:
            raise ImageError(f"image cannot be decoded to shrink it: {error}") from None
        if too_large and self.max_side is not None:
            picture.thumbnail((self.max_side, self.max_side), Pillow.Resampling.LANCZOS)
        data = _write(picture, form)
        if self.max_bytes is not None and len(data) > self.max_bytes:
            for quality in QUALITIES:
                data = _write(picture.convert("RGB"), "JPEG", quality=quality)
                if len(data) <= self.max_bytes:
                    break
            else:
                raise ImageError(
                    f"image needs {len(data):,} bytes at the lowest quality, over "
                    f"--max-image-bytes {self.max_bytes:,}; give --max-image-side too"
                )
        return ImageData.of(data, "shrunk")


def _write(picture: object, form: str, **options: int) -> bytes:
    from PIL import Image as Pillow

    assert isinstance(picture, Pillow.Image)
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()
