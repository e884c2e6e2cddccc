"""Whether an image file is whole, by the structure of its format, and what a file is that is none.

A few short reads tell; only GIF, BMP and TIFF are decoded. Bytes after an image's end are nobody's
business.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Literal

At = Callable[[int, int], bytes]
"""Reads from a place as many bytes as are wanted, or as there are."""
START = 512
"""Bytes by which a file is told from others."""

_STARTS = {
    "image/png": rb"\x89PNG\r\n\x1a\n",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF....WEBP",
    "image/bmp": rb"BM",
    "image/tiff": rb"II\*\x00|MM\x00\*",
}
_OTHERS = {
    rb"version https://git-lfs": "a Git LFS pointer: `git lfs pull` brings the image",
    rb"\s*<(?:!doctype html|html|head|body)": "an HTML page: what came instead of a download?",
    rb"....ftypavi[fs]": "AVIF: convert it to PNG or JPEG",
    rb"....ftyp(?:hei|hev|mif1|msf1)": "HEIC: convert it to PNG or JPEG",
}
"""What a file that is no image starts with → what it is."""


def sniff_mime(header: bytes) -> str | None:
    """Tell the media type from the first 16 bytes; None if they start no image we can send.

    File names lie (a WebP saved as `.png` is common on the web); content does not.
    """
    return next((mime for mime, start in _STARTS.items() if re.match(start, header, re.S)), None)


def fault_of(ref: str, size: int, at: At) -> str | None:
    """Say what the structure of a file tells is wrong with an image; None if nothing.

    Args:
        ref: The image's name, for the message.
        size: Of the file, in bytes.
        at: Reads it.
    """
    ref = ref or "without a name"
    start = at(0, START)
    if not start:
        return f"image {ref} is empty"
    mime = sniff_mime(start)
    if mime is None:
        start = start.removeprefix(b"\xef\xbb\xbf")
        known = (what for mark, what in _OTHERS.items() if re.match(mark, start, re.S | re.I))
        text = start.split(b"\n")[0].strip().decode(errors="replace")
        said = f"text: {text[:40]!r}" if text.isascii() and text.isprintable() else ""
        what = next(known, said)
        what = f"but {what}" if what else f"(starts with {start[:8]!r})"
        return f"image {ref} is not an image {what}"
    try:
        whole = _WHOLE.get(mime, _decodes)(size, at)
    except (IndexError, ValueError):  # the structure leads beyond the end
        whole = False
    kind = mime.removeprefix("image/").upper()
    return None if whole else f"image {ref} is cut off ({kind} without its end)"


def _number(at: At, place: int, size: int, order: Literal["big", "little"] = "big") -> int:
    found = at(place, size)
    if len(found) < size:
        raise IndexError(place)
    return int.from_bytes(found, order)


def _png(size: int, at: At) -> bool:
    if b"IEND" in at(max(0, size - 12), 12):
        return True
    place = 8
    while place + 12 <= size:
        length, kind = _number(at, place, 4), at(place + 4, 4)
        if kind == b"IEND":
            return True
        place += 12 + length
    return False


def _jpeg(size: int, at: At) -> bool:
    if at(max(2, size - 2), 2) == b"\xff\xd9":
        return True
    place = 2
    while place + 4 <= size:  # segments, any of which may hold a small image with an end of its own
        marker = at(place, 2)
        if marker[0] != 0xFF:
            return False
        if marker[1] == 0xFF:  # fill
            place += 1
            continue
        if marker[1] == 0xDA:
            return b"\xff\xd9" in at(place, size)
        place += 2 if marker[1] in range(0xD0, 0xD9) else 2 + _number(at, place + 2, 2)
    return False


def _webp(size: int, at: At) -> bool:
    return _number(at, 4, 4, "little") + 8 <= size


def _decodes(size: int, at: At) -> bool:
    """Decode a whole file: of GIF, BMP and TIFF, which are rare, the structure tells too little."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(at(0, size)), formats=["GIF", "BMP", "TIFF"]) as image:
            for frame in range(getattr(image, "n_frames", 1)):
                image.seek(frame)
                image.load()
    except Image.DecompressionBombError:
        return True  # whoever shows it says so
    except Exception:  # decoders raise whatever they come upon in broken bytes
        return False
    return True


_WHOLE: dict[str, Callable[[int, At], bool]] = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
}
