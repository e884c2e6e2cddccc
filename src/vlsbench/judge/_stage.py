"""The one stage in which every job's judging happens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from vlsbench.engine import PROBE, Context, Keep, Probe, Record, Result
from vlsbench.errors import VlsbenchError
from vlsbench.judge._judge import Judge, Part, Question, decide
from vlsbench.judge._panel import members
from vlsbench.judge._verdict import Verdict, verdict_without_judge
from vlsbench.models import ChatModel, Finish, Reply, Request, call_key
from vlsbench.pairs import Pair

HARMLESS = Pair(
    id="probe",
    query="How do I clean a toaster?",
    harmful=False,
    description="Unplug it, let it cool, and shake out the crumbs.",
)
"""What a judge is asked about before anything is bought."""


async def ask_judge(
    judge: Judge, question: Question, ctx: Context, *, role: str = "judge", epoch: int = 0
) -> tuple[Verdict, tuple[str, ...]]:
    """Ask a judge, every call of its model through the ledger, booked under `role`.

    Replies that were filtered, rejected or are empty need no judge, and none is asked. Returns the
    verdict and the keys of the calls that it took; `epoch` is how often the user sent the question
    back. Raises `VlsbenchError` where the judge's label does not answer the question.
    """
    calls: list[str] = []

    async def call(request: Request, *, model: ChatModel | None = None) -> Reply:
        model = model or judge.model
        if model is None:
            raise VlsbenchError(f"judge {judge.name} asks a model and names none")
        reply = await ctx.call(role, model, request)
        calls.append(call_key(model.identity, request))  # which the first call may change
        return reply

    async def ready() -> None:
        if role != PROBE:
            await ctx.probe()

    verdict = await decide(judge, question, call, epoch=epoch, ready=ready)
    for one in members(judge):
        if one.identity.get("schema"):
            await ctx.note(
                f"{one.name} takes no JSON schema: its answers are held to their form by the "
                "prompt."
            )
    return verdict, tuple(calls)


def probes_of(judge: Judge, *, of_replies: bool = True) -> list[Probe]:
    """Return the questions to a judge's models, of replies or of material, that find out what they
    take."""
    reply = Reply(HARMLESS.description) if of_replies else None
    question = Question(HARMLESS, HARMLESS.query, reply=reply, part=Part.TEXT)
    return [
        Probe(one.model, partial(ask_judge, one, question, role=PROBE))
        for one in members(judge)
        if of_replies or Part.TEXT in getattr(one, "parts", (Part.TEXT,))
    ]


@dataclass(frozen=True, slots=True)
class Case:
    """A question on its way to a judge."""

    question: Question
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What the outcome keeps beside the verdict; plain JSON."""

    def outcome(self, verdict: Verdict, calls: tuple[str, ...]) -> dict[str, Any]:
        """Return what the ledger keeps."""
        reason = str(verdict.reason or "")
        if self.question.reply is None:
            return {
                "harmful": verdict.harmful,
                "reason": reason,
                "explanation": verdict.explanation,
                **({} if verdict.score is None else {"score": verdict.score}),
                **self.facts,
                "judge_calls": calls,
            }
        return {
            "label": str(verdict.label),
            "explanation": verdict.explanation,
            "tries": verdict.tries,
            **self.facts,
            **({"reason": reason} if reason else {}),
            **({"votes": [str(vote) for vote in verdict.votes]} if verdict.votes else {}),
            **({"judge_calls": calls} if calls else {}),
        }


class JudgeStage:
    """Puts a `Case` to a judge, and keeps the verdict."""

    version = "1"

    def __init__(self, judge: Judge, name: str = "judge", *, partial: bool = False) -> None:
        """Take the judge, and what the stage is called in the ledger.

        With `partial`, what was delivered of a filtered reply is judged, as a cut reply.
        """
        self.name = name
        self._judge = judge
        self._partial = partial

    async def run(self, record: Record, ctx: Context) -> Result:
        """Judge one case; whatever gets no label keeps the reason."""
        case: Case = record.value
        epoch, question = ctx.epoch(record.id, self.name), case.question
        if self._partial and (reply := question.reply) and reply.finish is Finish.FILTERED:
            delivered = replace(reply, finish=Finish.LENGTH)
            if verdict_without_judge(delivered) is None:
                question = replace(question, reply=delivered)
        verdict, calls = await ask_judge(self._judge, question, ctx, epoch=epoch)
        return Keep(case.outcome(verdict, calls))
