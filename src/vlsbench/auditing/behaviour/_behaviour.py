"""Measure C: does hiding the image change what a model does?

The same pairs are evaluated under views that hide or change the image (PAPER.md: a benchmark
that leaks lets a model be safe without looking), and so are benign controls, because a model that
refuses whatever says "this" looks safe and is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vlsbench.auditing._head import head, total
from vlsbench.auditing.behaviour._figures import (
    REPLICATE,
    SCHEMA,
    Answers,
    Behaviour,
    Comprehension,
    NotRun,
    ViewRun,
    category_figures,
    in_our_labels,
    share,
    view_figures,
)
from vlsbench.auditing.behaviour._plan import BENCH, COMPREHENSION, Arm
from vlsbench.auditing.behaviour.comprehension import Checked, check
from vlsbench.evaluation import (
    NO_BENIGN_NOTE,
    SUMMARY,
    Evaluation,
    EvaluationPlan,
    execute,
    read_pairs,
    read_summary,
    words_notes,
)
from vlsbench.files import write_json
from vlsbench.pairs import View

BEHAVIOUR = "behaviour.json"


def compare_views(
    arms: Sequence[Arm], on_run: Callable[[str, str], None] = lambda name, view: None
) -> Behaviour:
    """Evaluate a model under views that hide the image, and compare (measure C).

    Each arm is an ordinary evaluation in a folder of its own, beside the others, so that no call is
    paid for twice. `on_run` is told of the set and the view before each. Returns the figures, which
    `behaviour.json` in the arms' folder holds too.
    """
    first = arms[0].plan
    assert first is not None, "the full view of the benchmark can be run"
    folder = first.folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[tuple[str, str], Evaluation] = {}
    stopped, checked = "", None
    for arm in arms:
        if arm.missing or stopped:
            continue
        on_run(arm.set, arm.part)
        if arm.plan:
            runs[arm.key, arm.part] = done = execute(arm.plan)
            reason = done.stopped
        else:
            image = next(a.plan for a in arms if a.key == BENCH and a.part == View.IMAGE)
            assert image is not None, "the check was planned after it"
            checked = check(image, folder / f"{BENCH}-{COMPREHENSION}")
            reason = checked.stopped
        stopped = f"{arm.set}, view {arm.part}: {reason}" if reason else ""
    found = _conclude(arms, first, runs, checked, stopped)
    write_json(found, folder / BEHAVIOUR)
    return found


def _answers(view: str, run: Path) -> Answers:
    """Read the answers of a run; of a replicate, which holds two to each pair, the second."""
    rows = (row for row in read_pairs(run) if view != REPLICATE or row.sample == 1)
    return in_our_labels(rows, read_summary(run / SUMMARY).rubric)


def _understood(mine: Mapping[str, Answers], checked: Checked) -> Comprehension:
    known = checked.understood
    rows = [row for row in mine[View.FULL] if row.id in known]
    right = {view: [r for r in answers if known.get(r.id)] for view, answers in mine.items()}
    return Comprehension(
        share(rows, [known[row.id] for row in rows]),
        len(mine[View.FULL]) - len(rows),
        category_figures("understood", right),
    )


def _conclude(
    arms: Sequence[Arm],
    full: EvaluationPlan,
    runs: Mapping[tuple[str, str], Evaluation],
    checked: Checked | None,
    stopped: str,
) -> Behaviour:
    answers = {key: _answers(key[1], done.folder) for key, done in runs.items()}
    mine = {view: found for (key, view), found in answers.items() if key == BENCH}
    benign = {
        view: [r for (key, v), rows in answers.items() if v == view and key != BENCH for r in rows]
        for view in mine
    }
    spent = [spend for done in runs.values() for spend in done.summary.spend]
    calls, reused, cost = total((*spent, *(checked.spend if checked else ())))
    first = runs[BENCH, View.FULL].summary
    found = Behaviour(
        *head(SCHEMA, full.selection.pairs),
        run=full.folder.parent.name,
        model=first.model,
        judge=first.judge,
        controls=tuple(arm.set for arm in arms if arm.key != BENCH and arm.part == View.FULL),
        simulated=any(done.summary.simulated for done in runs.values()),
        complete=not stopped and all(done.summary.complete for done in runs.values()),
        stopped=stopped,
        pairs=len(mine[View.FULL]),
        views=tuple(view_figures(view, mine[view], benign[view]) for view in mine),
        changes=category_figures("all", mine).changes,
        categories=tuple(
            category_figures(
                name or "(none)",
                {view: [r for r in rows if r.category == name] for view, rows in mine.items()},
            )
            for name in sorted({row.category for row in mine[View.FULL]})
        ),
        not_run=tuple(NotRun(arm.set, arm.part, arm.missing) for arm in arms if arm.missing),
        runs=tuple(
            ViewRun(done.summary.bench, str(view), done.folder.name)
            for (_, view), done in runs.items()
        ),
        calls=calls,
        reused=reused,
        cost=cost,
        comprehension=_understood(mine, checked) if checked else None,
    )
    whys = (
        f"{done.summary.bench}, view {view}: {why}"
        for (_, view), done in runs.items()
        for why in words_notes(done.summary.unscored_words)
    )
    return replace(found, notes=(*_notes(found, first.notes), *whys))


def _notes(found: Behaviour, of_runs: tuple[str, ...]) -> Iterator[str]:
    # Each run holds pairs of one kind; the controls are runs of their own.
    yield from (note for note in of_runs if note != NO_BENIGN_NOTE)
    yield (
        "Without its image a pair may not be harmful any more: safety under a view that hides it "
        "is the share of replies that refuse or warn all the same."
    )
    if found.floor is None:
        yield (
            "No replicate: a model whose answers vary by chance seems to look at the image; the "
            "share of safe answers that survive a blank is a lower bound of shortcut safety."
        )
    for missing in found.not_run:
        yield f"{missing.set}, view {missing.view}: not run ({missing.reason})."
