"""What goes to a model and what comes back, whoever serves it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any, ClassVar, Protocol

from vlsbench.config import option
from vlsbench.errors import Signal, VlsbenchError
from vlsbench.pairs import ImageData

_CANONICAL = json.JSONEncoder(sort_keys=True, ensure_ascii=False).encode

DEFAULT_MAX_TOKENS = 2048
"""Generous, so that a late warning is not cut away (the public code cut replies at 128)."""


@dataclass(frozen=True)
class Params:
    """Sampling parameters; part of a call's identity."""

    PANEL: ClassVar[str] = "Target"

    max_tokens: int = option(
        "Length limit of a reply, in tokens.", default=DEFAULT_MAX_TOKENS, least=1
    )
    temperature: float | None = option(
        "Sampling temperature of the target; `none` leaves it to the server (reasoning models "
        "accept nothing else).",
        default=0.0,
    )
    seed: int | None = None
    extra: tuple[str, ...] = option(
        "Pass anything else to the target, in JSON: reasoning_effort=low, top_p=0.9, "
        'extra_body={"top_k": 1}; may be repeated.',
        default=(),
        flags=("--param",),
        metavar="NAME=JSON",
        whole=True,
    )

    @cached_property
    def more(self) -> dict[str, Any]:
        """What `extra` adds to a request's body.

        Raises:
            VlsbenchError: It is not of the form.
        """
        more: dict[str, Any] = {}
        for given in self.extra:
            name, mark, value = given.partition("=")
            if not name or not mark:
                raise VlsbenchError(f"--param {given}: expected NAME=JSON, as in top_p=0.9")
            try:
                read = json.loads(value)
            except ValueError:
                read = value  # a word needs no quotation marks
            more |= read if name == "extra_body" and isinstance(read, dict) else {name: read}
        return more

    @cached_property
    def most_tokens(self) -> int:
        """The most that a reply can hold."""
        limits = (self.more.get(name) for name in ("max_tokens", "max_completion_tokens"))
        return max([self.max_tokens, *(limit for limit in limits if type(limit) is int)])

    def as_json(self) -> dict[str, Any]:
        """Return the parameters as plain JSON; `extra` where there is some."""
        # Not `asdict`, which copies deeply: it is asked for with every request.
        known = {name: getattr(self, name) for name in ("max_tokens", "temperature", "seed")}
        return {**known, "extra": self.more} if self.extra else known


@dataclass(frozen=True)
class Schema:
    """A JSON schema that the reply must follow, with the name the API asks for."""

    name: str
    schema: Mapping[str, Any]

    @classmethod
    def of_fields(cls, name: str, fields: Mapping[str, Any]) -> Schema:
        """Return the schema of an object with exactly these fields, each with its own schema."""
        required = {"required": list(fields), "additionalProperties": False}
        return cls(name, {"type": "object", "properties": fields, **required})


@dataclass(frozen=True)
class Request:
    """One question to a model: images in order, then the text."""

    text: str
    images: tuple[ImageData, ...] = ()
    system: str = ""
    params: Params = Params()
    schema: Schema | None = None
    sample: int = 0
    """Which of several draws for the same question this is."""
    record: str = ""
    """Which record of replies that exist already answers it; empty where a model is asked."""
    said: str = ""
    """An assistant's turn after the text, for guards, which judge it; empty for a question."""

    def rendered(self) -> dict[str, Any]:
        """Everything that could change the answer, images by their digest; plain JSON."""
        return {
            **({"said": self.said} if self.said else {}),
            "system": self.system,
            "images": [image.sha256 for image in self.images],
            "text": self.text,
            "params": self.params.as_json(),
            "schema": dict(self.schema.schema) if self.schema else None,
            "sample": self.sample,
            **({"record": self.record} if self.record else {}),
        }

    @cached_property
    def canonical(self) -> str:
        """`rendered` as the JSON that is hashed."""
        return _CANONICAL(self.rendered())


