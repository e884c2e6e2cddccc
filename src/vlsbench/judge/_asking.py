"""Asking a model for one short answer about hostile material, and reading it strictly."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, Protocol, TypeVar

from vlsbench.judge._offline import read_wording
from vlsbench.judge._verdict import Unscored
from vlsbench.models import CallFailed, Finish, Params, Reply, Request, Schema
from vlsbench.pairs import ImageData
from vlsbench.text import disarm

TRIES = 3
"""How often a judge is asked at most, until its answer parses; every try is recorded."""
AGAIN = """
Your answer to an earlier copy of this message was not the JSON object asked for. Answer with \
that object alone.
"""

T = TypeVar("T")


class Caller(Protocol):
    """Asks the judge's model and records the answer."""

    async def __call__(self, request: Request) -> Reply:
        """Return the answer to one request."""


@dataclass(frozen=True, slots=True)
class Fenced:
    """Material between markers that it cannot contain."""

    tag: str
    text: str
    """All blocks, each between `<<<NAME tag>>>` and `<<<END NAME tag>>>`."""


def fence(blocks: Sequence[tuple[str, str]]) -> Fenced:
    """Put named blocks of hostile text between markers.

    The tag is a digest of all blocks: to hold its own marker, a block would have to contain its
    own hash. The same material always gets the same marker, so a recorded answer is found again.
    Control tokens of chat templates, which no marker would hold back, are broken up.
    """
    blocks = [(name, disarm(text)) for name, text in blocks]
    texts = (text for _, text in blocks)
    tag = hashlib.sha256("\0".join(("vlsbench fence", *texts)).encode()).hexdigest()[:24]
    return Fenced(
        tag,
        "".join(f"\n<<<{name} {tag}>>>\n{text}\n<<<END {name} {tag}>>>\n" for name, text in blocks),
    )


