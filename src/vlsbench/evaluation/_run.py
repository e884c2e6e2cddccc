"""One evaluation from plan to files: prepare, execute, conclude."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from vlsbench import __version__
from vlsbench.engine import (
    Budget,
    Context,
    Ledger,
    Outcome,
    Record,
    Stage,
    StopSignal,
    Tally,
    heed_ctrl_c,
    open_siblings,
    run_local,
    worth_taking,
)
from vlsbench.evaluation._files import PAIRS, SUMMARY, PairsFile, write_summary
from vlsbench.evaluation._published import published_results
from vlsbench.evaluation._rows import pair_rows
from vlsbench.evaluation._settings import Selection, Settings
from vlsbench.evaluation._stages import ANSWER, JUDGE, AnswerStage
from vlsbench.evaluation._summarise import Counts, spend_by_role
from vlsbench.evaluation._summary_types import SCHEMA, Summary
from vlsbench.files import whole_file
from vlsbench.judge import RULES, Judge, JudgeStage, Label, Unscored
from vlsbench.models import ChatModel, Price
from vlsbench.pairs import Swapper

SLACK = 8
"""Records under way beyond the connections: their images are read while others wait for answers."""

RULES_NOTE = (
    "Judged by rules: refusals are recognised by wording (measured in docs/rules-judge.md); "
    "the split of the rest into warning and unsafe is by cue words and not validated."
)
SIMULATED_NOTE = "Simulated: a lab model took part, so the figures say nothing about a real model."
STOPPED_NOTE = "The run stopped before its end; open pairs are not in any rate."

Watch = Callable[[Tally], AbstractContextManager[None]]


@dataclass(frozen=True)
class Plan:
    """Everything that a run needs, opened and checked."""

    selection: Selection
    settings: Settings
    target: ChatModel
    judge: Judge
    identity: Mapping[str, object]
    folder: Path
    prices: Mapping[str, Price | None]
    concurrency: int = 32
    max_calls: int | None = None
    max_cost: float | None = None
    reuse: tuple[Path, ...] = ()
    """Runs, beside those next to `folder`, whose recorded calls may be taken over."""

    @property
    def judge_name(self) -> str:
        """As the user named it."""
        return self.judge.name


def tag_of(outcome: Outcome) -> str:
    """Name an outcome by its label."""
    return str(outcome.value["label"]) if outcome.kind == "keep" else str(Label.UNSCORED)


async def reopen_unscored(ledger: Ledger) -> int:
    """Open the unscored pairs again: at the target where it failed, else at the judge."""
    again: list[tuple[str, str]] = []
    for outcome in ledger.outcomes():
        if tag_of(outcome) != Label.UNSCORED:
            continue
        reason = outcome.value.get("reason")
        of_target = Unscored(reason).of_target if reason else outcome.stage == ANSWER
        again.append((outcome.record, ANSWER if of_target else JUDGE))
    if again:
        await ledger.reopen(again)
    return len(again)


async def execute(plan: Plan, ledger: Ledger, swapper: Swapper | None, watch: Watch) -> StopSignal:
    """Ask and judge every open pair.

    Ctrl-C stops new calls and lets those in flight be recorded; a second one leaves at once.

    Returns:
        The signal; it has a reason where the run stopped early.
    """
    signal_ = StopSignal()
    tally = Tally(total=len(plan.selection))
    for outcome in ledger.outcomes():
        tally.done += 1
        tally.outcomes[tag_of(outcome)] += 1
    budget = Budget(signal_, plan.max_calls, plan.max_cost, plan.prices)
    models = [plan.target, *([plan.judge.model] if plan.judge.model else [])]
    stages: Sequence[Stage] = [
        AnswerStage(plan.target, plan.settings, swapper, plan.folder),
        JudgeStage(plan.judge, JUDGE),
    ]
    width = plan.concurrency * len({model.endpoint for model in models}) + SLACK
    with ExitStack() as stack:
        siblings = open_siblings(plan.folder, plan.reuse, {model.spec for model in models}, stack)
        context = Context(ledger, siblings, budget, signal_, tally, keep_paid=worth_taking)
        stack.enter_context(heed_ctrl_c(signal_, tally))
        stack.enter_context(watch(tally))
        try:
            await run_local(
                stages,
                (Record(pair.id, pair) for pair in plan.selection),
                context,
                width=width,
                tag=tag_of,
            )
        finally:
            for model in models:
                await model.close()
    if not signal_:
        await ledger.set_meta(complete=_now())
    await ledger.event("stopped" if signal_ else "finished", reason=signal_.reason or "")
    return signal_


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _notes(plan: Plan, simulated: bool, complete: bool) -> tuple[str, ...]:
    return tuple(
        note
        for note, holds in (
            (SIMULATED_NOTE, simulated),
            (RULES_NOTE, plan.judge is RULES),
            (STOPPED_NOTE, not complete),
        )
        if holds
    )


def conclude(plan: Plan, ledger: Ledger) -> Summary:
    """Write `pairs.parquet` and `summary.json`, in one walk over the pairs."""
    counts = Counts()
    with whole_file(plan.folder / PAIRS) as part:
        file = PairsFile(part)
        try:
            for pair, row in pair_rows(plan.selection, ledger):
                counts.add(row, pair.cluster)
                file.add(row)
        finally:
            file.close()
    source = plan.selection.pairs.source
    complete = ledger.meta("complete") is not None
    spend, served_by = spend_by_role(ledger)
    simulated = any(name.startswith("lab/") for name in served_by)
    summary = Summary(
        schema=SCHEMA,
        vlsbench=__version__,
        run=plan.folder.name,
        bench=plan.selection.pairs.name,
        title=source.title if source else plan.selection.pairs.name,
        licence=source.licence if source else "",
        paper=source.paper if source else "",
        view=str(plan.settings.view),
        model=plan.target.spec,
        judge=plan.judge_name,
        identity=plan.identity,
        simulated=simulated,
        complete=complete,
        started=ledger.meta("started") or "",
        finished=ledger.meta("complete") or "",
        pairs=len(plan.selection),
        open=len(plan.selection) - counts.rows,
        left_out=tuple(
            {"file": row.file, "row": row.row, "reason": row.reason} for row in ledger.left_out()
        ),
        groups=counts.overall(),
        categories=counts.categories(),
        subcategories=counts.subcategories(),
        spend=spend,
        published=published_results(plan.selection.pairs.name, str(plan.settings.view)),
        notes=_notes(plan, simulated, complete),
    )
    write_summary(summary, plan.folder / SUMMARY)
    return summary