def call_key(identity: Mapping[str, Any], asked: Request | Mapping[str, Any]) -> str:
    """Hash a model's identity and a request: equal keys mean the same question to the same model.

    Args:
        identity: Of the model.
        asked: The request, or as it stands in the ledger (`Request.rendered`).

    Returns:
        64 hex digits.
    """
    rendered = asked.canonical if isinstance(asked, Request) else _CANONICAL(asked)
    text = f"[{_CANONICAL(dict(identity))}, {rendered}]"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Finish(StrEnum):
    """Why a model stopped."""

    STOP = "stop"
    LENGTH = "length"
    """Cut off at `max_tokens`; what came before is kept."""
    FILTERED = "filtered"
    """The provider's content filter took question or answer away."""
    REFUSAL = "refusal"
    """The API said by its own field that the model refused; `text` is what it said."""
    REJECTED = "rejected"
    """The server would not take this request (too long, bad image), or ended the reply for a
    reason that is not known here; never judged."""


MOST_TOKENS = 2**31
"""What a server counts beyond this is no count of tokens."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as the server counted them; None where it did not say, or said what is no count."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    reasoning_tokens: int | None = None

    def __post_init__(self) -> None:
        for name in self.__slots__:
            count = getattr(self, name)
            if count is not None and not (type(count) is int and 0 <= count < MOST_TOKENS):
                object.__setattr__(self, name, None)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. An empty `text` is a recorded fact, not an error."""

    text: str
    finish: Finish = Finish.STOP
    reasoning: str = ""
    """Thoughts before the answer, reported apart by the server or split from it; never judged."""
    usage: Usage = Usage()
    latency_s: float = 0.0
    """Of the request that succeeded, without retries before it."""
    attempts: int = 1
    """HTTP requests made, failures included."""
    served_by: str = ""
    """The model name that the server reported."""
    detail: str = ""
    """What is known about a filtered or rejected request."""
    extra: Mapping[str, Any] = field(default_factory=dict)


UNCOUNTED = "uncounted"
"""In `Reply.extra`: requests before the answer that a provider may charge for, unknown how much."""


class CallFailed(Signal):
    """No answer after all retries: a fact about the connection, never about the model."""

    def __init__(self, reason: str, attempts: int, uncounted: int = 0) -> None:
        super().__init__(reason)
        self.reason = reason
        self.attempts = attempts
        self.uncounted = uncounted
        """Requests that a provider may charge for all the same."""


class FatalCall(VlsbenchError):
    """No call to this model can work (wrong key, unknown model): the run must stop."""


class Refused(FatalCall):
    """The key or the model is refused; by a model that answers others, this request alone is."""

    def __init__(self, message: str, reply: Reply) -> None:
        super().__init__(message)
        self.reply = reply
        """What stands for the answer where the request alone is refused."""


class Model(Protocol):
    """A model that is asked something."""

    @property
    def spec(self) -> str:
        """How the user names it."""

    @property
    def endpoint(self) -> str:
        """What its calls share a rate limit with; equal for models on one server."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """What of the model could change an answer; plain JSON, no secrets."""

    async def close(self) -> None:
        """Release connections or memory."""


class ChatModel(Model, Protocol):
    """A model that answers an image-text request."""

    async def ask(self, request: Request) -> Reply:
        """Answer one request, retrying what passes.

        Raises:
            CallFailed: The server gave no answer after all retries.
            Refused: The key or the model is refused, perhaps for this request alone.
            FatalCall: No request can succeed.
        """


@dataclass(frozen=True, kw_only=True)
class RecordedReplies:
    """Replies made elsewhere; implements `ChatModel`.

    They are found by the record that a request names (`Request.record`), not by its content: two
    pairs that ask the same keep the replies that each was given. A run takes them over as it does
    those of another run: no call is counted, nothing is paid, no key is needed.
    """

    spec: str
    """The model that gave them."""
    replies: Mapping[str, Reply]
    """Record (a pair's id; `id#sample` where a pair has several replies) → reply."""
    origin: Mapping[str, str]
    """Name of the file or run that they come from → SHA-256, hex."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Record → why it has no reply. Its pair is unscored, as `reply_missing`."""
    notes: Sequence[str] = ()
    """What a reader of the results should know about them."""
    endpoint: str = "recorded"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Where they come from, with the digests."""
        return {"kind": "replies", "name": self.spec, "files": dict(self.origin)}

    async def ask(self, request: Request) -> Reply:
        """Return the reply of the request's record.

        Raises:
            CallFailed: There is none.
        """
        if reply := self.replies.get(request.record):
            return reply
        raise CallFailed(self.missing.get(request.record, "no reply on record"), 0)

    async def close(self) -> None:
        """Nothing is held open."""
