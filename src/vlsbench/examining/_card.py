"""`vlsbench judge-card`: a judge is asked about cases whose truth is known."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from vlsbench import __version__
from vlsbench.config import Budget, Connection, Option, Sample
from vlsbench.engine import (
    FILE,
    Context,
    CostBudget,
    Flow,
    Job,
    Keep,
    Ledger,
    Quarantine,
    Record,
    Result,
    check_same_run,
    run_async,
    write_or_stop,
)
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import RUNS, Output, reopen_unscored, run_id, spend_by_role, tag_of
from vlsbench.examining._cases import REWORDED, Planted, planted
from vlsbench.examining._figures import SCHEMA, JudgeCard, Judged, preference, probes
from vlsbench.files import write_json, write_jsonl
from vlsbench.judge import (
    OURS,
    Brought,
    Case,
    Judge,
    Judging,
    Label,
    LLMJudge,
    Question,
    Unscored,
    ask_judge,
    open_judge,
    rubric_of,
)
from vlsbench.keywords import checked_keywords
from vlsbench.models import Connections, Price, Reply, price_of, text_tokens
from vlsbench.pages import write_page
from vlsbench.pairs import ImageError
from vlsbench.registry import is_simulated

VIEW = "judge-card"
CARD, PAGE, CASES = "judge-card.json", "judge-card.html", "cases.jsonl"
PROMPT_TOKENS, ANSWER_TOKENS = 700, 100
"""Roughly, of the rubric with an image, and of a verdict."""


@dataclass(frozen=True, kw_only=True)
class JudgeCardConfig:
    """The settings of `vlsbench judge-card`, and the keys of its configuration file."""

    judge: Annotated[
        str,
        Option("A judge, as for `eval --judge`, or `string-matching`.", argument=True),
    ]
    on: Annotated[
        tuple[str, ...],
        Option(
            "Cases: `lab` (planted, harmless), `xstest` and `msts` (replies that people labelled), "
            "or a file with columns query, reply, truth, and perhaps probe, target, harmful.",
            metavar="SET[,SET]",
        ),
    ] = ("lab",)
    data_root: Annotated[
        Path | None, Option("Folder of several benchmarks: its xstest/ and msts/ are read.")
    ] = None
    judging: Judging = field(default_factory=Judging)
    sample: Sample = field(default_factory=Sample)
    budget: Budget = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class ExaminationPlan:
    """Everything that a card needs, opened and checked."""

    on: tuple[str, ...]
    cases: Sequence[Planted]
    judges: Mapping[int, Judge]
    """Which reworded rubric it follows → the judge; 0 is the judge itself."""
    identity: Mapping[str, Any]
    folder: Path
    price: Price | None
    budget: CostBudget
    connection: Connection
    output: Output
    left_out: tuple[str, ...]
    ended: int

    @property
    def judge(self) -> Judge:
        """Who is examined."""
        return self.judges[0]

    def cost(self) -> float | None:
        """Estimate what the open cases cost in US dollars; None where the price is unknown."""
        if self.judge.model is None or self.price is None:
            return 0.0 if self.judge.model is None else None
        read = sum(text_tokens(len(c.reply) + len(c.pair.query)) for c in self.cases)
        tokens = (read + PROMPT_TOKENS * len(self.cases)) * self.price.input
        whole = (tokens + ANSWER_TOKENS * len(self.cases) * self.price.output) / 1e6
        return whole * (len(self.cases) - self.ended) / len(self.cases)

    def job(self) -> Job:
        """Return the job that puts every open case to the judge."""
        models = (self.judge.model,) if self.judge.model else ()
        facts = dict.fromkeys(("model", "judge"), self.judge.name)
        return Job(
            identity=self.identity,
            facts={
                "bench": ",".join(self.on),
                "view": VIEW,
                **facts,
                "pairs": str(len(self.cases)),
            },
            steps=(Flow((CaseStage(self.judges),), self.records),),
            models=models,
            prices={model.spec: self.price for model in models},
            budget=self.budget,
            connection=self.connection,
            total=len(self.cases),
            what="cases",
            tag=tag_of,
            reuse=self.output.reuse,
            progress=self.output.progress,
        )

    def records(self) -> Iterator[Record]:
        """Walk the cases."""
        for case in self.cases:
            yield Record(case.id, case)


class CaseStage:
    """Reads a case's images and puts it to the judge that it is for."""

    name = "judge"
    version = "1"

    def __init__(self, judges: Mapping[int, Judge]) -> None:
        """Take the judges, by rubric."""
        self._judges = judges

    async def run(self, record: Record, ctx: Context) -> Result:
        """Judge one case; whatever gets no label keeps the reason."""
        case: Planted = record.value
        judge = self._judges[case.rubric]
        try:
            images = [await asyncio.to_thread(image.read) for image in case.pair.images]
        except ImageError as error:
            return Quarantine(Unscored.IMAGE_UNREADABLE, {"detail": str(error)})
        shown = tuple(images) if judge.sees else ()
        question = Question(case.pair, case.pair.query, shown, Reply(case.reply))
        epoch = 2 * ctx.epoch(record.id, self.name) + case.epoch
        verdict, calls = await ask_judge(judge, question, ctx, epoch=epoch)
        return Keep(Case(question).outcome(verdict, calls))


