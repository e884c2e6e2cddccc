"""Running measure B: which questions there are, asking them, and reading the labels back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench.auditing.judged._figures import Finding, JudgedPair
from vlsbench.engine import (
    Context,
    CostBudget,
    Flow,
    Job,
    Keep,
    Ledger,
    Outcome,
    Quarantine,
    Record,
    Result,
)
from vlsbench.evaluation import Output, Selection, tokens_of_images
from vlsbench.judge import Case, Judge, JudgeStage, Part, Question, Unscored
from vlsbench.models import Price, text_tokens
from vlsbench.pairs import ImageData, ImageError, Pair, View

STAGE = "harm"
UNSCORED = "unscored"
SAMPLE = 100
"""Questions whose length stands for all in an estimate."""
PROMPT_TOKENS, ANSWER_TOKENS = 400, 80
"""Roughly, beside the material."""


@dataclass(frozen=True)
class JudgedSet:
    """One set of a run, with what it is there for."""

    key: str
    """Prefix of its records."""
    kind: str
    """`bench`, `benign` or `positive`."""
    selection: Selection
    parts: tuple[Part, ...]
    """What its pairs with images are judged by; the others by their text."""

    @property
    def name(self) -> str:
        """As the user called it."""
        return self.selection.pairs.name

    def __iter__(self) -> Iterator[Pair]:
        """Walk the pairs that count: of a control, those that are what it is there for."""
        for pair in self.selection:
            if self.kind == "bench" or pair.harmful == (self.kind == "positive"):
                yield pair

    def content(self) -> tuple[str, Mapping[str, str]]:
        """Return what identifies the images and notes that are read; see `Selection.content`."""
        return self.selection.content(View.FULL if Part.PAIR in self.parts else View.TEXT)

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
    judge: Judge
    identity: Mapping[str, Any]
    folder: Path
    price: Price | None
    concurrency: int
    budget: CostBudget
    output: Output
    questions: int
    """Parts of pairs: a call each, equal questions shared, a few asked twice."""
    ended: int
    """Those with an answer on record already."""

    def cost(self) -> float | None:
        """Estimate what the open questions cost in US dollars; None where the price is unknown."""
        if self.judge.model is None:
            return 0.0
        if self.price is None:
            return None
        total = 0.0
        for group in self.sets:
            sample = list(islice(group.questions(), SAMPLE))
            tokens = sum(_tokens(pair, part) for pair, part in sample) / len(sample)
            each = tokens * self.price.input + ANSWER_TOKENS * self.price.output
            total += each * sum(1 for _ in group.questions()) / 1e6
        return total * (self.questions - self.ended) / self.questions

    def job(self) -> Job:
        """Return the job that asks every open question."""
        models = (self.judge.model,) if self.judge.model else ()
        return Job(
            identity=self.identity,
            facts={
                "bench": self.sets[0].name,
                "view": "judged",
                "model": self.judge.name,
                "judge": self.judge.name,
                "pairs": str(self.questions),
                "files": json.dumps({k: v for s in self.sets for k, v in s.content()[1].items()}),
            },
            steps=(Flow((MaterialStage(), JudgeStage(self.judge, STAGE)), self.records),),
            models=models,
            prices={model.spec: self.price for model in models},
            budget=self.budget,
            concurrency=self.concurrency,
            total=self.questions,
            tag=tag_of,
            left_out=self.sets[0].selection.all_left_out,
            reuse=self.output.reuse,
            progress=self.output.progress,
        )

    def records(self) -> Iterator[Record]:
        """Walk all questions, the controls' first: without them nothing can be said."""
        for group in reversed(self.sets):
            for pair, part in group.questions():
                yield Record(group.record(pair, part), (pair, part))


def _tokens(pair: Pair, part: Part) -> int:
    images = () if part is Part.TEXT else pair.images
    return PROMPT_TOKENS + text_tokens(len(pair.query)) + tokens_of_images(images)


class MaterialStage:
    """Reads what the judge is asked about; `JudgeStage` asks."""

    name = "material"
    version = "1"

    async def run(self, record: Record, ctx: Context) -> Result:
        """Gather one part of one pair."""
        pair, part = record.value
        images: tuple[ImageData, ...] = ()
        if part is not Part.TEXT:
            try:
                images = await asyncio.to_thread(_read, pair)
            except ImageError as error:
                return Quarantine(Unscored.IMAGE_UNREADABLE, {"detail": str(error)})
        text = "" if part is Part.IMAGE else pair.query
        return Keep(Case(Question(pair, text, images, part=part)))


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
