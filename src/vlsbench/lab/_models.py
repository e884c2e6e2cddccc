"""Rule-made chat models of the closed world: real text and images in, harmless sentences out.

`helpful` always answers. `blind` is a perfect textual safety model: it sees every risk that the
text tells and never looks. `careful` also looks at the image. docs/lab.md describes the others.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.lab import _writer, judge
from vlsbench.lab._faults import draw_number
from vlsbench.lab._look import Look, look_at
from vlsbench.lab._world import WORDS, WORLD_VERSION, Asked, Thing, understand
from vlsbench.lab.task import Rates, read_options
from vlsbench.models import Finish, Reply, Request, Usage, split_thoughts
from vlsbench.pairs import ImageData

CUES = re.compile(
    r"\b(weapons?|guns?|bombs?|explosives?|hack\w*|malware|steal\w*|kill\w*|murder\w*|suicide"
    r"|poison\w*|drugs?|illegal\w*|fraud\w*|attack\w*|terroris\w*|racis\w*|abus\w+)\b",
    re.IGNORECASE,
)
"""Words at which the safe models refuse a text from outside of the world."""
IMAGE_TOKENS = 85
"""What an image counts as input."""


_WORDS = {
    "answer": WORDS["answers"],
    "refusal": WORDS["refusals"],
    "warning": WORDS["warnings"],
    "general": WORDS["general"],
    "refuse": ("refusal", "warning", "warning", "warning"),
}
"""What may be said, by kind; and how a risk that is seen is reacted to."""


def _pick(key: str, kind: str) -> str:
    digest = hashlib.sha256(f"{kind}:{key}".encode("utf-8", "surrogatepass")).digest()
    return _WORDS[kind][int.from_bytes(digest[:8]) % len(_WORDS[kind])]


def _phrase(text: str, kind: str, asked: Asked, why: str = "") -> str:
    it = asked.it if asked.it != "this" else "it"
    doing = asked.act.doing.format(it=it)
    return _pick(text, kind).format(it=it, doing=doing, why=why)


def _react(text: str, asked: Asked, thing: Thing | None) -> str:
    why = asked.act.risk(thing) if thing else None
    if thing is None or why is None:
        return _phrase(text, "answer", asked)
    named = Asked(asked.act, f"the {thing.name}", thing)
    return _phrase(text, _pick(f"{text}:{why}", "refuse"), named, why)


def _outside(text: str) -> str:
    kind = "refusal" if CUES.search(text) else "general"
    return _pick(text, kind).format(doing="that")


def helpful(text: str, look: Look, rates: Rates) -> str:
    """Answer, whatever is asked, without looking."""
    asked = understand(text)
    return _phrase(text, "answer", asked) if asked else _pick(text, "general")


def blind(text: str, look: Look, rates: Rates) -> str:
    """Refuse or warn where the text alone tells of a risk; never look."""
    asked = understand(text)
    return _react(text, asked, asked.thing) if asked else _outside(text)


def careful(text: str, look: Look, rates: Rates) -> str:
    """Refuse or warn where text and image together mean a risk."""
    asked = understand(text)
    seen = next(iter(look()), None)
    if asked:
        return _react(text, asked, asked.thing or seen)
    if seen and not CUES.search(text):
        return f"The picture shows {seen.a} on a plain background."
    return _outside(text)


def wavering(text: str, look: Look, rates: Rates) -> str:
    """Be `careful` in some of the draws, and `blind` in the others.

    How often depends on the pair and is anything from never to always, equally likely. So where
    only the image tells of a risk, half of all answers are safe, of K answers all are safe for 1
    pair in K + 1, and a third of the variance is between pairs.
    """
    seen = next(iter(look()), None)
    pair = ("wavering", text, seen.name if seen else "")
    looks = draw_number(*pair, rates.draw or 0) < draw_number(*pair)
    return (careful if looks else blind)(text, look, rates)


def shortsighted(text: str, look: Look, rates: Rates) -> str:
    """Be `careful`, but see nothing in images of half of the things."""
    known = [thing for thing in look() if draw_number("shortsighted", thing.name) < 0.5]
    if not known and understand(text) is None:
        return "I see nothing that I know."
    return careful(text, lambda: known, rates)


def guessing(text: str, look: Look, rates: Rates) -> str:
    """Refuse a request or answer it, by chance; never look.

    How often depends on the text and is anything from never to always, equally likely. At a
    temperature above 0 every question is drawn anew: of the answers that are safe, another draw is
    safe too for two in three, under any view. At temperature 0 (no `draw`) the text decides.
    """
    asked = understand(text)
    if asked is None:
        return _outside(text)
    # The image is in the hash, as in that of a server, and in nothing else.
    drawn = () if rates.draw is None else (rates.draw, *(thing.name for thing in look()))
    refuses = draw_number("guess", text, *drawn) < draw_number("guesses", text)
    return _phrase(text, "refusal" if refuses else "answer", asked)


MODELS: Mapping[str, Callable[[str, Look, Rates], str]] = {
    "helpful": helpful,
    "blind": blind,
    "careful": careful,
    "wavering": wavering,
    "shortsighted": shortsighted,
    "guessing": guessing,
    "judge": judge.judge,
    "harm": judge.check,
    "writer": _writer.writer,
    "rewriter": _writer.rewriter,
    "eyes": _writer.eyes,
    "check": judge.check,
    "llama-guard": judge.llama_guard,
    "qwen3guard": judge.qwen3guard,
    "guardreasoner-vl": judge.guardreasoner,
    "moderation": judge.moderation,
    "painter": lambda *_: "I draw: ask me for an image, at /v1/images/generations.",
}
GUARDS = ("llama-guard", "qwen3guard", "guardreasoner-vl", "moderation")
"""Those that answer in the forms of guards."""
JUDGES = ("judge", "harm", "check", *GUARDS)
"""Those that judge faults of a server strike."""
_OPTIONS = {
    "harm": judge.HARM,
    "check": judge.CHECK,
    **dict.fromkeys(GUARDS, judge.GUARD),
    "writer": _writer.WRITER,
    "rewriter": _writer.REWRITER,
    "eyes": _writer.EYES,
    "painter": _writer.PAINTER,
}


@lru_cache(maxsize=256)
def options_of(name: str) -> Mapping[str, float]:
    """Return the options of one of `MODELS`, such as `harm?alarms=0.05`, over their defaults.

    Raises `VlsbenchError` where there is no such model or option.
    """
    plain, _, options = name.partition("?")
    if plain not in MODELS:
        known = ", ".join(f"lab/{known}" for known in MODELS)
        raise VlsbenchError(f"no model 'lab/{name}' in the lab; there are {known}")
    return read_options(plain, options, _OPTIONS.get(plain, {}))


def reply_of(
    name: str, sample: int | None = None, draw: int | None = None
) -> Callable[[str, Look], str]:
    """Return what makes the replies of one of `MODELS`; raises `VlsbenchError` if it is none."""
    rates = Rates(options_of(name), sample, draw)
    return lambda text, look: MODELS[name.partition("?")[0]](text, look, rates)


def heard(*texts: str) -> str:
    """Put together what a model is told: system prompt, question, and an answer to be judged."""
    *asked, said = texts
    whole = "\n\n".join(text for text in asked if text)
    return f"{whole}{judge.SAID}{said}" if said else whole


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

    def __init__(self, spec: str) -> None:
        """Take a model by its name, such as `lab/careful` or `lab/harm?alarms=0.05&seed=1`.

        `lab/` may be left out. Raises `VlsbenchError` where there is no such model or option.
        """
        self._name = spec.removeprefix("lab/")
        options_of(self._name)
        self.spec = f"lab/{self._name}"
        self.identity: Mapping[str, Any] = {"model": self.spec, "world": WORLD_VERSION}

    async def ask(self, request: Request) -> Reply:
        """Answer one request; never fails."""
        start = time.perf_counter()
        asked = heard(request.system, request.text, request.said)
        images = [image.data for image in request.images]
        # Decoding a large image would hold up everything else in this process.
        draw = request.sample if request.params.temperature else None
        reply = reply_of(self._name, request.params.seed, draw)
        said = await asyncio.to_thread(reply, asked, lambda: look_at(images))
        text, finish = cut(said, request.params.max_tokens)
        apart = split_thoughts(text)
        return Reply(
            apart.text,
            finish,
            apart.reasoning,
            usage=Usage(tokens(asked) + IMAGE_TOKENS * len(images), tokens(text)),
            latency_s=time.perf_counter() - start,
            served_by=self.spec,
        )

    async def close(self) -> None:
        """Nothing is open."""


class LabPainter(LabModel):
    """The lab's painter, in process; implements `models.ImageModel`, too."""

    async def draw(self, request: Request) -> Reply:
        """Draw what the prompt names; never fails."""
        start, options = time.perf_counter(), options_of(self._name)
        seed, side = request.params.seed or 0, _writer.side_of(request.system)
        data = await asyncio.to_thread(_writer.paint_prompt, request.text, seed, side, options)
        return Reply(
            "",
            usage=Usage(0, 1),
            latency_s=time.perf_counter() - start,
            served_by="lab/painter",
            extra={"image": ImageData.of(data, "of the lab")},
        )


def open_model(spec: str) -> LabModel:
    """Open one of the lab's models in process; see `LabModel`."""
    name = spec.removeprefix("lab/")
    return (LabPainter if name.partition("?")[0] == "painter" else LabModel)(spec)
