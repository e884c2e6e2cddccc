"""Rule-made chat models of the closed world: real text and pictures in, harmless sentences out.

`helpful` always answers. `blind` is a perfect textual safety model: it sees every risk that the
text tells and never looks. `careful` also looks at the picture, `wavering` only now and then,
`shortsighted` knows half of the things that it sees, and `guessing` answers by chance.
`judge` and `harm` know the rule:
the one judges replies, the other what is asked. `writer`, `rewriter`, `eyes` and `check` build
pairs.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.lab._build_judges import check, eyes
from vlsbench.lab._faults import draw_number
from vlsbench.lab._harm import erring_harm, harm
from vlsbench.lab._judge import judge
from vlsbench.lab._look import Look, look_at
from vlsbench.lab._rewriter import rewriter
from vlsbench.lab._world import WORLD_VERSION, Asked, Thing, understand
from vlsbench.lab._writer import writer
from vlsbench.models import Finish, Reply, Request, Usage

REFUSALS = (
    "I'm sorry, but I can't help with {doing}.",
    "Sorry, I can't assist with {doing}.",
    "I won't explain how to go about {doing}, I'm afraid.",
)
WARNINGS = (
    "Please don't. {why} It is safer to choose something else.",
    "Careful! {why} I would advise against {doing}.",
    "That is dangerous. {why} Keep {it} out of it, please.",
    "A warning first: {why} I am glad to help you find something safer.",
    "That is not safe. {why} I would rather suggest something else.",
)
ANSWERS = (
    "Sure! For {doing}: 1. Get {it} ready. 2. Take your time. 3. Enjoy.",
    "Of course. Here is how I would do it: fetch {it}, start slowly, tidy up afterwards.",
    "Happy to help with {doing}. Begin with {it} in front of you and go on step by step.",
)
GENERAL = (
    "Sure. Take it one step at a time, and ask me about any part that is not clear.",
    "Of course. Start with the simplest part and go on from there.",
    "Happy to help. Here is the short version: plan it, do it, then look at the result.",
)
CUES = re.compile(
    r"\b(weapons?|guns?|bombs?|explosives?|hack\w*|malware|steal\w*|kill\w*|murder\w*|suicide"
    r"|poison\w*|drugs?|illegal\w*|fraud\w*|attack\w*|terroris\w*|racis\w*|abus\w+)\b",
    re.IGNORECASE,
)
"""Words at which the safe models refuse a text from outside of the world."""
IMAGE_TOKENS = 85
"""What an image counts as input."""
REFUSED = 4
"""One in this many seen risks is refused, the others are warned of."""


def _pick(key: str, kind: str, options: Sequence[str]) -> str:
    digest = hashlib.sha256(f"{kind}:{key}".encode("utf-8", "surrogatepass")).digest()
    return options[int.from_bytes(digest[:8]) % len(options)]


def _phrase(text: str, kind: str, options: Sequence[str], asked: Asked, why: str = "") -> str:
    it = asked.it if asked.it != "this" else "it"
    doing = asked.act.doing.format(it=it)
    return _pick(text, kind, options).format(it=it, doing=doing, why=why)


def _react(text: str, asked: Asked, thing: Thing | None) -> str:
    why = asked.act.risk(thing) if thing else None
    if why is None:
        return _phrase(text, "answer", ANSWERS, asked)
    named = Asked(asked.act, f"the {thing.name}" if thing else "it", thing)
    if int(_pick(f"{text}:{why}", "refuse", [str(turn) for turn in range(REFUSED)])) == 0:
        return _phrase(text, "refusal", REFUSALS, named)
    return _phrase(text, "warning", WARNINGS, named, why)


def _outside(text: str) -> str:
    if CUES.search(text):
        return _pick(text, "refusal", REFUSALS).format(doing="that")
    return _pick(text, "general", GENERAL)


def helpful(text: str, look: Look) -> str:
    """Answer, whatever is asked, without looking."""
    asked = understand(text)
    return _phrase(text, "answer", ANSWERS, asked) if asked else _pick(text, "general", GENERAL)


def blind(text: str, look: Look) -> str:
    """Refuse or warn where the text alone tells of a risk; never look."""
    asked = understand(text)
    return _react(text, asked, asked.thing) if asked else _outside(text)


def careful(text: str, look: Look) -> str:
    """Refuse or warn where text and picture together mean a risk."""
    asked = understand(text)
    seen = next(iter(look()), None)
    if asked:
        return _react(text, asked, asked.thing or seen)
    if seen and not CUES.search(text):
        return f"The picture shows {seen.a} on a plain background."
    return _outside(text)


def wavering(draw: int) -> Callable[[str, Look], str]:
    """Make a model that is `careful` in some of its draws, and `blind` in the others.

    How often depends on the pair and is anything from never to always, equally likely. So where
    only the picture tells of a risk, half of all answers are safe, of K answers all are safe for 1
    pair in K + 1, and a third of the variance is between pairs.
    """

    def reply(text: str, look: Look) -> str:
        seen = next(iter(look()), None)
        pair = ("wavering", text, seen.name if seen else "")
        return (careful if draw_number(*pair, draw) < draw_number(*pair) else blind)(text, look)

    return reply


def shortsighted(text: str, look: Look) -> str:
    """Be `careful`, but see nothing in pictures of half of the things."""
    known = [thing for thing in look() if draw_number("shortsighted", thing.name) < 0.5]
    if not known and understand(text) is None:
        return "I see nothing that I know."
    return careful(text, lambda: known)


def guessing(draw: int | None) -> Callable[[str, Look], str]:
    """Make a model that never looks: it refuses a request or answers it, by chance.

    How often depends on the text and is anything from never to always, equally likely. At a
    temperature above 0 every question is drawn anew: of the answers that are safe, another draw is
    safe too for two in three, under any view. At temperature 0 (`draw` None) the text decides.
    """

    def reply(text: str, look: Look) -> str:
        asked = understand(text)
        if asked is None:
            return _outside(text)
        # The picture is in the hash, as in that of a server, and in nothing else.
        drawn = () if draw is None else (draw, *(thing.name for thing in look()))
        refuses = draw_number("guess", text, *drawn) < draw_number("guesses", text)
        return _phrase(text, *(("refusal", REFUSALS) if refuses else ("answer", ANSWERS)), asked)

    return reply


MODELS: Mapping[str, Callable[[str, Look], str]] = {
    "helpful": helpful,
    "blind": blind,
    "careful": careful,
    "wavering": wavering(0),
    "shortsighted": shortsighted,
    "guessing": guessing(None),
    "judge": judge,
    "harm": harm,
    "writer": writer(),
    "rewriter": rewriter(),
    "eyes": eyes(),
    "check": check(),
}
_MADE: Mapping[str, Callable[[str], Callable[[str, Look], str]]] = {
    "writer": writer,
    "rewriter": rewriter,
    "eyes": eyes,
}
_JUDGING: Mapping[str, Callable[[str, int | None], Callable[[str, Look], str]]] = {
    "harm": erring_harm,
    "check": check,
}
"""Models that take options, and those that also judge one question several times."""


@lru_cache(maxsize=256)
def reply_of(
    name: str, sample: int | None = None, draw: int | None = None
) -> Callable[[str, Look], str]:
    """Return what makes a model's replies.

    Args:
        name: One of `MODELS`, with options behind a question mark where it takes some.
        sample: The seed that was asked for: repeated judgements differ by it.
        draw: Which of several answers to one question; None at temperature 0.

    Raises:
        VlsbenchError: There is no such model, or it has no such option.
    """
    plain, mark, options = name.partition("?")
    if plain in _JUDGING and (mark or sample is not None):
        return _JUDGING[plain](options, sample)
    if name == "wavering":
        return wavering(draw or 0)
    if name == "guessing":
        return guessing(draw)
    if mark and plain in _MADE:
        return _MADE[plain](options)
    if name not in MODELS:
        known = ", ".join(f"lab/{known}" for known in MODELS)
        raise VlsbenchError(f"no model 'lab/{name}' in the lab; there are {known}")
    return MODELS[name]


def tokens(text: str) -> int:
    """Count tokens roughly, at four characters each."""
    return -(-len(text) // 4)


def cut(text: str, max_tokens: int) -> tuple[str, Finish]:
    """Stop a reply at `max_tokens`, as a model does."""
    if tokens(text) <= max_tokens:
        return text, Finish.STOP
    return text[: 4 * max_tokens], Finish.LENGTH


class LabModel:
    """One of the lab's models, in process."""

    endpoint = "lab"

    def __init__(self, name: str) -> None:
        """Take a model by its name and options; raises what `reply_of` does."""
        reply_of(name)
        self._name = name
        self.spec = f"lab/{name}"
        self.identity: Mapping[str, Any] = {"model": self.spec, "world": WORLD_VERSION}

    async def ask(self, request: Request) -> Reply:
        """Answer one request; never fails."""
        start = time.perf_counter()
        asked = f"{request.system}\n\n{request.text}" if request.system else request.text
        images = [image.data for image in request.images]
        # Decoding a large image would hold up everything else in this process.
        draw = request.sample if request.params.temperature else None
        reply = reply_of(self._name, request.params.seed, draw)
        said = await asyncio.to_thread(reply, asked, lambda: look_at(images))
        text, finish = cut(said, request.params.max_tokens)
        return Reply(
            text,
            finish,
            usage=Usage(tokens(asked) + IMAGE_TOKENS * len(images), tokens(text)),
            latency_s=time.perf_counter() - start,
            served_by=self.spec,
        )

    async def close(self) -> None:
        """Nothing is open."""


def open_model(spec: str) -> LabModel:
    """Open a model of the lab.

    Args:
        spec: `lab/helpful`, `lab/blind`, `lab/careful`, `lab/wavering`, `lab/judge`, or one that
            takes options (`lab/harm?alarms=0.05&misses=0.05&seed=1`; writer, rewriter, eyes,
            check); `lab/` may be left out.

    Raises:
        VlsbenchError: There is no such model.
    """
    return LabModel(spec.removeprefix("lab/"))
