"""Measure B: how many of a benchmark's harmful pairs are harmful by their text alone?

The VSIL rate is that of PAPER.md (arXiv 2411.19939, section 3): among the pairs that a judge calls
harmful given image and text, the share that it also calls harmful given the text alone. It is
never shown without the judge's own false alarms on harmless controls, and never uncorrected alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from vlsbench.auditing.head import Expense, facts, head, total, total_cost
from vlsbench.auditing.judged.figures import (
    SCHEMA,
    ControlFigures,
    Controls,
    Judged,
    JudgedPair,
    finding_of,
    group_figures,
    harmful_pairs,
    notes,
    part_figures,
    pattern_rates,
    unread,
)
from vlsbench.config import Connection, Sample
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
    carry_out,
)
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import (
    RUNS,
    Output,
    Selection,
    run_id,
    spend_by_role,
    tokens_of_images,
)
from vlsbench.files import write_json, write_jsonl
from vlsbench.judge import Case, Judge, JudgeStage, Part, Question, Unscored, probes_of
from vlsbench.models import Price, Usage, expected_price, price_of, text_tokens
from vlsbench.pairs import ImageData, ImageError, Pair, PairSet, View, image_faults
from vlsbench.registry import is_simulated
from vlsbench.text import counted

JUDGED = "judged.json"
JUDGED_PAIRS = "judged.jsonl"
LEAKING = 50
"""Leaking pairs in `judged.json`; `judged.jsonl` has all pairs."""
STAGE = "harm"
UNSCORED = "unscored"
SAMPLE = 100
"""Questions whose length stands for all in an estimate."""
PROMPT_TOKENS, ANSWER_TOKENS = 400, 80
"""Roughly, beside the material."""
KINDS = {"bench": "", "benign": " of benign controls", "positive": " of positive controls"}


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

    @property
    def view(self) -> View:
        """What is read of its pairs."""
        return View.FULL if Part.PAIR in self.parts else View.TEXT

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
                finding_of(part, outcome)
                for part in self.parts_of(pair)
                if (outcome := ledger.outcome(self.record(pair, part)))
            )
            if findings:
                yield JudgedPair(*facts(pair), set=self.name, findings=findings)


@dataclass(frozen=True, kw_only=True)
class JudgedPlan:
    """What a judge of harm is asked about sets of pairs."""

    measure: str
    """What for: `judged`, or `guard`."""
    sets: Sequence[JudgedSet]
    """The benchmark first."""
    judge: Judge
    sample: Sample
    budget: CostBudget
    connection: Connection
    output: Output

    def __post_init__(self) -> None:
        """Check that a budget in dollars has its price."""
        if self.judge.model:
            remedy = "give --judge-price INPUT,OUTPUT in dollars per million tokens"
            self.budget.need_prices({self.judge.name: self.price}, remedy)

    @property
    def price(self) -> Price | None:
        """What the judge costs, where that is known."""
        given = self.budget.settings.judge_price
        return Price.parse(given) if given else price_of(self.judge.name)

    @property
    def form(self) -> str:
        """How the judge is asked."""
        return str(self.judge.identity.get("form", self.judge.name))

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """Everything that decides which calls are made."""
        return {
            "measure": self.measure,
            "bench": self.sets[0].name,
            "view": self.measure,
            "sets": [
                [s.kind, s.name, s.selection.fingerprint, [str(part) for part in s.parts]]
                for s in self.sets
            ],
            "content": [s.selection.content(s.view)[0] for s in self.sets],
            "limit": self.sample.limit,
            "seed": self.sample.seed,
            "judge": dict(self.judge.identity),
        }

    @cached_property
    def folder(self) -> Path:
        """Where the record is, or will be."""
        return self.output.out or RUNS / run_id(self.identity, self.judge.name, self.form)

    @cached_property
    def questions(self) -> int:
        """Parts of pairs: a call each, equal questions shared, a few asked twice."""
        return sum(1 for group in self.sets for _ in group.questions())

    @cached_property
    def _answered(self) -> frozenset[str]:
        if not (self.folder / FILE).is_file():
            return frozenset()
        with Ledger.read(self.folder) as ledger:
            return frozenset(ledger.ended())

    @property
    def ended(self) -> int:
        """Questions with an answer on record already."""
        return len(self._answered)

    def expenses(self) -> Iterator[Expense]:
        """Say what is still asked about each set, at most, and what that costs, roughly."""
        model = self.judge.model
        price = expected_price(self.price, model) if model else Price(0, 0)
        for group in self.sets:
            still = [q for q in group.questions() if group.record(*q) not in self._answered]
            some = still[:SAMPLE]
            tokens = sum(
                PROMPT_TOKENS
                + text_tokens(len(pair.query))
                + tokens_of_images(() if part is Part.TEXT else pair.images)
                for pair, part in some
            )
            tokens = tokens * len(still) // max(1, len(some))
            yield Expense(
                set=group.name,
                part=", ".join(group.parts) + KINDS[group.kind],
                calls=len(still) if model else 0,
                cost=price.cost(Usage(tokens, len(still) * ANSWER_TOKENS)) if price else None,
            )

    def warnings(self) -> Iterator[str]:
        """Say what is assumed of the benchmark."""
        return self.sets[0].selection.assumptions(self.sets[0].view)

    def cost(self) -> float | None:
        """Estimate what the open questions cost in US dollars; None where the price is unknown."""
        return total_cost(self.expenses())

    def job(self) -> Job:
        """Return the job that asks every open question."""
        models = (self.judge.model,) if self.judge.model else ()
        retry = self.output.retry
        files = {k: v for s in self.sets for k, v in s.selection.content(s.view)[1].items()}
        return Job(
            identity=self.identity,
            facts={
                "bench": self.sets[0].name,
                "view": self.measure,
                "model": self.judge.name,
                "judge": self.judge.name,
                "pairs": str(self.questions),
                "files": json.dumps(files),
            },
            steps=(Flow((MaterialStage(), JudgeStage(self.judge, STAGE)), self.records),),
            models=models,
            prices={model.spec: self.price for model in models},
            budget=self.budget,
            connection=self.connection,
            total=self.questions,
            what="questions",
            tag=tag_of,
            again=lambda outcome: STAGE * (bool(retry) and tag_of(outcome) == UNSCORED),
            left_out=self.sets[0].selection.all_left_out,
            reuse=self.output.reuse,
            progress=self.output.progress,
            probes=probes_of(self.judge, of_replies=False),
        )

    def records(self) -> Iterator[Record]:
        """Walk all questions, the controls' first: without them nothing can be said."""
        for group in reversed(self.sets):
            for pair, part in group.questions():
                yield Record(group.record(pair, part), (pair, part))


