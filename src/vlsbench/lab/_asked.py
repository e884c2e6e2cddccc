"""What the lab's server is asked: a chat request, read and checked."""

from __future__ import annotations

import asyncio
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

import pybase64

from vlsbench.errors import VlsbenchError
from vlsbench.lab._faults import Refused
from vlsbench.lab._look import look_at
from vlsbench.lab._models import heard, reply_of
from vlsbench.models import DEFAULT_MAX_TOKENS

MALFORMED = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
LARGE_IMAGE = 200_000
"""Characters of base64 beyond which an image is looked at in a thread."""


@dataclass(frozen=True, slots=True)
class Chat:
    """What of a chat request the models need."""

    model: str
    text: str
    images: list[str]
    """URLs."""
    max_tokens: int
    seed: int | None
    """Tells repeated judgements of one question apart."""
    hot: bool
    """Whether answers to one question may differ: the temperature is above 0."""

    async def say(self, earlier: int) -> str:
        """Answer, having been asked so often before."""
        reply = reply_of(self.model, self.seed, earlier if self.hot else None)
        args = self.text, lambda: look_at([_image(url) for url in self.images])
        if max(map(len, self.images), default=0) > LARGE_IMAGE:
            return await asyncio.to_thread(reply, *args)
        return reply(*args)


def read_chat(body: bytes, served: Mapping[str, str], *, schemas: bool) -> Chat:
    """Read a chat request for one of the models that are `served`, by name.

    `schemas` accepts `response_format`. Raises `Refused` where the request is malformed, or asks
    for what the server does not have.
    """
    try:
        asked = json.loads(body)
        name, messages = asked["model"], asked["messages"]
        # A model answers to its instructions and to the last user message.
        told = [one["content"] for one in messages if one["role"] in ("system", "developer")]
        told += [one["content"] for one in messages if one["role"] == "user"][-1:]
        listed = ([{"type": "text", "text": c}] if isinstance(c, str) else c for c in told)
        parts = list(chain.from_iterable(listed))
        said = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        text = heard(*(part["text"] for part in parts if part["type"] == "text"), said)
        images = [str(p["image_url"]["url"]) for p in parts if p["type"] == "image_url"]
        limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
        max_tokens = int(limit or DEFAULT_MAX_TOKENS)
    except MALFORMED as error:
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
        message = "response_format is not supported by this server"
        raise Refused(400, message, "unsupported_parameter")
    if not all(url.startswith("data:") and ";base64," in url[:100] for url in images):
        message = "images must be data: URLs in base64; this server fetches nothing"
        raise Refused(400, message, "invalid_image_url")
    seed = asked.get("seed")
    seed = seed if isinstance(seed, int) else None
    return Chat(model, text, images, max_tokens, seed, bool(asked.get("temperature")))


def _image(url: str) -> bytes:
    try:
        data: bytes = pybase64.b64decode(url[url.index(",") + 1 :], validate=True)
    except (binascii.Error, ValueError):
        raise Refused(400, "the image is not valid base64", "invalid_image") from None
    return data
