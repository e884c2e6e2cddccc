"""What the lab's server is asked: a chat request, read and checked."""

from __future__ import annotations

import binascii
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pybase64

from vlsbench.errors import VlsbenchError
from vlsbench.lab._models import reply_of
from vlsbench.models import DEFAULT_MAX_TOKENS


class Refused(Exception):
    """A request that gets an error in OpenAI's form."""

    def __init__(self, status: int, message: str, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.code = status, code


@dataclass(frozen=True, slots=True)
class Chat:
    """What of a chat request the models need."""

    model: str
    text: str
    images: tuple[str, ...]
    """URLs."""
    max_tokens: int
    seed: int | None
    """Tells repeated judgements of one question apart."""
    hot: bool
    """Whether answers to one question may differ: the temperature is above 0."""


def parse_chat(
    body: bytes, served: Mapping[str, str], *, schemas: bool, allow_files: Path | None
) -> Chat:
    """Read a chat request.

    Args:
        body: JSON.
        served: Name → model that answers under it.
        schemas: Whether `response_format` is accepted.
        allow_files: Folder below which `file://` images are read; None reads none.

    Raises:
        Refused: It is malformed, or asks for what the server does not have.
    """
    try:
        small, lifted = _lift_images(body)
        asked = json.loads(small)
        name = asked["model"]
        messages = asked["messages"]
        parts = [
            part
            for message in _heard(messages)
            for part in (
                message["content"]
                if isinstance(message["content"], list)
                else [{"type": "text", "text": message["content"]}]
            )
        ]
        texts = (part["text"] for part in parts if part["type"] == "text")
        text = "\n\n".join(lifted.get(text, text) for text in texts)
        urls = (str(part["image_url"]["url"]) for part in parts if part["type"] == "image_url")
        images = tuple(lifted.get(url, url) for url in urls)
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        max_tokens = int(limit or DEFAULT_MAX_TOKENS)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Refused(400, f"not a chat request: {error!r}", "invalid_request") from None
    plain, mark, options = str(name).removeprefix("lab/").partition("?")
    model = served.get(plain, "") + mark + options
    try:
        reply_of(model)
    except VlsbenchError:
        raise Refused(404, f"The model {name!r} does not exist.", "model_not_found") from None
    if asked.get("stream"):
        raise Refused(400, "stream is not supported by this server", "invalid_request")
    if asked.get("response_format") and not schemas:
        raise Refused(
            400, "response_format is not supported by this server", "unsupported_parameter"
        )
    for url in images:
        _check_url(url, allow_files)
    seed = asked.get("seed")
    seed = seed if isinstance(seed, int) else None
    return Chat(model, text, images, max_tokens, seed, bool(asked.get("temperature")))


def _lift_images(body: bytes) -> tuple[bytes, dict[str, str]]:
    """Put a short name in place of every base64 image: parsing megabytes of JSON takes long.

    Returns:
        The small body, and name → data URL.
    """
    pieces: list[bytes] = []
    lifted: dict[str, str] = {}
    end = 0
    while (start := body.find(b'"data:image/', end)) >= 0:
        close = body.find(b'"', start + 1)
        plain = body[start - 1 : start] != b"\\" and body.find(b"\\", start, close) < 0
        if close < 0 or not plain:
            break
        name = f"lifted image {len(lifted)}"
        lifted[name] = body[start + 1 : close].decode("ascii")
        pieces += [body[end:start], f'"{name}"'.encode()]
        end = close + 1
    return b"".join([*pieces, body[end:]]), lifted


def _heard(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Pick what a model answers to: the instructions and the last user message."""
    instructions = [m for m in messages if m["role"] in ("system", "developer")]
    return instructions + [m for m in messages if m["role"] == "user"][-1:]


def _check_url(url: str, allow_files: Path | None) -> None:
    if url.startswith("data:"):
        if ";base64," not in url[:100]:
            raise Refused(400, "the image's data: URL is not in base64", "invalid_image_url")
        return
    if not url.startswith("file:"):
        raise Refused(
            400, "images must be data: URLs; this server fetches nothing", "invalid_image_url"
        )
    if allow_files is None:
        raise Refused(400, "file:// images need a server with --allow-files", "invalid_image_url")
    path = Path(unquote(urlsplit(url).path)).resolve()
    if not path.is_relative_to(allow_files.resolve()) or not path.is_file():
        raise Refused(400, "no such image below the allowed folder", "invalid_image_url")


def load(url: str) -> bytes:
    """Read an image that `parse_chat` let pass. Raises `Refused` where its base64 is invalid."""
    if url.startswith("file:"):
        return Path(unquote(urlsplit(url).path)).resolve().read_bytes()
    try:
        data: bytes = pybase64.b64decode(url[url.index(",") + 1 :], validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "the image is not valid base64", "invalid_image") from None
    return data