def open_set(key: str, kind: str, pairs: PairSet, sample: Sample, *, sees: bool) -> JudgedSet:
    """Check a set's images and decide by what it is judged: by a judge that sees them, or not."""
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


def tag_of(outcome: Outcome) -> str:
    """Name an outcome: `harmful`, `harmless` or `unscored`."""
    label = outcome.value["harmful"] if outcome.kind == "keep" else None
    return UNSCORED if label is None else "harmful" if label else "harmless"


def judged(plan: JudgedPlan, say: Callable[[str], None]) -> tuple[Judged, Mapping[str, JudgedPair]]:
    """Ask a judge which pairs are harmful by text, by image and together (measure B).

    `say` is told first what is asked. Returns the figures, which `judged.json` holds too, and the
    benchmark's pairs by id.
    """
    if left := plan.questions - plan.ended:
        each = ", ".join(f"{one.calls:,} on {one.set}" for one in plan.expenses() if one.calls)
        say(
            f"judge {plan.judge.name}: {counted(left, 'question')} to ask ({each}; controls are "
            f"asked whole), {plan.connection.concurrency} in flight; into {plan.folder}"
        )
    else:
        say(f"nothing was asked of the judge: {plan.folder} is complete")
    return carry_out(plan.job(), plan.folder, partial(_conclude, plan))


def _conclude(
    plan: JudgedPlan, ledger: Ledger, stopped: str | None
) -> tuple[Judged, Mapping[str, JudgedPair]]:
    """Count, and write `judged.json` and `judged.jsonl`."""
    rows = {group.key: tuple(group.rows(ledger)) for group in plan.sets}
    bench, *controls = plan.sets
    parts = bench.parts
    ours, own = ([r for r in rows[bench.key] if r.harmful is kind] for kind in (True, False))
    if not any(pair.harmful for pair in bench.selection):
        ours, own = own, ours
    harmful = harmful_pairs(ours, parts)
    benign, positive = (
        [row for group in controls if group.kind == kind for row in rows[group.key]]
        for kind in ("benign", "positive")
    )
    pool = Controls(benign, positive)
    leaking = [row for row in harmful if row.harmful_by(Part.TEXT)]
    spend, served_by = spend_by_role(ledger)
    calls, reused, cost = total(spend)
    found = Judged(
        *head(SCHEMA, bench.selection.pairs),
        run=plan.folder.name,
        judge=plan.judge.name,
        form=plan.form,
        identity=plan.identity,
        harmful_by_judge=Part.PAIR in parts,
        simulated=any(is_simulated(name) for name in served_by),
        complete=ledger.meta("complete") is not None,
        stopped=stopped or "",
        pairs=len(bench.selection),
        open=plan.questions - len(ledger.ended()),
        left_out=tuple(ledger.left_out()),
        group=group_figures("all", ours, pool, parts),
        categories=tuple(
            group_figures(name or "(none)", [r for r in ours if r.category == name], pool, parts)
            for name in sorted({row.category for row in ours})
        ),
        controls=tuple(
            ControlFigures(
                name=group.name,
                positive=group.kind == "positive",
                pairs=len(rows[group.key]),
                parts=part_figures(rows[group.key], group.parts),
                patterns=pattern_rates(rows[group.key]),
                corrected=Controls(rows[group.key], positive).correct(harmful)
                if group.kind == "benign"
                else None,
            )
            for group in controls
        ),
        leaking=tuple(leaking[:LEAKING]),
        calls=calls,
        reused=reused,
        cost=cost,
        benign=group_figures("benign", own, pool, parts) if own else None,
        sensitivity=pool.sensitivity(harmful),
    )
    whys = unread(row for of_set in rows.values() for row in of_set)
    found = replace(found, notes=(*notes(found), *whys, *ledger.notes()))
    write_json(found, plan.folder / JUDGED)
    lines = (asdict(row) for of_set in rows.values() for row in of_set)
    write_jsonl(lines, plan.folder / JUDGED_PAIRS)
    return found, {row.id: row for row in rows[bench.key]}