def _no_twins(items: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(items)
    if len(found) != len(items):
        raise ValueError("a field occurs twice")
    return found


_OBJECTS = json.JSONDecoder(object_pairs_hook=_no_twins, strict=False)


def strict_object(text: str, *fields: str) -> dict[str, Any]:
    """Read the one JSON object of an answer, with exactly these fields, each of them once.

    Prose and code fences may stand around it; a second object, even an equal one, may not: which of
    them is meant would be a guess.

    Raises:
        ValueError: It is anything else.
        RecursionError: It is nested too deeply.
    """
    start = text.find("{")
    if start < 0:
        raise ValueError("expected a JSON object")
    answer, end = _OBJECTS.raw_decode(text, start)
    if "{" in text[end:]:
        raise ValueError("expected one JSON object, and nothing in braces after it")
    if set(answer) != set(fields):
        raise ValueError(f"expected exactly the fields {' and '.join(fields)}")
    return dict(answer)


def read_yes_no(text: str, field: str) -> tuple[bool, str]:
    """Read an object of an explanation and one field that is true or false, the field first.

    Raises `ValueError` or `RecursionError` where it is anything else.
    """
    answer = strict_object(text, "explanation", field)
    if not isinstance(answer["explanation"], str) or not isinstance(answer[field], bool):
        raise ValueError("expected a text and true or false")
    return answer[field], answer["explanation"]


def failure(answer: Reply) -> Unscored:
    """Say why an answer that holds no verdict holds none."""
    stopped = {
        Finish.FILTERED: Unscored.JUDGE_FILTERED,
        Finish.REJECTED: Unscored.JUDGE_REJECTED,
        Finish.REFUSAL: Unscored.JUDGE_REFUSED,
    }
    if answer.finish in stopped:
        return stopped[answer.finish]
    if not answer.text.strip():
        return Unscored.JUDGE_EMPTY
    words = len(answer.text.split())  # a bare "No" is some format's verdict
    if words > 2 and "{" not in answer.text and read_wording(answer.text).label == "refusal":
        return Unscored.JUDGE_REFUSED
    return Unscored.JUDGE_UNPARSEABLE


@dataclass(frozen=True, slots=True)
class Failed:
    """No answer that parses, after all tries."""

    reason: Unscored
    detail: str
    """What the last answer was."""


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """What was read from an answer, and how many times it was asked for."""

    value: T
    tries: int


_NO_SCHEMA = re.compile(
    r"response_format|json_schema|schema|structured|guided|un(?:known|recogni[sz]ed|expected) "
    r"(?:field|parameter|argument|keyword|key)|extra (?:fields|inputs)",
    re.IGNORECASE,
)


class Asking:
    """How a model is asked: held to a schema or not, and again where its answer is none."""

    def __init__(self, params: Params, *, held: bool = True) -> None:
        """Set the sampling parameters, and whether a schema holds the model to its format.

        A server that takes no schema, breaks over it or answers nonsense is asked without one.
        """
        self._params, self._held = params, held
        self._schema_works: bool | None = None if held else False
        self._probing = asyncio.Lock()
        self._unread = 0
        """Answers that did not parse before the first that did."""
        self._read = False

    @property
    def refuses_schema(self) -> bool:
        """Whether the model turned out to take no schema."""
        return self._held and self._schema_works is False

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything about the asking that could change an answer."""
        return {
            "format": "auto" if self._held else "text",
            "max_tokens": self._params.max_tokens,
            "temperature": self._params.temperature,
            "tries": TRIES,
            **({"extra": self._params.more} if self._params.extra else {}),
            **({"schema": "refused"} if self.refuses_schema else {}),
        }

    async def _once(self, request: Request, call: Caller) -> Reply:
        if request.schema is None:
            return await call(request)
        if self._schema_works is None:
            # One question finds out for all; the others wait for what it finds.
            async with self._probing:
                if self._schema_works is None:
                    try:
                        answer = await call(request)
                    except CallFailed:
                        # Some servers break over a schema: they answer the same without it.
                        answer = await call(replace(request, schema=None))
                        if answer.finish is not Finish.REJECTED:
                            self._schema_works = False
                        return answer
                    if answer.finish is not Finish.REJECTED:
                        self._schema_works = True
                        return answer
                    if not _NO_SCHEMA.search(answer.detail):
                        return answer
                    self._schema_works = False
        return await call(request if self._schema_works else replace(request, schema=None))

    async def ask(
        self,
        prompt: Callable[[bool], str],
        images: tuple[ImageData, ...],
        schema: Schema | None,
        read: Callable[[str], T],
        call: Caller,
        *,
        epoch: int,
        system: str = "",
        said: str = "",
    ) -> Parsed[T] | Failed:
        """Ask until an answer parses, at most `TRIES` times.

        Args:
            prompt: Writes the question; is told whether an earlier answer did not parse.
            images: Sent along.
            schema: What the answer must follow; None for models with a format of their own.
            read: Reads an answer; raises `ValueError` or `RecursionError` where it cannot.
            call: Asks the model.
            epoch: How often the question was sent back by the user.
            system: Instructions apart from the question.
            said: An assistant's turn after the question, for guards that judge it.
        """
        failed = Failed(Unscored.JUDGE_UNPARSEABLE, "")
        for attempt in range(TRIES):
            request = Request(
                prompt(attempt > 0),
                images,
                system,
                self._params,
                schema,
                sample=epoch * TRIES + attempt,
                said=said,
            )
            held = self._schema_works is not False
            answer = await self._once(request, call)
            if answer.finish in (Finish.STOP, Finish.LENGTH):
                try:
                    found = Parsed(read(_said(answer)), attempt + 1)
                except (ValueError, RecursionError):
                    self._unread += 1
                else:
                    self._read = True
                    return found
            failed = Failed(failure(answer), answer.detail or answer.text)
        harmful = self._schema_works is False or (self._unread >= TRIES and not self._read)
        if schema and held and harmful:  # others may have found it out meanwhile
            self._schema_works = False
            return await self.ask(
                prompt, images, schema, read, call, epoch=epoch, system=system, said=said
            )
        return failed


def _said(answer: Reply) -> str:
    """Return an answer's text; some servers put all of a short answer among the thoughts."""
    finished = answer.finish is Finish.STOP and not answer.text.strip()
    return answer.reasoning if finished else answer.text
