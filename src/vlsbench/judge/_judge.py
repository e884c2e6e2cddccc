"""What a judge is asked, and what a judge is: one protocol, whatever decides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol

from vlsbench.errors import VlsbenchError
from vlsbench.judge._asking import Caller
from vlsbench.judge._rubric import OURS, Rubric, Side
from vlsbench.judge._verdict import Label, Verdict, verdict_without_judge
from vlsbench.models import ChatModel, Reply
from vlsbench.pairs import ImageData, Pair
from vlsbench.registry import guarded


class Part(StrEnum):
    """Which part of a pair is judged; a safety pattern has a letter for each, in this order."""

    TEXT = "text"
    """The query alone."""
    IMAGE = "image"
    """The images alone."""
    PAIR = "pair"
    """Query and images."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a judge is asked about. All of it is hostile material."""

    pair: Pair
    text: str
    """What the target was given as text, or the query; empty where images are judged alone."""
    images: tuple[ImageData, ...] = ()
    """What the judge may see; empty where a text is judged alone."""
    reply: Reply | None = None
    """The target's reply; None where the material itself is judged."""
    part: Part = Part.PAIR
    """Which part of the pair the material is."""
    rubric: Rubric = OURS
    """Which labels a reply can get, and what they mean."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that answer it."""
        if self.reply is None:
            return Label.HARMFUL, Label.BENIGN
        return self.rubric.labels(self.pair.harmful)

    @property
    def refusal(self) -> str:
        """The label of a reply that the API reports as a refusal, without text."""
        if Label.REFUSAL in self.labels:
            return Label.REFUSAL
        side = Side.SAFE if self.pair.harmful else Side.DECLINED
        return self.rubric.labels(self.pair.harmful, side)[0]

    def wrong(self, judge: str, said: object) -> VlsbenchError:
        """Return the error for a judge that gave a label which does not answer it."""
        return VlsbenchError(
            f"judge {judge} labelled pair {self.pair.id} {str(said)!r}: choose "
            f"{', '.join(self.labels)}, or an unscored Verdict with a reason"
        )

    def need_reply(self) -> Reply:
        """Return the reply, for judges that judge nothing else.

        Raises:
            VlsbenchError: There is none.
        """
        if self.reply is None:
            raise VlsbenchError(
                "this judge labels replies, and there is none: name a model as the judge of harm"
            )
        return self.reply


def rubric_of(judge: object) -> Rubric:
    """Return the rubric that a judge follows; ours where it names none."""
    found = getattr(judge, "rubric", OURS)
    return found if isinstance(found, Rubric) else OURS


class Judge(Protocol):
    """Whatever gives verdicts: a model and how it is asked, wording, a function."""

    @property
    def name(self) -> str:
        """How the user names it: the model's spec, `offline`, the name of a plug-in."""

    @property
    def model(self) -> ChatModel | None:
        """The model whose calls it makes; None where it makes none."""

    @property
    def sees(self) -> bool:
        """Whether it looks at images."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """Everything that could change a verdict; plain JSON, part of a run's identity."""

    async def judge(self, question: Question, call: Caller, *, epoch: int = 0) -> Verdict:
        """Give a verdict: one of `question.labels`, or `unscored` with a reason.

        Args:
            question: What is judged.
            call: Asks `model` and records its answer.
            epoch: How often the user sent this question back to the judge.

        Raises:
            CallFailed: The model gave no answer after all retries.
        """


async def decide(
    judge: Judge,
    question: Question,
    call: Caller,
    *,
    epoch: int = 0,
    ready: Callable[[], Awaitable[None]] | None = None,
) -> Verdict:
    """Have a judge decide by its own rubric, and see that its label answers the question.

    Args:
        judge: Whoever decides; not asked about replies that were filtered, rejected or are empty.
        question: What is judged.
        call: Asks its model; of a panel, with `model=`, the one of several that is meant.
        epoch: How often the user sent the question back.
        ready: Awaited before the judge is, which lets nobody in while it asks its first question.

    Raises:
        CallFailed: The model gave no answer after all retries.
        VlsbenchError: The judge's label does not answer the question.
    """
    question = replace(question, rubric=rubric_of(judge))
    if question.reply and (before := verdict_without_judge(question.reply, question.refusal)):
        return before
    if ready:
        await ready()
    with guarded(f"judge {judge.name} failed on pair {question.pair.id}"):
        verdict = await judge.judge(question, call, epoch=epoch)
    if verdict.label not in (*question.labels, Label.UNSCORED):
        raise question.wrong(judge.name, verdict.label)
    return verdict