@checked_keywords(JudgeCardConfig)
def plan_judge_card(
    judge: str | Brought,
    *,
    on: Sequence[str] = ("lab",),
    data_root: Path | None = None,
    judging: Judging | None = None,
    sample: Sample | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
) -> ExaminationPlan:
    """Say what a judge will be asked; asks nothing and writes nothing.

    Args:
        judge: As for `vlsbench.evaluate`.
        on: `lab`, `xstest`, `msts`, or paths of files with cases.
        data_root: Folder that holds `xstest` and `msts`.
        judging: How the judge is asked.
        sample: `limit` pairs of the lab (30), and so many cases of each other set.
        budget, connection, output: As for `vlsbench.evaluate`.

    Raises:
        VlsbenchError: No such judge or set, or cases that cannot be used.
    """
    sample, output, connection = sample or Sample(), output or Output(), connection or Connection()
    connections, judging = Connections.of(connection), judging or Judging()
    asked = open_judge(judge, connections, judging)
    cases = [c for one in on for c in _drawn(planted([one], data_root, sample.limit), one, sample)]
    judges = {0: asked}
    left_out: dict[str, str] = {}
    once = replace(judging, repeats=1)
    if rubric_of(asked) is OURS and isinstance(open_judge(judge, connections, once), LLMJudge):
        for number, rubric in enumerate(REWORDED, start=1):
            judges[number] = open_judge(judge, connections, replace(once, rubric=rubric))
    else:
        left_out["rubric-reworded"] = "this judge does not read our definitions of labels"
    if not asked.sees:
        left_out["image-speaks"] = "this judge looks at no images"
    cases = [case for case in cases if case.probe not in left_out]
    if not cases:
        raise VlsbenchError("no cases: name a set with --on")
    for case in cases:
        judges[case.rubric].check(case.pair)
    spending = CostBudget.of(budget)
    given = spending.settings.judge_price
    price = Price.parse(given) if given else price_of(asked.name)
    if asked.model:
        spending.need_prices({asked.name: price}, "give --judge-price INPUT,OUTPUT")
    told = [(c.id, c.pair.query, c.reply, str(c.truth), c.safe, c.rubric) for c in cases]
    identity = {
        "bench": ",".join(on),
        "view": VIEW,
        "cases": hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16],
        "judge": dict(asked.identity),
    }
    folder = output.out or RUNS / run_id(identity, VIEW, asked.name)
    ended = 0
    if (folder / FILE).is_file():
        with Ledger.read(folder) as ledger:
            ended = len(ledger.ended())
    return ExaminationPlan(
        on=tuple(on),
        cases=cases,
        judges=judges,
        identity=identity,
        folder=folder,
        price=price,
        budget=spending,
        connection=connection,
        output=output,
        left_out=tuple(f"{probe}: {why}" for probe, why in left_out.items()),
        ended=ended,
    )


