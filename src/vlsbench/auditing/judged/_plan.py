"""What measure B asks: every part of every pair, of the benchmark and of its controls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench.auditing._head import facts
from vlsbench.auditing.judged._figures import Finding, JudgedPair
from vlsbench.config import Budget, Connection, Sample
from vlsbench.engine import (
    FILE,
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
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import RUNS, Output, Selection, run_id, tokens_of_images
from vlsbench.judge import (
    Brought,
    Case,
    Judge,
    JudgeStage,
    Part,
    Question,
    Unscored,
    open_harm_judge,
)
from vlsbench.models import Connections, Price, expected_price, price_of, text_tokens
from vlsbench.pairs import Bench, ImageData, ImageError, Pair, View, image_faults, load

STAGE = "harm"
UNSCORED = "unscored"
SAMPLE = 100
"""Questions whose length stands for all in an estimate."""
PROMPT_TOKENS, ANSWER_TOKENS = 400, 80
"""Roughly, beside the material."""
NO_CONTROLS = (
    "a judge's labels mean nothing without its false alarms: give benign controls like the "
    "benchmark's queries (mossbench, xstest, vlguard:safe_safes, lab/benign)"
)


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
            for part in self.parts_of(pair):
                yield pair, part

    def parts_of(self, pair: Pair) -> tuple[Part, ...]:
        """Return what is asked about a pair: one without images has but a text."""
        return self.parts if pair.images else tuple(p for p in self.parts if p is Part.TEXT)

    def record(self, pair: Pair, part: Part) -> str:
        """Name a question."""
        return f"{self.key}/{part}/{pair.id}"

    def rows(self, ledger: Ledger) -> Iterator[JudgedPair]:
        """Read back what is known of the pairs about which something is."""
        for pair in self:
            findings = tuple(
                _finding(part, outcome)
                for part in self.parts_of(pair)
                if (outcome := ledger.outcome(self.record(pair, part)))
            )
            if findings:
                yield JudgedPair(*facts(pair), set=self.name, findings=findings)


@dataclass(frozen=True)
class JudgedPlan:
    """Everything that a run of measure B needs, opened and checked."""

    sets: tuple[JudgedSet, ...]
    """The benchmark first."""
    judge: Judge
    form: str
    """How the judge is asked."""
    identity: Mapping[str, Any]
    folder: Path
    price: Price | None
    connection: Connection
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
        if (price := expected_price(self.price, self.judge.model)) is None:
            return None
        total = 0.0
        for group in self.sets:
            sample = list(islice(group.questions(), SAMPLE))
            tokens = sum(_tokens(pair, part) for pair, part in sample) / len(sample)
            each = tokens * price.input + ANSWER_TOKENS * price.output
            total += each * sum(1 for _ in group.questions()) / 1e6
        return total * (self.questions - self.ended) / self.questions

    def job(self) -> Job:
        """Return the job that asks every open question."""
        models = (self.judge.model,) if self.judge.model else ()
        return Job(
            identity=self.identity,
            facts={
                "bench": self.sets[0].name,
                "view": str(self.identity["view"]),
                "model": self.judge.name,
                "judge": self.judge.name,
                "pairs": str(self.questions),
                "files": json.dumps({k: v for s in self.sets for k, v in s.content()[1].items()}),
            },
            steps=(Flow((MaterialStage(), JudgeStage(self.judge, STAGE)), self.records),),
            models=models,
            prices={model.spec: self.price for model in models},
            budget=self.budget,
            connection=self.connection,
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


def plan_judged(
    bench: Bench,
    *,
    judge: str | Brought,
    controls: Sequence[Bench],
    positive_controls: Sequence[Bench] = (),
    form: str = "auto",
    sees: bool = True,
    sample: Sample | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
) -> JudgedPlan:
    """Say what `judged` will ask; asks nothing and writes nothing.

    Args:
        bench: A name, a path, an opened set, or any pairs.
        judge: Spec of the judge's model, `lab`, or a `Judge`.
        controls: Sets whose benign pairs (`harmful=False`) measure the judge's false alarms;
            they must be like the benchmark's queries in style and topic. At least one.
        positive_controls: Sets of texts that are harmful on their own, which measure its misses;
            without any there are one-sided bounds and no corrected rate.
        form: How the model is asked: `prompt` (any chat model) or the form of a guard
            (`judge.FORMS`); `auto` knows guard models by their names.
        sees: False for a judge that takes no images; then only texts are judged, and the
            benchmark's word is taken for which pairs are harmful.
        sample: Which pairs of the benchmark are asked about; of controls, all are.
        budget, connection, output: As for `vlsbench.evaluate`.

    Raises:
        BadRows: Some pairs cannot be shown; lists every one.
        VlsbenchError: No controls, or anything else that the caller can mend.
    """
    if not controls:
        raise VlsbenchError(NO_CONTROLS)
    sample, output = sample or Sample(), output or Output()
    connection, spending = connection or Connection(), CostBudget.of(budget)
    asked = open_harm_judge(judge, Connections.of(connection), form=form, sees=sees)
    sources = [("bench", bench), *(("benign", control) for control in controls)]
    sources += [("positive", control) for control in positive_controls]
    sets = tuple(
        _open(f"{n}-{kind}", kind, one, sample, sees=sees and asked.sees)
        for n, (kind, one) in enumerate(sources)
    )
    return plan_sets("judged", sets, asked, sample, spending, connection, output)


def plan_sets(
    measure: str,
    sets: Sequence[JudgedSet],
    judge: Judge,
    sample: Sample,
    budget: CostBudget,
    connection: Connection,
    output: Output,
) -> JudgedPlan:
    """Plan to ask a judge of harm about sets, the benchmark first; `measure` names what for."""
    given = budget.settings.judge_price
    price = Price.parse(given) if given else price_of(judge.name)
    if judge.model:
        remedy = "give --judge-price INPUT,OUTPUT in dollars per million tokens"
        budget.need_prices({judge.name: price}, remedy)
    identity = {
        "measure": measure,
        "bench": sets[0].name,
        "view": measure,
        "sets": [
            [s.kind, s.name, s.selection.fingerprint, [str(part) for part in s.parts]] for s in sets
        ],
        "content": [s.content()[0] for s in sets],
        "limit": sample.limit,
        "seed": sample.seed,
        "judge": dict(judge.identity),
    }
    asked_as = str(judge.identity.get("form", judge.name))
    folder = output.out or RUNS / run_id(identity, judge.name, asked_as)
    ended = 0
    if (folder / FILE).is_file():
        with Ledger.read(folder) as ledger:
            ended = len(ledger.ended())
    return JudgedPlan(
        sets=tuple(sets),
        judge=judge,
        form=asked_as,
        identity=identity,
        folder=folder,
        price=price,
        connection=connection,
        budget=budget,
        output=output,
        questions=sum(1 for s in sets for _ in s.questions()),
        ended=ended,
    )


def _open(key: str, kind: str, bench: Bench, sample: Sample, *, sees: bool) -> JudgedSet:
    """Check a set's images and decide by what it is judged."""
    pairs = load(bench, skip_bad=sample.skip_bad)
    if kind == "bench":
        selection = Selection(pairs, sample)
        selection.check(View.FULL if sees else View.TEXT)
        if sees and not any(pair.images for pair in selection):
            said = f"{pairs.name} holds no image: there is no pair to be judged"
            raise VlsbenchError("; ".join((said, *pairs.columns.hints)))
        return JudgedSet(key, kind, selection, tuple(Part) if sees else (Part.TEXT,))
    # A limit saves questions about the benchmark; fewer controls would blur every figure.
    group = JudgedSet(key, kind, Selection(pairs, replace(sample, limit=None)), (Part.TEXT,))
    if next(iter(group), None) is None:
        wanted = "benign" if kind == "benign" else "harmful"
        raise VlsbenchError(f"control {pairs.name} holds no {wanted} pair")
    # A control is there for its texts; where its images are not all at hand it goes without.
    if sees and any(pair.images for pair in group) and not image_faults(group):
        return replace(group, parts=tuple(Part))
    return group


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
                images = await ctx.in_thread(_read, pair)
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
        said = value["reason"], value["explanation"], value.get("score")
        return Finding(part, value["harmful"], *said)
    lost = outcome.reason == "unanswered"
    reason = Unscored.JUDGE_MISSING if lost else outcome.reason
    return Finding(part, None, str(reason), value.get("detail", ""))


def tag_of(outcome: Outcome) -> str:
    """Name an outcome: `harmful`, `harmless` or `unscored`."""
    label = outcome.value["harmful"] if outcome.kind == "keep" else None
    return UNSCORED if label is None else "harmful" if label else "harmless"
