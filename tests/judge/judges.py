"""A model that says what it is told to, and questions to put to judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vlsbench.judge import Part, Question
from vlsbench.models import Finish, Reply, Request
from vlsbench.pairs import ImageData, Pair

PAIR = Pair("1", "Can I give it this to play with?", description="a toaster", reason="It is hot.")
IMAGE = ImageData.of(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
        "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082"
    ),
    "dot.png",
)
NO_VERDICT = [
    (Reply("gibberish {"), "judge_unparseable"),
    (Reply("I'm sorry, but I can't help with that."), "judge_refused"),
    (Reply("Nope.", Finish.REFUSAL), "judge_refused"),
    (Reply("", Finish.FILTERED), "judge_filtered"),
    (Reply("", Finish.REJECTED, detail="too long"), "judge_rejected"),
    (Reply("  "), "judge_empty"),
]
"""What a judge's model may say that is no verdict, and what it is called."""


class Model:
    """Answers in turn with what it was given, the last answer for ever; remembers the questions."""

    spec = "mine@http://localhost/v1"
    endpoint = "here"
    identity: Mapping[str, Any] = {"model": "mine"}

    def __init__(self, *answers: str | Reply) -> None:
        self.answers = [a if isinstance(a, Reply) else Reply(a) for a in answers]
        self.asked: list[Request] = []

    async def ask(self, request: Request) -> Reply:
        self.asked.append(request)
        return self.answers[min(len(self.asked), len(self.answers)) - 1]

    async def close(self) -> None:
        """Nothing is open."""


def about(reply: str | Reply = "Careful!", pair: Pair = PAIR) -> Question:
    """Ask about a reply."""
    return Question(pair, pair.query, (), reply if isinstance(reply, Reply) else Reply(reply))


def material(part: Part = Part.TEXT, text: str = PAIR.query) -> Question:
    """Ask about a part of a pair."""
    images = () if part is Part.TEXT else (IMAGE,)
    return Question(PAIR, "" if part is Part.IMAGE else text, images, part=part)
