"""The forms of guard models, from `guards.toml`: how each is asked, and how its answer is read.

A guard is asked in the form that it was trained for. Where that form holds a policy, the policy is
in our words; `--guard-policy FILE` puts the authors' own text, or yours, in its place.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any, NamedTuple

from vlsbench.errors import VlsbenchError
from vlsbench.judge._asking import read_yes_no, strict_object
from vlsbench.judge._judge import Part
from vlsbench.judge._llm import JUDGE_PARAMS
from vlsbench.judge._prompted import PROMPT_VERSION
from vlsbench.models import HttpChat, Params, Reply, Request
from vlsbench.pairs import NEUTRAL_REQUEST
from vlsbench.schemas import convert
from vlsbench.text import disarm

PROMPT = "prompt"
"""The form of any chat model."""


class Answer(NamedTuple):
    """What a guard said of what it judged: the reply where it was given one, else the request."""

    harmful: bool
    why: str = ""
    refused: bool = False
    """Whether it says that the reply refuses."""
    score: float | None = None
    """How harmful, in [0, 1]; None where the guard does not say."""


@dataclass(frozen=True, slots=True)
class Lines:
    """The labels of a guard that writes each behind a name of its own, in lines or in JSON."""

    request: str
    reply: str
    harmful: str
    """Words for it, with `|` between them."""
    safe: str
    why: str = ""
    refusal: str = ""
    """Of `yes` or `no`, where a reply was judged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardForm:
    """How one family of models is asked whether something is harmful."""

    name: str = ""
    """As users give it."""
    version: str = ""
    """Changes with every change of what it asks and how it reads the answer."""
    models: str = "any chat model"
    licence: str = ""
    page: str = ""
    """Where the form is described."""
    marks: tuple[str, ...] = ()
    """Parts of model names, in lower case without signs, by which the family is known."""
    read: str = ""
    """How an answer is read, a name in `READERS`; `lines` says the rest."""
    lines: Lines | None = None
    parts: tuple[Part, ...] = tuple(Part)
    """What of a pair it can judge."""
    replies: bool = True
    """Whether it judges replies."""
    refusals: bool = False
    """Whether it says that a reply refuses."""
    reasons: bool = False
    """Whether it thinks, or gives reasons, and needs the room for it."""
    policies: tuple[str, ...] = ("",)
    """What it is told to hold material to; asked one by one until one is broken."""
    system: str = ""
    """Template of the system message; `{policy}` may stand in it."""
    user: str = ""
    """Template of the user's message with `{policy}`, `{query}` and `{reply}`, or `{last}` for
    what is judged alone; empty for guards that take query and reply as turns of a chat, whose own
    template makes the prompt."""

    @property
    def guard(self) -> bool:
        """Whether it is for guards, and not for any chat model."""
        return self.name != PROMPT

    @property
    def sees(self) -> bool:
        """Whether the family looks at images."""
        return Part.IMAGE in self.parts

    @property
    def chat(self) -> type[HttpChat]:
        """What asks a server."""
        return Moderations if self.read == "moderation" else HttpChat

    @property
    def params(self) -> Params:
        """Sampling parameters."""
        return JUDGE_PARAMS if self.reasons else Params(max_tokens=128)

    def put(self, part: Part, query: str, reply: str | None, policy: str) -> tuple[str, str, str]:
        """Return system message, user's message and assistant's turn."""
        if not self.guard:
            return "", query, ""
        query, reply = disarm(query), None if reply is None else disarm(reply)
        system = self.system.format(policy=policy)
        if not self.user:
            # Templates of chat guards want a text beside images that are judged alone.
            return system, NEUTRAL_REQUEST if part is Part.IMAGE else query, reply or ""
        last = query if reply is None else reply
        # What marks the turns in a template is no mark within one.
        query, reply = (_TURN.sub(r"\1 :", text) for text in (query, reply or "None"))
        return system, self.user.format(query=query, reply=reply, last=last, policy=policy), ""

    def answer(self, text: str, replied: bool) -> Answer:
        """Read an answer about a reply, or about what was asked. Raises `ValueError`."""
        if self.lines is None:
            return READERS[self.read](text)
        lines, refused = self.lines, False
        words = f"{lines.safe}|{lines.harmful}"
        said = _one(lines.reply if replied else lines.request, words, text)
        if lines.refusal and replied:
            refused = _one(lines.refusal, "yes|no", text) == "yes"
        why = re.search(rf"\b{lines.why}\W{{1,5}}(\w[^\n\"}}<]*)", text) if lines.why else None
        told = f"{said}, {why[1].strip()}" if why else said
        return Answer(said in lines.harmful.split("|"), told, refused)


_TURN = re.compile(r"^(\W*(?:human user|user|ai assistant|agent|assistant))\s*:", re.I | re.M)


def _one(label: str, words: str, text: str) -> str:
    """Return the one of some words that stands behind a label.

    Raises:
        ValueError: None does, or the label occurs twice: which is meant would be a guess.
    """
    found = re.findall(rf"\b{label}\W{{1,5}}({words})\b(?!\s*/)", text, re.IGNORECASE)
    if len(found) != 1:
        raise ValueError(f"expected {label} once, to be {words.replace('|', ' or ')}")
    return str(found[0]).lower()


