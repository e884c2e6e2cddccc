"""`vlsbench.plan_guard` and `vlsbench.evaluate_guard`: a guard asked about every part of pairs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, field, replace
from functools import partial
from itertools import islice
from pathlib import Path

from vlsbench.auditing.head import head, total
from vlsbench.auditing.judged.figures import JudgedPair, part_figures, unread
from vlsbench.auditing.judged.run import JudgedPlan, JudgedSet
from vlsbench.config import Budget, Connection, Data, Sample, option, settings
from vlsbench.engine import CostBudget, Ledger, carry_out
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import REPORT, SUMMARY, Output, Selection, spend_by_role
from vlsbench.files import write_json, write_jsonl
from vlsbench.guarding._figures import (
    SCHEMA,
    GuardSummary,
    area,
    categories,
    joint_only,
    ways,
)
from vlsbench.guarding._page import guard_page
from vlsbench.judge import Brought, Part, open_harm_judge
from vlsbench.models import Connections
from vlsbench.pairs import Bench, PairSet, View, load
from vlsbench.registry import is_simulated

VIEW = "guard"
PAIRS = "pairs.jsonl"


@settings()
class GuardConfig:
    """The settings of `vlsbench guard`, and the keys of its configuration file."""

    bench: str = option(
        "Benchmark: a name (`vlsbench bench list`), `lab/leakless`, or the path of a custom "
        "dataset.",
        metavar="BENCH",
        argument=True,
    )
    guard: str = option(
        "Guard: openai/NAME, NAME@http://host:port/v1, hf/PATH, lab/NAME, or a plug-in."
    )
    form: str = option(
        "How it is asked (docs/guards.md lists the forms); `auto` knows guards by their names, "
        "`prompt` asks any chat model.",
        default="auto",
        flags=("--guard-form",),
    )
    policy: Path | None = option(
        "Text file with the guard's policy, in place of ours.",
        default=None,
        flags=("--guard-policy",),
    )
    controls: tuple[str, ...] = option(
        "Sets whose benign pairs are asked too, for false alarms: benign twins, lab/benign, "
        "mossbench.",
        default=(),
        metavar="BENCH[,BENCH]",
    )
    data: Data = field(default_factory=Data)
    sample: Sample = field(default_factory=Sample)
    budget: Budget = field(default_factory=Budget)
    connection: Connection = field(default_factory=Connection)
    output: Output = field(default_factory=Output)


def _twins(pairs: PairSet, sample: Sample) -> Iterator[PairSet]:
    """Return the benign twins of the drawn pairs, where they were not drawn themselves."""
    if sample.limit is None:
        return
    drawn = {pair.id: pair for pair in Selection(pairs, sample)}
    harmful = {name for name, pair in drawn.items() if pair.harmful}
    named = {drawn[name].twin for name in harmful}
    others = (pair for pair in pairs if not pair.harmful and pair.id not in drawn)
    if twins := [pair for pair in others if pair.id in named or pair.twin in harmful]:
        yield PairSet(pairs.name, lambda: twins, source=pairs.source, root=pairs.root)


def plan_guard(
    bench: Bench,
    *,
    guard: str | Brought,
    form: str = "auto",
    policy: Path | None = None,
    controls: Sequence[Bench] = (),
    sample: Sample | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
) -> JudgedPlan:
    """Say what an evaluation of a guard will ask; asks nothing and writes nothing.

    Args:
        bench: A name, a path, an opened set, or any pairs.
        guard: Spec of the guard's model, or a `Judge` of harm.
        form: How it is asked, one of `judge.FORMS`; `auto` knows guards by their names.
        policy: Text file with what it holds material to, in place of our words.
        controls: Sets whose benign pairs are asked too.
        sample: Which pairs of the benchmark are asked about, with their benign twins; of controls,
            all are.
        budget, connection, output: As for `vlsbench.evaluate`.

    Raises:
        BadRows: Some pairs cannot be shown; lists every one.
        VlsbenchError: Anything else that the caller can mend.
    """
    sample, connection = sample or Sample(), connection or Connection()
    asked = open_harm_judge(guard, Connections(connection), form=form, policy=policy, needs=None)
    parts = tuple(getattr(asked, "parts", tuple(Part) if asked.sees else (Part.TEXT,)))
    view = View.TEXT if parts == (Part.TEXT,) else View.FULL
    whole = replace(sample, limit=None)
    opened = load(bench, skip_bad=sample.skip_bad)
    kinds: list[tuple[str, Bench, Sample]] = [("bench", opened, sample)]
    kinds += [("benign", one, whole) for one in (*_twins(opened, sample), *controls)]
    sets = []
    for number, (kind, one, drawn) in enumerate(kinds):
        selection = Selection(load(one, skip_bad=sample.skip_bad), drawn)
        selection.check(view)
        found = JudgedSet(f"{number}-{kind}", kind, selection, parts)
        if next(found.questions(), None) is None:
            what = "benign pair" if kind == "benign" else "pair"
            lacking = f" with what {asked.name} judges ({', '.join(parts)})"
            raise VlsbenchError(f"{found.name} holds no {what}{lacking}")
        sets.append(found)
    return JudgedPlan(
        measure=VIEW,
        sets=sets,
        judge=asked,
        sample=sample,
        budget=CostBudget.of(budget),
        connection=connection,
        output=output or Output(),
    )


def evaluate_guard(plan: JudgedPlan) -> GuardSummary:
    """Ask a guard about the text, the image and both of every pair, and write what it found.

    The same plan, which `plan_guard` made, resumes the same run; no call is paid for twice.

    Raises:
        FatalCall, LedgerError: The guard cannot work (key, name, address), or the disk.
    """
    return carry_out(plan.job(), plan.folder, partial(_conclude, plan))


def _conclude(plan: JudgedPlan, ledger: Ledger, stopped: str | None) -> GuardSummary:
    """Count, and write `summary.json`, `pairs.jsonl` and `report.html`."""
    bench = plan.sets[0]
    asked = [row for group in plan.sets for row in group.rows(ledger)]
    parts = bench.parts
    verdict = Part.PAIR if Part.PAIR in parts else parts[0]
    # A pair without an image is judged whole by its text.
    rows = [_whole(row) if verdict is Part.PAIR else row for row in asked]
    spend, served_by = spend_by_role(ledger)
    calls, reused, cost = total(spend)
    missed = (row for row in rows if row.harmful and row.pattern == "SSS")
    summary = GuardSummary(
        *head(SCHEMA, bench.selection.pairs),
        run=plan.folder.name,
        judge=plan.judge.name,
        simulated=bench.selection.pairs.simulated or any(map(is_simulated, served_by)),
        complete=ledger.meta("complete") is not None,
        stopped=stopped or "",
        pairs=len(bench.selection),
        calls=calls,
        reused=reused,
        cost=cost,
        form=plan.form,
        identity=plan.identity,
        verdict=verdict,
        open=plan.questions - len(ledger.ended()),
        left_out=tuple(ledger.left_out()),
        harmful=sum(row.harmful for row in rows),
        benign=sum(not row.harmful for row in rows),
        unscored=part_figures(rows, [verdict])[0].unscored,
        ways=tuple(ways(rows, verdict, parts)),
        auroc=area(rows, verdict),
        joint=joint_only(rows) if len(parts) == len(Part) else None,
        categories=tuple(categories(rows, verdict, parts)),
        misses=tuple(islice(missed, plan.output.gallery)),
    )
    said = (*_notes(summary, parts), *unread(asked), *plan.warnings(), *ledger.notes())
    summary = replace(summary, notes=said)
    write_json(summary, plan.folder / SUMMARY)
    write_jsonl((asdict(row) for row in asked), plan.folder / PAIRS)
    guard_page(summary).write(plan.folder / REPORT)
    return summary


def _whole(row: JudgedPair) -> JudgedPair:
    if [one.part for one in row.findings] != [Part.TEXT]:
        return row
    return replace(row, findings=(*row.findings, replace(row.findings[0], part=Part.PAIR)))


def _notes(found: GuardSummary, parts: Sequence[Part]) -> Iterator[str]:
    if found.simulated:
        yield "Simulated: the figures say nothing about a real guard or real pairs."
    if len(parts) == 1:
        yield (
            f"This guard judges {parts[0]}s alone: its verdict on a pair is that on the "
            f"{parts[0]}, and joint-only misses cannot be told from others."
        )
    if not found.benign:
        yield (
            "False alarms are unknown: there is no benign pair, and flagging everything detects as "
            "much (--controls lab/benign, mossbench, vlguard:safe_safes)."
        )
    if not found.harmful:
        yield "Detection is unknown: there is no harmful pair."
    if found.unscored:
        yield "Pairs without a verdict are in no rate; --retry unscored asks about them again."
    if not found.complete:
        yield "The run stopped before its end; open questions are in no figure."
