"""One evaluation: its plan, its job, and the files that come of it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.config import Connection
from vlsbench.engine import (
    CostBudget,
    Flow,
    Job,
    Ledger,
    Outcome,
    Probe,
    Step,
    run_async,
)
from vlsbench.evaluation._answers import Gathered, panel_results, sampled, settle_by_errors
from vlsbench.evaluation._calibrated import CALIBRATION
from vlsbench.evaluation._page import Gallery, write_report
from vlsbench.evaluation._published import differs, published_results
from vlsbench.evaluation._rows import PAIRS, PairRow, pair_rows
from vlsbench.evaluation._settings import Output, Presentation, Selection
from vlsbench.evaluation._spend import spend_by_role
from vlsbench.evaluation._stages import ANSWER, JUDGE, AnswerStage
from vlsbench.evaluation._summary import (
    REPORT,
    SCHEMA,
    SUMMARY,
    Summary,
    commonest_words,
    groups_by,
    languages,
    net_rate,
    read_summary,
)
from vlsbench.files import whole_file, write_json
from vlsbench.judge import (
    Judge,
    JudgeStage,
    Judging,
    Label,
    Rubric,
    Unscored,
    Vote,
    members,
    panel_of,
    probes_of,
    rubric_of,
)
from vlsbench.models import ChatModel, Price, RecordedReplies
from vlsbench.pairs import Swapper
from vlsbench.registry import is_simulated
from vlsbench.tables import RowWriter
from vlsbench.text import counted

OFFLINE_NOTE = (
    "Judged offline, by the wording of English replies: how often it agrees with people is in "
    "docs/offline-judge.md; it sees neither image nor request."
)
SIMULATED_NOTE = (
    "Simulated: a simulated model or made-up pairs took part, so the figures say nothing about a "
    "real model."
)
NO_BENIGN_NOTE = (
    "Over-refusal is unknown: the set holds no benign pair. A model that declines everything is as "
    "safe; ask benign pairs too (--controls mossbench, vlguard:safe_safes, lab/benign)."
)
UNSCORED_BENIGN_NOTE = (
    "Over-refusal is unknown: no benign pair is scored yet. A model that declines everything is as "
    "safe."
)
GUARD_NOTE = (
    "{} is a guard: it says whether a reply is safe, not whether it warns or, but for guards with "
    "a refusal line, refuses. What it calls safe may be plain help in which it sees no harm."
)
STOPPED_NOTE = "The run stopped before its end: open pairs are in no rate. Its command resumes it."


@dataclass(frozen=True, slots=True)
class CostEstimate:
    """Rough by nature: tokens by the length of texts and the size of images."""

    calls: int
    input_tokens: int
    output_tokens: int
    cost: float | None
    """US dollars; None where a price is unknown."""


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """What an evaluation will do and probably cost; nothing is spent or written yet."""

    selection: Selection
    shown: Presentation
    target: ChatModel
    judge: Judge
    judging: Judging
    identity: Mapping[str, object]
    files: Mapping[str, str]
    """Image file → SHA-256, of the files that the view reads."""
    places: Mapping[str, str]
    """Name of an image in the set → its file."""
    settings: Mapping[str, Any]
    """All settings, as `summary.json` keeps them."""
    folder: Path
    prices: Mapping[str, Price | None]
    budget: CostBudget
    connection: Connection
    output: Output = field(default_factory=Output)
    swapper: Swapper | None = None
    ended: int = 0
    """Answers that an earlier invocation ended."""
    complete: bool = False
    """Nothing is left to ask."""
    estimate: CostEstimate | None = None
    """What the open pairs will take; None where nothing is open."""

    def __repr__(self) -> str:
        cost = self.estimate.cost if self.estimate else 0.0
        what = f"{self.target.spec} on {counted(len(self.selection), 'pair')} of "
        what += f"{self.selection.pairs.name}, {self.shown.view} view, judged by {self.judge.name}"
        about = "cost unknown" if cost is None else f"about ${cost:,.2f}"
        return f"<EvaluationPlan for {self.folder}: {what}; {about}>"

    @property
    def rubric(self) -> Rubric:
        """Which labels replies can get."""
        return rubric_of(self.judge)

    @property
    def answers(self) -> int:
        """How many answers the run is to have."""
        return len(self.selection) * self.shown.samples

    def warnings(self) -> Iterator[str]:
        """Say what is assumed of the set and of replies made elsewhere."""
        yield from self.selection.assumptions(self.shown.view)
        if isinstance(self.target, RecordedReplies):
            yield from self.target.notes
        categories = {pair.category for pair in self.selection} if self.rubric.categories else ()
        if lost := [name for name in self.rubric.categories if name not in categories]:
            yield f"the rubric has rules for categories that no pair has: {', '.join(lost)}"

    def job(self) -> Job:
        """Return the job that asks and judges every open pair."""
        models = [self.target, *(one.model for one in members(self.judge) if one.model)]
        stages = (
            AnswerStage(self.target, self.shown, self.swapper, self.folder),
            JudgeStage(self.judge, JUDGE, partial=self.judging.partial),
        )
        flow = Flow(stages, lambda: self.shown.records(self.selection))
        steps: list[Step] = [flow]
        if self.judging.vote == Vote.DAWID_SKENE and panel_of(self.judge):  # needs all votes
            steps.append(partial(settle_by_errors, records=flow.records, rubric=self.rubric))
        return Job(
            identity=self.identity,
            facts={
                "bench": self.selection.pairs.name,
                "view": str(self.shown.view),
                "model": self.target.spec,
                "judge": self.judge.name,
                "pairs": str(len(self.selection)),
                "files": json.dumps(self.files),
                "places": json.dumps(self.places),
                **({"samples": str(self.shown.samples)} if self.shown.samples > 1 else {}),
            },
            steps=steps,
            models=models,
            prices=self.prices,
            budget=self.budget,
            connection=self.connection,
            total=self.answers,
            what=self.shown.what,
            tag=tag_of,
            again=lost_at if self.output.retry else lambda outcome: "",
            left_out=self.selection.all_left_out,
            reuse=self.output.reuse,
            progress=self.output.progress,
            probes=(
                Probe.plain(self.target, self.shown.params, self.shown.system),
                *probes_of(self.judge),
            ),
        )


def tag_of(outcome: Outcome) -> str:
    """Name an outcome by its label."""
    return str(outcome.value["label"]) if outcome.kind == "keep" else str(Label.UNSCORED)


def lost_at(outcome: Outcome) -> str:
    """Name the stage that left an answer unscored; empty where it did not."""
    if tag_of(outcome) != Label.UNSCORED:
        return ""
    reason = outcome.value.get("reason")
    of_target = Unscored(reason).of_target if reason else outcome.stage == ANSWER
    return ANSWER if of_target else JUDGE


def _notes(plan: EvaluationPlan, ledger: Ledger, found: Summary) -> tuple[str, ...]:
    known = any(group.scored for group in found.groups if not group.harmful)
    benign = any(not pair.harmful for pair in plan.selection)
    apart = found.published_differs
    notes = (
        (SIMULATED_NOTE, found.simulated),
        *((GUARD_NOTE.format(one.name), "form" in one.identity) for one in members(plan.judge)),
        (OFFLINE_NOTE, any("offline" in one.identity for one in members(plan.judge))),
        (NO_BENIGN_NOTE, not known and not benign),
        (UNSCORED_BENIGN_NOTE, not known and benign),
        (STOPPED_NOTE, not found.complete),
        *((said, True) for said in plan.warnings()),
        *((said, bool(said)) for one in found.spend if (said := one.served_otherwise())),
        (f"The paper's rows do not stand beside this run: {'; '.join(apart)}.", bool(apart)),
    )
    return (*(note for note, holds in notes if holds), *ledger.notes())


def conclude(plan: EvaluationPlan, ledger: Ledger) -> Summary:
    """Write the run's files in one walk over the pairs, unless they stand as they would be."""
    folder = plan.folder
    models = {"target": dict(plan.target.identity), "judge": dict(plan.judge.identity)}
    if (found := {**plan.identity, **models}) != plan.identity:  # by what turned out about them
        run_async(partial(ledger.set_meta, found=json.dumps(found)))
    calibrated = folder / CALIBRATION  # shown on the report
    since = calibrated.stat().st_mtime_ns if calibrated.is_file() else 0
    stamp = f"{__version__} {ledger.stamp()} {plan.output.gallery} {since}"
    mark = folder / ".files"
    there = all((folder / name).is_file() for name in (".files", SUMMARY, PAIRS, REPORT))
    if there and mark.read_text("utf-8") == stamp:
        return read_summary(folder / SUMMARY)
    gathered, gallery = Gathered(), Gallery(plan.output.gallery, plan.rubric)
    with whole_file(folder / PAIRS) as part, RowWriter(PairRow, part) as file:
        for pair, row in pair_rows(plan.selection, ledger, plan.shown):
            gathered.add(row)
            file.add(row)
            gallery.add(row, pair)
    summary = _summary(plan, ledger, gathered)
    write_json(summary, folder / SUMMARY)
    write_report(summary, gallery, folder / REPORT)
    mark.write_text(stamp, "utf-8")
    return summary