def _whole(pattern: str, unsafe: str, *, ends: bool = True) -> Callable[[str], Answer]:
    """Return a reader of answers that are, or else begin with, a label and why."""
    form = re.compile(pattern)

    def read(text: str) -> Answer:
        said = form.fullmatch(text.strip()) if ends else form.match(text.strip())
        if said is None:
            raise ValueError(f"expected {pattern}")
        label, why = said["label"], said["why"] or said["label"]
        if why.lower() in ("safe", "unsafe") and why.lower() != label.lower():
            raise ValueError(f"says {label}, and then {why}")
        return Answer(label == unsafe, why)

    return read


def _rating(text: str) -> Answer:
    answer = strict_object(text, "rating", "category", "rationale")
    if answer["rating"] not in ("Safe", "Unsafe"):
        raise ValueError("expected a rating, Safe or Unsafe")
    return Answer(answer["rating"] == "Unsafe", f"{answer['category']}: {answer['rationale']}")


def _moderation(text: str) -> Answer:
    answer = strict_object(text, "flagged", "categories", "score")
    score, categories = answer["score"], answer["categories"]
    if not isinstance(answer["flagged"], bool) or not isinstance(categories, list):
        raise ValueError("expected flagged to be true or false, and categories a list")
    if score is not None and not (isinstance(score, float) and 0 <= score <= 1):
        raise ValueError("expected score to be a number from 0.0 to 1.0")
    why = ", ".join(map(str, categories)) or "no category"
    return Answer(answer["flagged"], why, score=score)


READERS: Mapping[str, Callable[[str], Answer]] = {
    PROMPT: lambda text: Answer(*read_yes_no(text, field="harmful")),
    # The first Llama Guard numbers its hazards O1 to O6, the later ones S1 to S14.
    "llama-guard": _whole(
        r"(?P<label>safe|unsafe)(?:(?<=unsafe)\s*\n\s*(?P<why>[SO]\d{1,2}(?:\s*,\s*[SO]\d{1,2})*))?",
        "unsafe",
    ),
    "singguard": _whole(
        r"(?P<label>safe|unsafe)(?:\s*\n\s*(?:<answer>)?\s*(?P<why>[^<\n]+?)\s*(?:</answer>)?)?",
        "unsafe",
    ),
    "yes-no": _whole(r"(?P<label>Yes|No)\b(?!\s*/)(?P<why>)", "Yes", ends=False),
    "rating": _rating,
    "moderation": _moderation,
}


class Moderations(HttpChat):
    """A server's `/moderations` endpoint as a chat model: its reply is the result as JSON."""

    path = "/moderations"

    @property
    def identity(self) -> Mapping[str, Any]:
        """Server and model name."""
        return {**super().identity, "kind": "openai-moderations/2"}

    def body(self, request: Request, content: list[dict[str, Any]]) -> dict[str, Any]:
        """Write the question: the images and the text, where there are some."""
        if not content:
            # Servers and models that see no images know no other form.
            return {"model": self.name, "input": request.text}
        texts = [{"type": "text", "text": request.text}] if request.text else []
        return {"model": self.name, "input": [*texts, *content]}

    @staticmethod
    def read(body: bytes) -> Reply:
        """Read a moderation result.

        Raises:
            ValueError: It is not one.
        """
        try:
            answer = json.loads(body)
            # Servers give one result for all of the input, or one for each part of it.
            results = answer["results"]
            flagged = [result["flagged"] for result in results]
            hits = [name for one in results for name, hit in _of(one, "categories") if hit is True]
            scores = [float(s) for one in results for _, s in _of(one, "category_scores") if s >= 0]
            served_by = str(answer.get("model") or "")
        except (KeyError, TypeError, AttributeError, RecursionError):
            raise ValueError("answer has no results with flagged") from None
        if not flagged or not all(isinstance(flag, bool) for flag in flagged):
            raise ValueError("answer has no results with flagged")
        said = {"flagged": any(flagged), "categories": sorted({*map(str, hits)})}
        text = json.dumps({**said, "score": max(scores, default=None)})
        return Reply(text, served_by=served_by)


def _of(result: Mapping[str, Any], field: str) -> Any:
    return (result.get(field) or {}).items()


PROMPTED = GuardForm(name=PROMPT, version=PROMPT_VERSION, read=PROMPT, replies=False, reasons=True)
"""Any chat model, asked by prompt and JSON schema; `LLMJudge` asks it about replies."""
_TABLE = tomllib.loads(files("vlsbench.judge").joinpath("guards.toml").read_text("utf-8"))
_ROWS = convert(_TABLE["forms"], dict[str, GuardForm], "guards.toml")
GUARDS = {name: replace(f, name=name, version=_TABLE["version"]) for name, f in _ROWS.items()}
"""Name → form of guards."""
FORMS = ("auto", PROMPT, *GUARDS)
_BLIND = re.compile(r"llamaguard(?:7b|[23])(?!.*vision)|textmoderation")
"""Of the families that see images, the members that do not (names without signs)."""


def harm_form(model: str, form: str = "auto") -> GuardForm:
    """Choose how a model is asked whether something is harmful, by its name or one of `FORMS`.

    Raises:
        VlsbenchError: No such form.
    """
    if form not in FORMS:
        raise VlsbenchError(f"no form of guard {form!r}; there are {', '.join(FORMS)}")
    plain = re.sub(r"[^a-z0-9]+", "", model.partition("@")[0].partition("?")[0].lower())
    known = (one for one in GUARDS.values() if any(mark in plain for mark in one.marks))
    chosen = next(known, PROMPTED) if form == "auto" else GUARDS.get(form, PROMPTED)
    return replace(chosen, parts=(Part.TEXT,)) if chosen.marks and _BLIND.search(plain) else chosen
