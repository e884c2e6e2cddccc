"""What an image shows, from a model that is asked to say so: for benchmarks that do not."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Iterator

from vlsbench.engine import Context, Keep, Ledger, Quarantine, Record, Result
from vlsbench.models import ChatModel, Finish, Params, Request, call_key
from vlsbench.pairs import ImageError, Pair

CAPTION = "caption"
PROMPT_VERSION = "1"
"""Changes with the prompt; a test pins its hash to it."""
PROMPT = """\
Say in one or two plain sentences what can be seen here: the things, the people and what they do, \
and the place. Use the ordinary word for everything. Do not judge, guess at intentions, or \
describe style and mood. Leave out any writing; it is read by other means.\
"""
"""Plain words, because they are held against the words of queries."""
PARAMS = Params(max_tokens=256)


def prompt_hash() -> str:
    """Return the SHA-256 of the prompt, hex."""
    return hashlib.sha256(PROMPT.encode()).hexdigest()


def records_of(kind: str, pairs: Iterable[Pair]) -> Iterator[Record]:
    """Yield one record for each distinct set of images."""
    seen: set[str] = set()
    for pair in pairs:
        if pair.images and pair.cluster not in seen:
            seen.add(pair.cluster)
            yield Record(f"{kind}:{pair.cluster}", pair)


def found(ledger: Ledger, kind: str) -> Callable[[Pair], str]:
    """Return a look-up of what a stage read from a pair's images; empty where it read nothing."""

    def look_up(pair: Pair) -> str:
        outcome = ledger.outcome(f"{kind}:{pair.cluster}") if pair.images else None
        return str(outcome.value.get(kind, "")) if outcome else ""

    return look_up


class CaptionStage:
    """Asks for the caption of one pair's images."""

    name = CAPTION
    version = PROMPT_VERSION

    def __init__(self, captioner: ChatModel, params: Params = PARAMS) -> None:
        """Take the model and how it is asked."""
        self._captioner = captioner
        self._params = params

    async def run(self, record: Record, ctx: Context) -> Result:
        """Ask once; a refusal, an empty or a filtered answer is no caption."""
        pair: Pair = record.value
        try:
            images = tuple(
                await asyncio.gather(*(asyncio.to_thread(image.read) for image in pair.images))
            )
        except ImageError as error:
            return Quarantine("image_unreadable", {"detail": str(error)})
        request = Request(PROMPT, images, params=self._params, sample=ctx.epoch(record.id, CAPTION))
        reply = await ctx.call("captioner", self._captioner, request)
        call = call_key(self._captioner.identity, request)
        text = " ".join(reply.text.split())
        if reply.finish not in (Finish.STOP, Finish.LENGTH) or not text:
            return Quarantine("no_caption", {"finish": str(reply.finish), "call": call})
        return Keep({CAPTION: text, "call": call})


def captions(ledger: Ledger) -> Callable[[Pair], str]:
    """Return a look-up of captions, for `overlap(caption=...)`."""
    return found(ledger, CAPTION)
