"""What training and evaluation tools write into one cell: a conversation, an image as base64."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping

from vlsbench.pairs._decode import ImageError
from vlsbench.pairs._pair import RowError, StoredImage
from vlsbench.pairs._rows import Fields
from vlsbench.pairs._whole import sniff_mime
from vlsbench.text import first_line

BASE64 = ("iVBOR", "/9j/", "R0lGOD", "UklGR", "data:image/")
"""How an image begins that is written as text."""
MARK = "<image>"


def written_image(text: str) -> StoredImage:
    """Refer to an image written into a table as base64, as those of VLMEvalKit are.

    It is named by its digest, so that rows with the same image are one cluster.

    Raises:
        RowError: It does not begin like an image; the rest is looked at when it is shown.
    """
    text = text.partition("base64,")[2] or text
    if not sniff_mime(base64.b64decode(f"{text[:64]:=<64}")):
        raise RowError("the image cell is base64 of no image")
    ref = hashlib.sha256(text.encode()).hexdigest()[:16]

    def load() -> bytes:
        try:
            return base64.b64decode("".join(text.split()), validate=True)
        except ValueError as error:
            raise ImageError(f"image {ref}: not base64 ({first_line(error)})") from None

    return StoredImage(ref, load)


def query_of(row: Fields, key: str, images: int) -> str:
    """Return a row's query: a text, or what is asked first in a conversation.

    A list is a conversation of LLaVA or ShareGPT (`from`, `value`) or of chat messages (`role`,
    `content`), whose `<image>` marks are taken out; where there are marks, there must be as many
    as `images`.

    Raises:
        RowError: There is no query.
    """
    turns = row.fields.get(key)
    if not isinstance(turns, list):
        return row.text(key)
    asked = [
        turn.get("value") or turn.get("content")
        for turn in turns
        if isinstance(turn, Mapping) and (turn.get("from") or turn.get("role")) in ("human", "user")
    ]
    parts = asked[0] if asked and isinstance(asked[0], list) else asked[:1]
    texts = [part.get("text") if isinstance(part, Mapping) else part for part in parts]
    text = "\n".join(part for part in texts if isinstance(part, str))
    if (marks := text.count(MARK)) not in (0, images):
        raise RowError(f"{key!r} asks about {marks} images ({MARK}), and the row has {images}")
    query = re.sub(rf"\s*(?:{MARK}\s*)+", " ", text).strip()
    if not query:
        raise RowError(f"{key!r} holds no text of a human or user")
    return query
