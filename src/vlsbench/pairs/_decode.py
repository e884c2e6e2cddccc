"""The one decoder: from a file's bytes to the image that a person sees, for every eye alike."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pybase64

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._whole import fault_of, sniff_mime
from vlsbench.text import first_line

if TYPE_CHECKING:
    from PIL import Image as Pillow

HEADER_BYTES = 16
MAX_PIXELS = 1024**3 // 4 // 3
"""Larger images are not decoded: about 89 million pixels, 256 MiB as RGB. Pillow's own limit
against decompression bombs (`Image.MAX_IMAGE_PIXELS`)."""
WHITE = (255, 255, 255)
"""What shows through transparent parts."""
JPEG_QUALITY = 95
"""Of a JPEG that is drawn anew; beyond, files grow and nothing is seen (libjpeg's advice)."""
QUALITIES = (92, 85, 75, 65, 50, 35)
"""JPEG qualities tried in turn until the bytes fit."""

_SWAPPED = (5, 6, 7, 8)
"""EXIF orientations that swap the sides (EXIF 2.3, section 4.6.4)."""
_ORIENTATION = 0x0112
_POSITION = 0x8825
"""EXIF tags of how an image is turned and of where it was taken."""


class ImageError(VlsbenchError):
    """An image that is missing, empty, cut off, too large or no image."""


@dataclass(frozen=True)
class ImageData:
    """The bytes of one image, with what a request needs of them.

    One object serves the target's request and the judge's, so the image is hashed and encoded
    once.
    """

    data: bytes = field(repr=False)
    mime: str
    path: Path | None = None
    """Where the same bytes lie as a file, if they do: `release` may then free them."""
    ref: str = field(default="", compare=False)
    """Name of the image in errors."""

    @cached_property
    def sha256(self) -> str:
        """Hex digest of the bytes; identifies the image in the ledger."""
        return hashlib.sha256(self.data).hexdigest()

    @cached_property
    def base64(self) -> bytes:
        """The bytes in standard base64, ASCII."""
        encoded: bytes = pybase64.b64encode(self.data)
        return encoded

    @property
    def portable(self) -> ImageData:
        """What is sent to servers and browsers: the image itself, or one that all show alike.

        BMP and TIFF, which few servers take, images with an orientation, which many do not heed,
        and grey images of 16 bits and CMYK, which many show wrongly, are drawn anew from what
        `decode` returns.

        Raises:
            ImageError: It must be drawn anew and cannot be decoded.
        """
        # Not cached where it is the image itself: an image that refers to itself is freed by the
        # garbage collector alone, which waits until a run holds gigabytes of them.
        return self._redrawn if self._needs_redrawing else self

    @cached_property
    def _needs_redrawing(self) -> bool:
        return _needs_redrawing(self)

    @cached_property
    def _redrawn(self) -> ImageData:
        lossy = self.mime == "image/jpeg"
        options = {"quality": JPEG_QUALITY} if lossy else {}
        return encode(decode(self), self.ref, "JPEG" if lossy else "PNG", **options)

    def release(self) -> None:
        """Free the bytes, where they can be read from `path` again, and what was made of them.

        For who waits long with many images.
        """
        made: tuple[str, ...] = ("base64", "_redrawn")
        if self.path:
            _ = self.sha256, self._needs_redrawing
            made += ("data",)
        for name in made:
            self.__dict__.pop(name, None)

    def __getattr__(self, name: str) -> bytes:
        # Called where `release` freed the bytes.
        if name != "data" or self.path is None:
            raise AttributeError(name)
        try:
            data = self.path.read_bytes()
        except OSError as error:
            raise ImageError(f"{self.ref}: {error.strerror}") from None
        if hashlib.sha256(data).hexdigest() != self.sha256:
            raise ImageError(f"{self.ref} changed while the run was under way")
        self.__dict__["data"] = data
        return data

    @property
    def extension(self) -> str:
        """What the names of files of this kind end in, as `png` and `jpg`."""
        return self.mime.removeprefix("image/").replace("jpeg", "jpg")

    @classmethod
    def of(cls, data: bytes, ref: str, path: Path | None = None) -> ImageData:
        """Wrap `data`, named `ref` in errors. Raises `ImageError` if it is no whole image."""
        if fault := fault_of(ref, len(data), lambda place, size: data[place : place + size]):
            raise ImageError(fault)
        return cls(data, sniff_mime(data[:HEADER_BYTES]) or "", path, ref)


def decode(
    image: ImageData | bytes | Pillow.Image, ref: str = "", *, side: int | None = None
) -> Pillow.Image:
    """Return an image as a person sees it: upright, on white, the first frame, 8 bits, RGB.

    Args:
        image: The file's bytes, or an image of Pillow, which stays as it is.
        ref: Names the image in errors, where it does not know its name.
        side: Longest side wanted, in pixels; a larger image is shrunk, which costs less than
            decoding it whole.

    Raises:
        ImageError: It is cut off, broken, of no known kind, or of more than `MAX_PIXELS`; the
            message names it.
    """
    from PIL import ImageOps

    name, opened = _opened(image, ref)
    try:
        if opened is image:
            opened = opened.copy()
        elif side:
            # Twice the size wanted leaves something to smooth.
            opened.draft(None, (2 * side, 2 * side))
        opened.load()
        with suppress(Exception):  # broken metadata turn nothing
            ImageOps.exif_transpose(opened, in_place=True)
        found = _rgb(opened)
        if side:
            found.thumbnail((side, side), reducing_gap=1.0)
    except Exception as error:  # decoders raise whatever they come upon in broken bytes
        raise ImageError(f"image {name} cannot be decoded ({first_line(error)})") from None
    # Comments and profiles would be written into files made of it.
    found.info = {}
    return found


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What an image's header tells."""

    width: int
    height: int
    """In pixels, as it is shown."""
    exif: bool
    """Whether it holds metadata of a camera."""
    located: bool
    """Whether they say where it was taken."""


def image_facts(image: ImageData | bytes, ref: str = "") -> ImageFacts:
    """Return an image's size and what its metadata hold, without decoding it.

    Raises:
        ImageError: It has no readable header, or more than `MAX_PIXELS`.
    """
    from PIL import Image

    name, opened = _opened(image, ref)
    data = image if isinstance(image, bytes) else image.data
    try:
        width, height = opened.size
        if opened.format == "TIFF":
            # Some versions of Pillow turn a TIFF's size and some do not.
            tags: Any = opened
            width, height = tags.tag_v2[256], tags.tag_v2[257]
    except Exception as error:
        raise ImageError(f"image {name} cannot be decoded ({first_line(error)})") from None
    try:
        if opened.format == "PNG" and b"eXIf" in data:
            opened.load()  # they may stand behind the pixels
        exif = Image.Image.getexif(opened)  # a PNG's own always decodes it in search of them
        if exif.get(_ORIENTATION) in _SWAPPED:
            width, height = height, width
        return ImageFacts(width, height, bool(exif), bool(exif.get_ifd(_POSITION)))
    except Exception:  # broken metadata turn nothing
        return ImageFacts(width, height, True, False)


def image_size(image: ImageData | bytes, ref: str = "") -> tuple[int, int]:
    """Return an image's width and height in pixels, as it is shown. Raises `ImageError`."""
    facts = image_facts(image, ref)
    return facts.width, facts.height


def encode(image: Pillow.Image, ref: str, form: str = "PNG", **options: Any) -> ImageData:
    """Write an image as a file of the given form, with the options of Pillow's writer."""
    out = io.BytesIO()
    image.save(out, form, **options)
    return ImageData.of(out.getvalue(), ref)


def _opened(image: ImageData | bytes | Pillow.Image, ref: str) -> tuple[str, Pillow.Image]:
    """Return an image's name, and the image with its header read."""
    from PIL import Image

    if isinstance(image, Image.Image):
        return ref or "in memory", image
    if isinstance(image, bytes):
        image = ImageData.of(image, ref)
    name = ref or image.ref or "without a name"
    mime = sniff_mime(image.data[:HEADER_BYTES])
    if mime is None:
        raise ImageError(f"image {name} is not an image")
    try:
        # Pillow guesses among dozens of formats, some of which start other programs.
        opened = Image.open(io.BytesIO(image.data), formats=[mime.removeprefix("image/")])
        width, height = opened.size
    except Image.DecompressionBombError:
        raise ImageError(f"image {name} has more than {MAX_PIXELS:,} pixels") from None
    except Exception as error:
        raise ImageError(f"image {name} cannot be decoded ({first_line(error)})") from None
    if width * height > MAX_PIXELS:
        raise ImageError(f"image {name} has more than {MAX_PIXELS:,} pixels ({width} × {height})")
    return name, opened


def _rgb(image: Pillow.Image) -> Pillow.Image:
    import numpy as np
    from PIL import Image

    if image.mode[0] == "I":  # 16 bits of grey, by their upper byte, as RGB ones are
        values = np.asarray(image).clip(0, 65535) >> 8
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    clear = image.convert("RGBA")
    ground = Image.new("RGB", image.size, WHITE)
    ground.paste(clear, mask=clear)
    return ground


def _needs_redrawing(image: ImageData) -> bool:
    """Tell whether servers might not take an image, or show it otherwise than `decode`.

    Reads the header alone, and with Pillow only where it holds something unusual.
    """
    data, mime = image.data, image.mime
    if mime in ("image/bmp", "image/tiff"):
        return True
    if mime == "image/png":
        if data[24:26] == b"\x10\x00":  # 16 bits, grey
            return True
        head = data[: data.find(b"IDAT")]
        marks: tuple[bytes, ...] = (b"eXIf", b"exif", b"Orientation")
    elif mime == "image/jpeg":
        head = data[: data.find(b"\xff\xda")]
        marks = (b"Exif\0", b"Orientation", b"Adobe")
    else:
        head, marks = data[:32], (b"VP8X",)
    if not any(mark in head for mark in marks):
        return False
    try:
        _, opened = _opened(image, "")
        return opened.mode == "CMYK" or opened.getexif().get(_ORIENTATION) in range(2, 9)
    except Exception:  # whoever has to decode it says what is wrong
        return False


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
