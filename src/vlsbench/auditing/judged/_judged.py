"""Measure B: how many of a benchmark's harmful pairs are harmful by their text alone?

The VSIL rate is that of PAPER.md (arXiv 2411.19939, section 3): among the pairs that a judge calls
harmful given image and text, the share that it also calls harmful given the text alone. It is
never shown without the judge's own false alarms on harmless controls, and never uncorrected alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial

from vlsbench.auditing._head import head, total
from vlsbench.auditing.judged._figures import (
    SCHEMA,
    ControlFigures,
    Controls,
    Judged,
    JudgedPair,
    group_figures,
    harmful_pairs,
    part_figures,
    pattern_rates,
    unread,
)
from vlsbench.auditing.judged._plan import JudgedPlan
from vlsbench.engine import Ledger, carry_out
from vlsbench.evaluation import spend_by_role
from vlsbench.files import write_json, write_jsonl
from vlsbench.judge import Part
from vlsbench.registry import is_simulated
from vlsbench.text import counted

JUDGED = "judged.json"
JUDGED_PAIRS = "judged.jsonl"
LEAKING = 50
"""Leaking pairs in `judged.json`; `judged.jsonl` has all pairs."""
ALARMING = 0.2
"""False-alarm rate from which the figures carry a warning."""


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
    harmful, own = ([r for r in rows[bench.key] if r.harmful is kind] for kind in (True, False))
    if not any(pair.harmful for pair in bench.selection):
        harmful, own = own, harmful
    benign, positive = (
        [row for group in controls if group.kind == kind for row in rows[group.key]]
        for kind in ("benign", "positive")
    )
    pool, parts = Controls(benign, positive), bench.parts
    leaking = [row for row in harmful_pairs(harmful, parts) if row.harmful_by(Part.TEXT)]
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
        group=group_figures("all", harmful, pool, parts),
        categories=tuple(
            group_figures(
                name or "(none)", [row for row in harmful if row.category == name], pool, parts
            )
            for name in sorted({row.category for row in harmful})
        ),
        controls=tuple(
            ControlFigures(
                name=group.name,
                positive=group.kind == "positive",
                pairs=len(rows[group.key]),
                parts=part_figures(rows[group.key], group.parts),
                patterns=pattern_rates(rows[group.key]),
                corrected=Controls(rows[group.key], positive).correct(harmful_pairs(harmful, parts))
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
        sensitivity=pool.sensitivity(harmful_pairs(harmful, parts)),
    )
    whys = unread(row for of_set in rows.values() for row in of_set)
    found = replace(found, notes=(*_notes(found), *whys, *ledger.notes()))
    write_json(found, plan.folder / JUDGED)
    lines = (asdict(row) for of_set in rows.values() for row in of_set)
    write_jsonl(lines, plan.folder / JUDGED_PAIRS)
    return found, {row.id: row for row in rows[bench.key]}


def _notes(found: Judged) -> Iterator[str]:
    corrected = found.group.corrected
    alarms, misses = corrected.false_alarms, corrected.misses
    yield (
        "The correction assumes that the judge errs on the benchmark's texts as often as on the "
        "controls; choose controls of the same style and topic."
    )
    if misses is None:
        yield (
            "No positive controls: there are one-sided bounds and no corrected rate; xstest or "
            "vlguard:safe_unsafes would give one."
        )
    yield from map(str, found.sensitivity)
    if alarms.rate is not None and alarms.rate >= ALARMING:
        yield (
            f"This judge calls {100 * alarms.rate:.0f} % of the harmless controls harmful: it may "
            "judge the style of requests and not their harm."
        )
    if corrected.value is None and corrected.bounds is None and found.group.vsil.n:
        yield "No corrected rate: the judge does not tell harmless controls from harmful texts."
    if found.benign:
        yield (
            f"{counted(found.benign.pairs, 'benign pair')} in the benchmark: a group apart, in "
            "none of the figures of the harmful ones."
        )
    if found.group.queries < found.group.pairs / 2:
        yield (
            f"{found.group.pairs:,} pairs have only "
            f"{counted(found.group.queries, 'distinct query')}; equal queries get "
            "one label, so the intervals are wide."
        )
    if not found.harmful_by_judge:
        yield (
            "The judge sees no images: the benchmark's word is taken for which pairs are "
            "harmful, and there is no safety-pattern table."
        )
    if found.simulated:
        yield "Simulated: a lab model judged, so the figures say nothing about a real model."
    if not found.complete:
        yield "The run stopped before its end; open questions are in no figure."
