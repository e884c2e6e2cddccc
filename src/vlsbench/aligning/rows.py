"""Which rows a method can learn from, and what makes two trainings' data the same."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.aligning._settings import Method, Row, TrainingSettings
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.pairs import FileImage, ImageError, MadeImage, StoredImage, decode

if TYPE_CHECKING:
    from PIL import Image

HARMFUL, SAFE, RETAIN = KINDS = ("harmful", "safe", "retain")
"""Kinds of rows for unlearning: to forget, to answer instead, to keep."""


def prompt_of(row: Row) -> list[dict[str, Any]]:
    """Return what the model is shown before it answers."""
    return list(row["prompt"]) if "prompt" in row else list(row["messages"][:-1])


def answers_of(row: Row) -> list[list[dict[str, Any]]]:
    """Return the answers of a row: one, or the chosen and the rejected one, or none."""
    if "messages" in row:
        return [list(row["messages"][-1:])]
    names = ("chosen", "rejected") if "chosen" in row else ("completion",)
    return [list(row[name]) for name in names if name in row]


def text_of(message: Mapping[str, Any]) -> str:
    """Return the words of a message, whether its content is a string or a list of parts."""
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(part.get("text", "") for part in content if part.get("type") == "text")


def query_of(row: Row) -> str:
    """Return the words of the last user message."""
    users = [message for message in prompt_of(row) if message["role"] == "user"]
    return text_of(users[-1]) if users else ""


def kind_of(row: Row) -> str:
    """Return what the row is for; unlearning's rows say it, and any other may."""
    return str(row.get("kind", ""))


def kinds_of(rows: Sequence[Row]) -> dict[str, int]:
    """Count rows by kind and by whether they have an image."""
    forms = ((kind_of(row) or "row", "image" if row.get("images") else "text") for row in rows)
    return dict(Counter(map(", ".join, forms)))


def check_rows(method: Method, rows: Sequence[Row], settings: TrainingSettings, name: str) -> None:
    """Refuse data that the method cannot learn from; `name` stands for it in errors.

    Raises:
        BadRows: Some rows have the wrong form; lists every one.
        VlsbenchError: There are no rows, or kinds that the method needs are missing.
    """
    if not rows:
        raise VlsbenchError(f"{name}: no rows to train on")
    faults = [row_fault(method, row, settings) for row in rows]
    if bad := [BadRow(name, str(at), fault) for at, fault in enumerate(faults, 1) if fault]:
        raise BadRows(name, bad, rest=len(bad) < len(rows))
    kinds = Counter(kind_of(row) for row in rows)
    wanted = {Method.T_UNLEARNING: (HARMFUL,), Method.T_SAFE_UNLEARNING: KINDS}.get(method, ())
    if missing := [kind for kind in wanted if not kinds[kind]]:
        raise VlsbenchError(
            f"{name}: {method} needs rows of kind {', '.join(missing)}; there are "
            + ", ".join(f"{count} {kind or 'without kind'}" for kind, count in kinds.items())
        )


def row_fault(method: Method, row: Row, settings: TrainingSettings) -> str:
    """Say why the method cannot learn from a row; empty where it can."""
    keys = _KEYS[method.form]
    if not any(set(form) <= set(row) for form in keys):
        forms = " or ".join(", ".join(form) for form in keys)
        return f"has {', '.join(sorted(row)) or 'nothing'}; {method} needs {forms}"
    for key in ("messages", "prompt", "chosen", "rejected", "completion"):
        if key in row and (fault := message_fault(row[key])):
            return f"{key!r}: {fault}"
    if "messages" in row and row["messages"][-1]["role"] != "assistant":
        return "'messages' does not end with an answer of the assistant"
    if any(not text_of(answer[-1]).strip() for answer in answers_of(row) if not method.online):
        return "an answer is empty"
    if method.form == "unlearning" and kind_of(row) not in KINDS:
        return f"kind is {kind_of(row)!r}, not one of {', '.join(KINDS)}"
    images = bool(row.get("images"))
    if method.textual and images:
        return f"has an image, and {method} learns from text alone (mixed rows: sft)"
    if method.multimodal and not images and not settings.text_rows:
        return f"has no image, and {method} learns from images (neutral text: --text-rows)"
    return ""


_KEYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "sft": (("messages",), ("prompt", "completion")),
    "preference": (("prompt", "chosen", "rejected"),),
    "unlearning": (("prompt", "completion", "kind"), ("messages", "kind")),
    "prompts": (("prompt",), ("messages",)),
}
"""Form → the keys that make a row of it, in either of its ways."""


def message_fault(value: object) -> str:
    """Say why a value is not a list of messages; empty where it is one."""
    if not isinstance(value, list) or not value:
        return "must be a list of messages"
    for message in value:
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            return "a message has no role and content"
        if message["role"] not in ("system", "user", "assistant"):
            return f"role {str(message['role'])[:20]!r} is not system, user or assistant"
        if not isinstance(message["content"], str | list):
            return "content must be text or a list of parts"
    return ""


def open_image(image: object) -> Image.Image:
    """Return an image of a row, decoded, in RGB; raises `VlsbenchError` where it cannot."""
    from PIL import Image

    if isinstance(image, Image.Image):
        return decode(image)
    shown = "bytes" if isinstance(image, bytes) else str(getattr(image, "ref", image))[:120]
    try:
        return decode(image_bytes(image), shown)
    except (OSError, ImageError) as error:
        raise VlsbenchError(f"{error}; replace the image or remove the row") from None


def image_bytes(image: object) -> bytes:
    """Return an image as a file; one in memory as its raw pixels."""
    from PIL import Image

    if isinstance(image, bytes):
        return image
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if isinstance(image, Image.Image):
        return f"{image.mode} {image.size}".encode() + image.tobytes()
    if isinstance(image, FileImage | StoredImage | MadeImage):
        return image.read().data
    raise VlsbenchError(f"an image is {type(image).__name__}: give a PIL image, a path or bytes")


def digest_rows(rows: Sequence[Row]) -> str:
    """Return one SHA-256 over all words, kinds and images, in order; images by path only.

    Reading a hundred thousand images to name a data set would take longer than much of the
    training, so an image in a file counts with its path and size.
    """
    whole = hashlib.sha256()
    for row in rows:
        whole.update(b"".join(part + b"\0" for part in _parts(row)) + b"\1")
    return whole.hexdigest()


def _parts(row: Row) -> Iterator[bytes]:
    yield kind_of(row).encode("utf-8", "surrogatepass")
    for messages in (prompt_of(row), *answers_of(row)):
        for message in messages:
            yield f"{message['role']}\n{text_of(message)}".encode("utf-8", "surrogatepass")
    for image in row.get("images") or ():
        if isinstance(image, str | os.PathLike):
            path = Path(image)
            yield f"{path.name} {path.stat().st_size if path.exists() else -1}".encode()
        elif hasattr(image, "ref"):
            yield str(image.ref).encode("utf-8", "surrogatepass")
        else:
            yield hashlib.sha256(image_bytes(image)).digest()