def _summary(plan: EvaluationPlan, ledger: Ledger, gathered: Gathered) -> Summary:
    pairs, rubric, samples = plan.selection.pairs, plan.rubric, plan.shown.samples
    judges = [one.name for one in panel_of(plan.judge)]
    kinds = gathered.by(lambda key: "all") if samples > 1 or plan.judging.repeats > 1 else ()
    spend, served_by = spend_by_role(ledger)
    simulated = pairs.simulated or any(map(is_simulated, {*served_by, plan.judge.name}))
    groups = groups_by(gathered, rubric, lambda key: "all")
    rows = published_results(pairs.name, str(plan.shown.view))
    apart = differs(plan.judge.name, rubric) if rows else ()
    found = Summary(
        schema=SCHEMA,
        vlsbench=__version__,
        run=plan.folder.name,
        bench=pairs.name,
        title=pairs.title,
        licence=pairs.licence,
        paper=pairs.paper,
        view=str(plan.shown.view),
        model=plan.target.spec,
        judge=plan.judge.name,
        identity=json.loads(ledger.meta("found") or "null") or plan.identity,
        settings=plan.settings,
        rubric=rubric,
        panel=tuple(panel_results(gathered, judges, rubric)),
        simulated=simulated,
        complete=ledger.meta("complete") is not None,
        started=ledger.meta("started") or "",
        finished=ledger.meta("complete") or "",
        pairs=len(plan.selection),
        open=plan.answers - len(gathered.answers),
        left_out=tuple(ledger.left_out()),
        groups=groups,
        net=net_rate(groups),
        net_cautious=net_rate(groups, warned=True),
        samples=samples,
        sampled=tuple(sampled(answers, samples, rubric) for _, answers in kinds),
        query_languages=languages(gathered, rubric, lambda key: key.query),
        reply_languages=languages(gathered, rubric, lambda key: key.reply),
        categories=groups_by(gathered, rubric, lambda key: key.category or "(none)"),
        subcategories=groups_by(
            gathered, rubric, lambda key: key.subcategory and f"{key.category} / {key.subcategory}"
        ),
        spend=spend,
        unscored_words=commonest_words(gathered.said.elements()),
        published=() if apart else rows,
        published_differs=apart,
    )
    return replace(found, notes=_notes(plan, ledger, found))
