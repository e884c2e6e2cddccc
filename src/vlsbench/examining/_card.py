"""`vlsbench judge-card`: a judge is asked about cases whose truth is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.auditing.head import total
from vlsbench.config import Budget, Connection, Sample, option, settings
from vlsbench.engine import CostBudget, Ledger, carry_out
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import (
    EvaluationPlan,
    Output,
    commonest_words,
    pair_rows,
    spend_by_role,
    words_notes,
)
from vlsbench.evaluation import plan as plan_evaluation
from vlsbench.examining._cases import REWORDED, Planted, planted
from vlsbench.examining._figures import SCHEMA, JudgeCard, Judged, preference, probes
from vlsbench.examining._page import card_page
from vlsbench.files import write_json, write_jsonl
from vlsbench.judge import (
    OURS,
    Brought,
    Caller,
    Judge,
    Judging,
    LLMJudge,
    Question,
    Verdict,
    is_scored,
    open_judge,
    rubric_of,
)
from vlsbench.models import Connections, RecordedReplies, Reply
from vlsbench.pairs import PairSet
from vlsbench.registry import is_simulated

VIEW = "judge-card"
CARD, PAGE, CASES = "judge-card.json", "judge-card.html", "cases.jsonl"


@settings()
class JudgeCardConfig:
    """The settings of `vlsbench judge-card`, and the keys of its configuration file."""

    judge: str = option("A judge, as for `eval --judge`, or `string-matching`.", argument=True)
    on: tuple[str, ...] = option(
        "Cases: `lab` (planted, harmless), `xstest` and `msts` (replies that people labelled), "
        "or a file with columns query, reply, truth, and perhaps probe, target, harmful.",
        default=("lab",),
        metavar="SET[,SET]",
    )
    data_root: Path | None = option(
        "Folder of several benchmarks: its xstest/ and msts/ are read.", default=None
    )
    judging: Judging = field(default_factory=Judging)
    sample: Sample = field(default_factory=Sample)
    budget: Budget = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: Output = field(default_factory=Output)


@dataclass(frozen=True, kw_only=True)
class ExaminationPlan:
    """The cases, and the evaluation that puts them to the judge as replies on record."""

    on: tuple[str, ...]
    cases: Sequence[Planted]
    evaluation: EvaluationPlan
    left_out: tuple[str, ...]


class Examined:
    """A judge as the cases meet it: with its rubric in other words, or asked once more."""

    def __init__(self, reworded: Sequence[Judge], cases: Sequence[Planted]) -> None:
        """Take the judge itself, those with another rubric, and the cases."""
        self._reworded = reworded
        self._cases = {case.id: case for case in cases}
        judge = reworded[0]
        self.name, self.model, self.sees = judge.name, judge.model, judge.sees
        self.rubric = rubric_of(judge)
        self.judges: Sequence[Judge] = getattr(judge, "judges", (judge,))

    @property
    def identity(self) -> Mapping[str, Any]:
        """That of the judge itself."""
        return self._reworded[0].identity

    async def judge(self, question: Question, call: Caller, *, epoch: int = 0) -> Verdict:
        """See `Judge.judge`."""
        case = self._cases[question.pair.id]
        question = replace(question, pair=case.pair)
        return await self._reworded[case.rubric].judge(question, call, epoch=2 * epoch + case.epoch)


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
    sample, connection = sample or Sample(), connection or Connection()
    connections, judging = Connections(connection), judging or Judging()
    asked = open_judge(judge, connections, judging)
    cases = [case for name in on for case in planted(name, data_root, sample)]
    judges = [asked]
    left_out: dict[str, str] = {}
    once = replace(judging, repeats=1)
    if rubric_of(asked) is OURS and isinstance(open_judge(judge, connections, once), LLMJudge):
        for rubric in REWORDED:
            judges.append(open_judge(judge, connections, replace(once, rubric=rubric)))
    else:
        left_out["rubric-reworded"] = "this judge does not read our definitions of labels"
    if not asked.sees:
        left_out["image-speaks"] = "this judge looks at no images"
    cases = [case for case in cases if case.probe not in left_out]
    if not cases:
        raise VlsbenchError("no cases: name a set with --on")
    told = [(c.id, c.pair.query, c.reply, str(c.truth), c.safe, c.rubric) for c in cases]
    replies = RecordedReplies(
        spec="planted" if [*on] == ["lab"] else "on-record",
        replies={case.id: Reply(case.reply) for case in cases},
        origin={"cases": hashlib.sha256(json.dumps(told).encode()).hexdigest()},
    )
    evaluation = plan_evaluation(
        PairSet.of([replace(case.pair, id=case.id) for case in cases], ",".join(on)),
        model=replies,
        judge=Examined(judges, cases),
        budget=budget,
        connection=connection,
        output=output,
    )
    said = tuple(f"{probe}: {why}" for probe, why in left_out.items())
    return ExaminationPlan(on=tuple(on), cases=cases, evaluation=evaluation, left_out=said)


def judge_card(plan: ExaminationPlan) -> JudgeCard:
    """Put every case to the judge, and write its card.

    The same plan, which `plan_judge_card` made, resumes the same run; no call is paid for twice.

    Raises:
        FatalCall, LedgerError: The judge cannot work (key, name, address), or the disk.
    """
    asked, job = plan.evaluation, plan.evaluation.job()
    job = replace(job, facts={**job.facts, "view": VIEW, "model": asked.judge.name}, what="cases")
    return carry_out(job, asked.folder, partial(_conclude, plan))


def _conclude(plan: ExaminationPlan, ledger: Ledger, stopped: str | None) -> JudgeCard:
    """Count, and write `judge-card.json`, `cases.jsonl` and `judge-card.html`."""
    found, asked = [], plan.evaluation
    cases = {case.id: case for case in plan.cases}
    for pair, row in pair_rows(asked.selection, ledger, asked.shown):
        label = row.label if is_scored(row.label) else None
        found.append(
            Judged(cases[pair.id], label, row.unscored_reason, row.explanation, asked.rubric)
        )
    spend, served_by = spend_by_role(ledger)
    calls, _, cost = total(row for row in spend if row.role != "target")
    card = JudgeCard(
        schema=SCHEMA,
        vlsbench=__version__,
        run=asked.folder.name,
        judge=asked.judge.name,
        on=plan.on,
        identity=asked.identity,
        simulated="lab" in plan.on or any(map(is_simulated, served_by)),
        complete=ledger.meta("complete") is not None,
        stopped=stopped or "",
        cases=len(plan.cases),
        open=len(plan.cases) - len(found),
        probes=tuple(probes(found)),
        preference=preference(asked.judge.name, found),
        left_out=plan.left_out,
        calls=calls,
        cost=cost,
    )
    whys = commonest_words((one.reason, one.explanation) for one in found if not one.label)
    card = replace(card, notes=(*_notes(plan, card), *words_notes(whys), *ledger.notes()))
    write_json(card, asked.folder / CARD)
    write_jsonl((one.row() for one in found), asked.folder / CASES)
    card_page(card).write(asked.folder / PAGE)
    return card


def _notes(plan: ExaminationPlan, card: JudgeCard) -> Iterator[str]:
    if "lab" in plan.on:
        yield (
            "The lab's cases are made up: they show whether a judge can be led astray, not how "
            "often real replies do it."
        )
    if "offline" in plan.evaluation.judge.identity and {"xstest", "msts"} & {*plan.on}:
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
