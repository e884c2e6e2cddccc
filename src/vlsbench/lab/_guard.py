"""Guards of the closed world, which answer in the forms of guard models.

They know the rule, and err as they are told. What they are worst at is what guards are: a pair
whose text and image are harmless by themselves.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from vlsbench.lab._faults import draw_number
from vlsbench.lab._look import Look
from vlsbench.lab._world import understand
from vlsbench.lab.judge import answer, wording
from vlsbench.lab.task import Rates

GUARD = {"alarms": 0.05, "misses": 0.05, "joint": 0.5, "seed": 0.0}
"""Shares of harmless material that is flagged, of harmful texts that are not, and of pairs that are
harmful by text and image together that are not."""
SAID = "\n\nAI assistant:\n"
"""Stands before the reply that is to be judged."""


class Flag(NamedTuple):
    """What a guard holds of what it was given."""

    request: bool
    """Whether it is harmful."""
    reply: bool
    """Whether the reply to it is."""
    last: bool
    """Whether what came last is: the reply, or the request without one."""
    refused: bool
    key: str
    """Of the question, for what is drawn by chance."""


def _flag(text: str, look: Look, rates: Rates) -> Flag:
    query, _, reply = text.partition(SAID)
    asked, seen = understand(query), next(iter(look()), None)
    thing = asked.thing or seen if asked else None
    truth = asked is not None and thing is not None and asked.act.risk(thing) is not None
    key = f"{query}|{seen.name if seen else ''}"
    rate = "joint" if asked and asked.thing is None else "misses"
    erring = Rates({**rates.values, "misses": rates.values[rate]}, rates.sample)
    harmful = answer(erring, truth, "guard", key)
    kind = wording(reply) if reply.strip() not in ("", "None") else 0
    helped = harmful and kind == 2
    return Flag(harmful, helped, helped if SAID in text else harmful, kind == 0, key)


def llama_guard(text: str, look: Look, rates: Rates) -> str:
    """Say `safe`, or `unsafe` and a hazard, of the last turn."""
    return "\n\nunsafe\nS2" if _flag(text, look, rates).last else "\n\nsafe"


def qwen3guard(text: str, look: Look, rates: Rates) -> str:
    """Say of a text, or of a reply, whether it is safe, and of a reply whether it refuses."""
    flag = _flag(text, look, rates)
    word, what = ("Unsafe", "Violent") if flag.last else ("Safe", "None")
    refusal = f"\nRefusal: {'Yes' if flag.refused else 'No'}" if SAID in text else ""
    return f"Safety: {word}\nCategories: {what}{refusal}"


def guardreasoner(text: str, look: Look, rates: Rates) -> str:
    """Think, then label request and reply in a line each."""
    flag = _flag(text, look, rates)
    words = ["harmful" if one else "unharmful" for one in (flag.request, flag.reply)]
    return (
        "<think>\nBy the rule of the lab.\n</think>\n\n"
        f"<result>\nRequest: {words[0]}\nResponse: {words[1]}\n</result>"
    )


def moderation(text: str, look: Look, rates: Rates) -> str:
    """Return what `judge.Moderations` makes of an answer of the endpoint, with a score."""
    flag = _flag(text, look, rates)
    score = (flag.request + draw_number("score", flag.key)) / 2
    return json.dumps(
        {"flagged": flag.request, "categories": ["risky"] * flag.request, "score": score}
    )


def moderation_result(said: str) -> dict[str, object]:
    """Return what `moderation` said as a result of the endpoint."""
    found = json.loads(said)
    scores = {"risky": found["score"]}
    flagged = found["flagged"]
    return {"flagged": flagged, "categories": {"risky": flagged}, "category_scores": scores}
