"""What one model can do for an evaluation, found out by three short, harmless questions."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
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
    prices_known,
)
from vlsbench.pairs import ImageData
from vlsbench.registry import is_simulated

MOST_SKEW_S = 300
"""A clock further off makes signed requests and certificates fail."""
COLOUR = "red"
_SHORT = Params(max_tokens=256)


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


def _square() -> ImageData:
    from PIL import Image

    out = io.BytesIO()
    Image.new("RGB", (64, 64), COLOUR).save(out, "PNG")
    return ImageData(out.getvalue(), "image/png", ref="a red square")


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
    spec = model.spec
    plain = Request("Is a kettle hot after it has boiled?", system="Be brief.", params=_SHORT)
    reply = await model.ask(plain)
    if reply.finish in (Finish.REJECTED, Finish.FILTERED):
        yield Finding("answers", State.FAILS, reply.detail or reply.finish)
        return
    name = spec.partition("@")[0].removeprefix("openai/")
    served = f", served as {reply.served_by}" if reply.served_by not in ("", name) else ""
    yield Finding("answers", State.OK, f"in {reply.latency_s:.1f} s{served}")
    adapted = getattr(model, "adapted", None)
    if isinstance(adapted, Adapted) and adapted.changes:
        yield Finding("parameters", State.LACKS, f"{adapted.said}: done for you, and recorded")
    else:
        yield Finding("parameters", State.OK, "temperature and a system prompt are taken")
    yield _counted(spec, reply)
    seen = await model.ask(Request("Which colour is it? One word.", (_square(),), params=_SHORT))
    yield _seen(seen)
    schema = Schema.of_fields("answer", {"hot": {"type": "boolean"}})
    asked = "Is a boiled kettle hot? Answer with a JSON object that has the boolean field hot."
    yield _kept(await model.ask(Request(asked, params=_SHORT, schema=schema)))
    if isinstance(model, HttpChat):
        yield _clock(model.server.date)


def _counted(spec: str, reply: Reply) -> Finding:
    known = price_of(spec) is not None
    if reply.usage.input_tokens is None:
        remedy = "budgets count the reserved worst case; have the server report `usage`"
        return Finding("usage", State.LACKS, "no token counts", remedy)
    if known:
        return Finding("usage", State.OK, f"counted; price known ({prices_known()})")
    remedy = "--price INPUT,OUTPUT if it costs money and a budget is to hold"
    return Finding("usage", State.LACKS, "tokens are counted; no price is known", remedy)


def _seen(reply: Reply) -> Finding:
    if reply.finish in (Finish.REJECTED, Finish.FILTERED):
        remedy = "a text model can judge and be asked with --view text or caption alone"
        return Finding("images", State.FAILS, reply.detail or reply.finish, remedy)
    if COLOUR in reply.text.lower():
        return Finding("images", State.OK, f"sees that a {COLOUR} square is {COLOUR}")
    remedy = "look at a few replies of --limit 10 before you trust that images arrive"
    return Finding("images", State.LACKS, f"takes an image, but did not say {COLOUR}", remedy)


def _kept(reply: Reply) -> Finding:
    if reply.finish in (Finish.REJECTED, Finish.FILTERED):
        remedy = "as a judge it is asked in words instead; nothing to do"
        return Finding("schema", State.LACKS, reply.detail or reply.finish, remedy)
    try:
        kept = isinstance(strict_object(reply.text, "hot")["hot"], bool)
    except (ValueError, RecursionError):
        kept = False
    if kept:
        return Finding("schema", State.OK, "keeps to a JSON schema")
    remedy = "as a judge it may leave pairs unscored; try --judge-repeats or another judge"
    return Finding("schema", State.LACKS, "did not keep to a JSON schema", remedy)


def _clock(told: str) -> Finding:
    now = datetime.now(UTC)
    try:
        away = (parsedate_to_datetime(told) - now).total_seconds()
    except (TypeError, ValueError):
        return Finding("clock", State.LACKS, "the server does not tell the time")
    here = now.isoformat(sep=" ", timespec="seconds")
    if abs(away) <= MOST_SKEW_S:
        return Finding("clock", State.OK, f"{here}, as at the server")
    found = f"{here}, {abs(away):,.0f} s {'behind' if away > 0 else 'ahead of'} the server"
    return Finding("clock", State.LACKS, found, "set this machine's clock; some servers refuse it")
