"""Text that stands in images, read by Tesseract: the typographic channel."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from importlib.util import find_spec

from vlsbench.auditing.overlap._captions import found
from vlsbench.engine import Context, Keep, Ledger, Quarantine, Record, Result
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.pairs import Image, ImageData, ImageError, Pair, decode

TEXT = "text"
SURE = 60
"""Tesseract's confidence, 0 to 100, below which a word in a photograph is mostly texture."""
LETTERS = 2
"""A shorter run of letters is more often an edge than a word."""
TIMEOUT_S = 60
WIDTH = 2
"""Images read at a time; every one keeps a core busy."""


def require_tesseract() -> None:
    """Raise where text cannot be read from images.

    Raises:
        MissingExtra: pytesseract is not installed.
        VlsbenchError: The program is not.
    """
    if not find_spec("pytesseract"):
        raise MissingExtra("reading text in images", "audit")
    if not shutil.which("tesseract"):
        raise VlsbenchError(
            "reading text in images needs the program tesseract "
            "(Debian, Ubuntu: apt install tesseract-ocr); --no-ocr leaves the channel out"
        )


def read_text(image: ImageData) -> str:
    """Return the words in an image that Tesseract is sure of, in reading order.

    Raises:
        ImageError: The image cannot be decoded, or reading takes too long.
    """
    import pytesseract

    picture = decode(image)
    try:
        table = pytesseract.image_to_data(
            picture, output_type=pytesseract.Output.DICT, timeout=TIMEOUT_S
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise ImageError(f"image {image.ref}: no text can be read ({error})") from None
    sure = (
        word.strip()
        for word, confidence in zip(table["text"], table["conf"], strict=True)
        if float(confidence) >= SURE
    )
    return " ".join(word for word in sure if sum(map(str.isalpha, word)) >= LETTERS)


def _read(image: Image) -> str:
    return read_text(image.read())


class TextStage:
    """Reads the text of one pair's images."""

    name = TEXT
    version = "1"

    async def run(self, record: Record, ctx: Context) -> Result:
        """Keep the text, empty where there is none."""
        pair: Pair = record.value
        try:
            read = [await asyncio.to_thread(_read, image) for image in pair.images]
        except ImageError as error:
            return Quarantine("image_unreadable", {"detail": str(error)})
        return Keep({TEXT: " ".join(filter(None, read))})


def texts(ledger: Ledger) -> Callable[[Pair], str]:
    """Return a look-up of texts in images, for `overlap(text=...)`."""
    return found(ledger, TEXT)
