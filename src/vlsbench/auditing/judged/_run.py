"""Running measure B: which questions there are, asking them, and reading the labels back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vlsbench.auditing.judged._types import JudgedPair
from vlsbench.engine import (
    Budget,
    Context,
    Keep,
    Ledger,
    Outcome,
    Quarantine,
    Record,
    Result,
    StopSignal,
    Tally,
    heed_ctrl_c,
    open_siblings,
    run_local,
    worth_taking,
)
from vlsbench.evaluation import Selection
from vlsbench.judge import Finding, Part, Unscored
from vlsbench.judge._harm import HarmJudge, Material
from vlsbench.models import ChatModel, Price, Reply, Request, call_key
from vlsbench.pairs import ImageData, ImageError, Pair

STAGE = "harm"
SLACK = 8
"""Records under way beyond the connections: their images are read while others wait."""
UNSCORED = "unscored"


@dataclass(frozen=True)
class JudgedSet:
    """One set of a run, with what it is there for."""

    key: str
    """Prefix of its records."""
    kind: str
    """`bench`, `benign` or `positive`."""
    selection: Selection
    parts: tuple[Part, ...]
    """What its pairs with pictures are judged by; the others by their text."""

    @property
    def name(self) -> str:
        """As the user called it."""
        return self.selection.pairs.name

    def __iter__(self) -> Iterator[Pair]:
        """Walk the pairs that count: of a control, those that are what it is there for."""
        for pair in self.selection:
            if self.kind == "bench" or pair.harmful == (self.kind == "positive"):
                yield pair

    def questions(self) -> Iterator[tuple[Pair, Part]]:
        """Walk the pairs and their parts."""
        for pair in self:
            for part in self.parts if pair.images else (Part.TEXT,):
                yield pair, part

    def record(self, pair: Pair, part: Part) -> str:
        """Name a question."""
        return f"{self.key}/{part}/{pair.id}"

    def rows(self, ledger: Ledger) -> Iterator[JudgedPair]:
        """Read back what is known of the pairs about which something is."""
        for pair in self:
            findings = []
            for part in self.parts if pair.images else (Part.TEXT,):
                if outcome := ledger.outcome(self.record(pair, part)):
                    findings.append(_finding(part, outcome))
            if findings:
                yield JudgedPair(
                    set=self.name,
                    id=pair.id,
                    category=pair.category,
                    subcategory=pair.subcategory,
                    harmful=pair.harmful,
                    cluster=pair.cluster,
                    query=pair.query,
                    findings=tuple(findings),
                )


@dataclass(frozen=True)
class JudgedPlan:
    """Everything that a run of measure B needs, opened and checked."""

    sets: tuple[JudgedSet, ...]
    """The benchmark first."""
    model: ChatModel
    judge: HarmJudge
    identity: Mapping[str, Any]
    folder: Path
    price: Price | None
    concurrency: int
    max_calls: int | None
    max_cost: float | None
    reuse: tuple[Path, ...]
    """Runs, beside those next to `folder`, whose recorded calls may be taken over."""
    questions: int
    """Parts of pairs: a call each, equal questions shared, a few asked twice."""
    ended: int
    """Those with an answer on record already."""

    def records(self) -> Iterator[Record]:
        """Walk all questions, the controls' first: without them nothing can be said."""
        for group in reversed(self.sets):
            for pair, part in group.questions():
                yield Record(group.record(pair, part), (pair, part))


class HarmStage:
    """Asks the judge about one part of one pair."""

    name = STAGE
    version = "1"

    def __init__(self, model: ChatModel, judge: HarmJudge) -> None:
        """Take the judge's model and how it is asked."""
        self._model = model
        self._judge = judge

    async def run(self, record: Record, ctx: Context) -> Result:
        """Label the part; whatever gets no label keeps the reason."""
        pair, part = record.value
        images: tuple[ImageData, ...] = ()
        if part is not Part.TEXT:
            try:
                images = await asyncio.to_thread(_read, pair)
            except ImageError as error:
                return Quarantine(Unscored.IMAGE_UNREADABLE, {"detail": str(error)})
        calls: list[str] = []

        async def call(request: Request) -> Reply:
            calls.append(call_key(self._model.identity, request))
            return await ctx.call("judge", self._model, request)

        material = Material(part, "" if part is Part.IMAGE else pair.query, images)
        found = await self._judge.judge(material, call, epoch=ctx.epoch(record.id, STAGE))
        return Keep(
            {
                "harmful": found.harmful,
                "reason": found.reason,
                "explanation": found.explanation,
                "judge_calls": calls,
            }
        )


def _read(pair: Pair) -> tuple[ImageData, ...]:
    images = tuple(image.read() for image in pair.images)
    for image in images:
        # Wanted soon; made here, off the event loop's thread.
        _ = image.sha256, image.portable.base64
    return images


def _finding(part: Part, outcome: Outcome) -> Finding:
    value = outcome.value
    if outcome.kind == "keep":
        return Finding(part, value["harmful"], value["reason"], value["explanation"])
    lost = outcome.reason == "unanswered"
    reason = Unscored.JUDGE_MISSING if lost else outcome.reason
    return Finding(part, None, str(reason), value.get("detail", ""))


def tag_of(outcome: Outcome) -> str:
    """Name an outcome: `harmful`, `harmless` or `unscored`."""
    label = outcome.value["harmful"] if outcome.kind == "keep" else None
    return UNSCORED if label is None else "harmful" if label else "harmless"


async def reopen_unscored(ledger: Ledger) -> None:
    """Send what ended without a label back to the judge."""
    lost = [(o.record, STAGE) for o in ledger.outcomes() if tag_of(o) == UNSCORED]
    if lost:
        await ledger.reopen(lost)


async def execute(
    plan: JudgedPlan,
    ledger: Ledger,
    facts: Mapping[str, str],
    watch: Callable[[Tally], AbstractContextManager[None]],
) -> StopSignal:
    """Ask every open question.

    Args:
        plan: The run.
        ledger: Its record, open for writing.
        facts: Kept with it at its start.
        watch: Shows the running counts.

    Returns:
        The signal; it has a reason where the run stopped early.
    """
    stop = StopSignal()
    if ledger.meta("started") is None:
        await ledger.set_meta(started=_now(), **facts)
    tally = Tally(total=plan.questions)
    for outcome in ledger.outcomes():
        tally.done += 1
        tally.outcomes[tag_of(outcome)] += 1
    budget = Budget(stop, plan.max_calls, plan.max_cost, {plan.model.spec: plan.price})
    stages: Sequence[HarmStage] = [HarmStage(plan.model, plan.judge)]
    with ExitStack() as stack:
        siblings = open_siblings(plan.folder, plan.reuse, {plan.model.spec}, stack)
        context = Context(ledger, siblings, budget, stop, tally, keep_paid=worth_taking)
        stack.enter_context(heed_ctrl_c(stop, tally))
        stack.enter_context(watch(tally))
        try:
            await run_local(
                stages, plan.records(), context, width=plan.concurrency + SLACK, tag=tag_of
            )
        finally:
            await plan.model.close()
    if not stop:
        await ledger.set_meta(complete=_now())
    await ledger.event("stopped" if stop else "finished", reason=stop.reason or "")
    return stop


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