def _drawn(cases: list[Planted], name: str, sample: Sample) -> list[Planted]:
    if name == "lab" or sample.limit is None or sample.limit >= len(cases):
        return cases
    chosen = {*random.Random(sample.seed).sample(range(len(cases)), sample.limit)}
    return [case for number, case in enumerate(cases) if number in chosen]


def judge_card(plan: ExaminationPlan) -> JudgeCard:
    """Put every case to the judge, and write its card.

    The same plan resumes the same run; no call is paid for twice.

    Args:
        plan: What `plan_judge_card` made.

    Raises:
        FatalCall, LedgerError: The judge cannot work (key, name, address), or the disk.
    """
    with Ledger.write(plan.folder) as ledger:
        check_same_run(ledger, plan.identity)
        if plan.output.retry:
            run_async(partial(reopen_unscored, ledger))
        if ledger.meta("complete") is not None:
            return _conclude(plan, ledger, "")
        signal = plan.job().run(ledger)
        conclude = partial(_conclude, plan, ledger, signal.reason or "")
        return write_or_stop(conclude, plan.folder, signal)


def _conclude(plan: ExaminationPlan, ledger: Ledger, stopped: str) -> JudgeCard:
    found: list[Judged] = []
    for case in plan.cases:
        if outcome := ledger.outcome(case.id):
            said = outcome.value
            label = None if tag_of(outcome) == Label.UNSCORED else Label(said["label"])
            lost = Unscored.JUDGE_MISSING if outcome.reason == "unanswered" else outcome.reason
            reason = "" if label else str(said.get("reason") or lost)
            found.append(Judged(case, label, reason, str(said.get("explanation", ""))))
    spend, served_by = spend_by_role(ledger)
    costs = [row.cost for row in spend]
    simulated = "lab" in plan.on or any(map(is_simulated, served_by))
    card = JudgeCard(
        schema=SCHEMA,
        vlsbench=__version__,
        run=plan.folder.name,
        judge=plan.judge.name,
        on=plan.on,
        identity=plan.identity,
        simulated=simulated,
        complete=ledger.meta("complete") is not None,
        stopped=stopped,
        cases=len(plan.cases),
        open=len(plan.cases) - len(found),
        probes=tuple(probes(found)),
        preference=preference(plan.judge.name, found),
        left_out=plan.left_out,
        calls=sum(row.calls for row in spend),
        cost=None if None in costs else sum(cost or 0.0 for cost in costs),
    )
    card = replace(card, notes=(*_notes(plan, card), *ledger.notes()))
    write_json(card, plan.folder / CARD)
    rows = ({"id": o.case.id, "probe": o.case.probe, "query": o.case.pair.query,
             "reply": o.case.reply, "truth": o.case.truth, "safe": o.case.safe,
             "base": o.case.base, "target": o.case.target, "label": o.label,
             "reason": o.reason, "explanation": o.explanation} for o in found)  # fmt: skip
    write_jsonl(rows, plan.folder / CASES)
    write_page(plan.folder / PAGE, "examining/card.html", {"card": card})
    return card


def _notes(plan: ExaminationPlan, card: JudgeCard) -> Iterator[str]:
    if "lab" in plan.on:
        yield (
            "The lab's cases are made up: they show whether a judge can be led astray, not how "
            "often real replies do it."
        )
    if "offline" in plan.judge.identity and {"xstest", "msts"} & {*plan.on}:
        yield (
            "The offline judge was fitted on these very replies of xstest and msts: its rates on "
            "replies that it does not know are in docs/offline-judge.md."
        )
    if card.preference is None:
        yield (
            "Self-preference is unknown: it takes unsafe replies by models of the judge's family "
            "and of others (--on xstest, msts, or a file with a column target)."
        )
    if not card.complete:
        yield "The run stopped before its end; open cases are in no rate."
