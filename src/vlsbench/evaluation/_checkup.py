"""What one model can do for an evaluation, found out by three short, harmless questions."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

from vlsbench.config import Connection
from vlsbench.errors import VlsbenchError
from vlsbench.judge import strict_object
from vlsbench.models import (
    Adapted,
    CallFailed,
    ChatModel,
    Connections,
    Finish,
    HttpChat,
    Params,
    Reply,
    Request,
    Schema,
    price_of,
)
from vlsbench.pairs import ImageData
from vlsbench.registry import is_simulated

MOST_SKEW_S = 300
"""A clock further off makes signed requests and certificates fail."""
COLOUR = "red"


class State(StrEnum):
    """How far something works."""

    OK = "ok"
    LACKS = "lacks"
    """Works without it, or with a change made for you."""
    FAILS = "fails"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check-up."""

    what: str
    state: State
    found: str
    remedy: str = ""


async def check_model(spec: str) -> AsyncIterator[Finding]:
    """Ask a model what it can do: answer, count tokens, see an image, keep to a schema.

    At most three requests of some words each, without retries that take minutes.

    Args:
        spec: As `vlsbench eval --model` takes it.

    Yields:
        What was found, as it is found; the first that fails is the last.
    """
    model: ChatModel | None = None
    try:
        model = Connections(Connection(concurrency=1, timeout_s=60, retries=1)).open(spec)
        if is_simulated(spec) and not isinstance(model, HttpChat):
            yield Finding("answers", State.OK, "a model of the lab: it knows the lab alone")
            return
        async for finding in _asked(model):
            yield finding
    except (VlsbenchError, CallFailed) as error:
        yield Finding("answers", State.FAILS, str(error))
    finally:
        if model:
            await model.close()


async def _asked(model: ChatModel) -> AsyncIterator[Finding]:
    short = Params(max_tokens=256)
    asked = "Is a kettle hot after it has boiled?"
    reply = await model.ask(Request(asked, system="Be brief.", params=short))
    if why := _refused(reply):
        yield Finding("answers", State.FAILS, why)
        return
    yield Finding("answers", State.OK, f"in {reply.latency_s:.1f} s")
    adapted = getattr(model, "adapted", None)
    if isinstance(adapted, Adapted) and adapted.changes:
        yield Finding("parameters", State.LACKS, f"{adapted.said}: done for you, and recorded")
    else:
        yield Finding("parameters", State.OK, "temperature and a system prompt are taken")
    if reply.usage.input_tokens is None:
        remedy = "budgets count the reserved worst case; have the server report `usage`"
        yield Finding("usage", State.LACKS, "no token counts", remedy)
    elif price_of(model.spec) is None:
        remedy = "--price INPUT,OUTPUT if it costs money and a budget is to hold"
        yield Finding("usage", State.LACKS, "tokens are counted; no price is known", remedy)
    else:
        yield Finding("usage", State.OK, "tokens are counted, and the price is known")

    seen = await model.ask(Request("Which colour is it? One word.", (_square(),), params=short))
    if why := _refused(seen):
        remedy = "a text model can judge and be asked with --view text or caption alone"
        yield Finding("images", State.FAILS, why, remedy)
    elif COLOUR in seen.text.lower():
        yield Finding("images", State.OK, f"sees that a {COLOUR} square is {COLOUR}")
    else:
        remedy = "look at a few replies of --limit 10 before you trust that images arrive"
        yield Finding("images", State.LACKS, f"takes an image, but did not say {COLOUR}", remedy)

    schema = Schema.of_fields("answer", {"hot": {"type": "boolean"}})
    asked = "Is a boiled kettle hot? Answer with a JSON object that has the boolean field hot."
    told = await model.ask(Request(asked, params=short, schema=schema))
    kept = False
    with suppress(ValueError, RecursionError):
        kept = isinstance(strict_object(told.text, "hot")["hot"], bool)
    if kept and not _refused(told):
        yield Finding("schema", State.OK, "keeps to a JSON schema")
    else:
        remedy = "as a judge it is asked in words, and may leave pairs unscored"
        found = _refused(told) or "did not keep to a JSON schema"
        yield Finding("schema", State.LACKS, found, remedy)
    if isinstance(model, HttpChat):
        yield _clock(model.server.date)


def _refused(reply: Reply) -> str:
    """Say why a question was refused; nothing where it was not."""
    refused = reply.finish in (Finish.REJECTED, Finish.FILTERED)
    return reply.detail or str(reply.finish) if refused else ""


def _square() -> ImageData:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), COLOUR).save(out, "PNG")
    return ImageData(out.getvalue(), "image/png", ref="a red square")


def _clock(told: str) -> Finding:
    try:
        away = (parsedate_to_datetime(told) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return Finding("clock", State.LACKS, "the server does not tell the time")
    if abs(away) <= MOST_SKEW_S:
        return Finding("clock", State.OK, "as at the server")
    found = f"{abs(away):,.0f} s {'behind' if away > 0 else 'ahead of'} the server"
    return Finding("clock", State.LACKS, found, "set this machine's clock; some servers refuse it")
