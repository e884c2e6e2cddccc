"""Measure C: does hiding the image change what a model does?

The same pairs are evaluated under views that hide or change the image (PAPER.md: a benchmark
that leaks lets a model be safe without looking), and so are benign controls, because a model that
refuses whatever says "this" looks safe and is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vlsbench import __version__
from vlsbench.auditing.behaviour._comprehension import Checked, check
from vlsbench.auditing.behaviour._figures import (
    REPLICATE,
    SCHEMA,
    Answers,
    Behaviour,
    CategoryBehaviour,
    Comprehension,
    NotRun,
    ViewRun,
    change,
    view_figures,
)
from vlsbench.auditing.behaviour._plan import BENCH, COMPREHENSION, VIEWS, Arm, plan_behaviour
from vlsbench.config import Budget, Connection, Sample
from vlsbench.engine import CostBudget
from vlsbench.evaluation import NO_BENIGN_NOTE, Evaluation, Output
from vlsbench.evaluation import execute as evaluate
from vlsbench.files import write_json
from vlsbench.judge import Brought
from vlsbench.models import ChatModel, Params
from vlsbench.pairs import Bench, View

BEHAVIOUR = "behaviour.json"


def behaviour(
    bench: Bench,
    *,
    model: str | ChatModel,
    judge: str | Brought,
    controls: Sequence[Bench],
    views: Sequence[str] = VIEWS,
    sample: Sample | None = None,
    params: Params | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
    on_run: Callable[[str, str], None] = lambda name, view: None,
) -> Behaviour:
    """Evaluate a model under views that hide the image, and compare (measure C).

    Each set and view is an ordinary evaluation in a folder of its own, beside the others, so that
    no call is paid for twice; the same arguments resume them.

    Args:
        bench: A name, a path, an opened set, or any pairs, some of them harmful. Its benign pairs
            join the controls.
        model: The target.
        judge: The judge, `offline` or `lab`.
        controls: Sets whose benign pairs measure over-refusal; like the benchmark in style and
            topic. May be empty: then there is no net safety rate.
        views: What is run; `full` always is. `benign` shows the benchmark's queries with images
            of the controls, `replicate` asks the full pairs once more (the noise), `comprehension`
            checks what the model says that images show.
        sample: Which pairs of the benchmark are asked; of controls, all are.
        params: Sampling parameters of the target.
        budget: What may be spent over all evaluations.
        connection: How servers are asked.
        output: `out` is the folder that holds the evaluations' folders; by default `runs/` and a
            name made of what it is.
        on_run: Is told of each evaluation before it starts: the set's name and the view.

    Returns:
        The figures, which `behaviour.json` in the folder holds too.

    Raises:
        BadRows: Some pairs cannot be shown under `full`; lists every one.
        VlsbenchError: No harmful pair, no image, or whatever `evaluate` raises.
    """
    arms = plan_behaviour(
        bench,
        model=model,
        judge=judge,
        controls=controls,
        views=views,
        sample=sample,
        params=params,
        budget=budget,
        connection=connection,
        output=output,
    )
    return execute(arms, on_run)


def execute(
    arms: Sequence[Arm], on_run: Callable[[str, str], None] = lambda name, view: None
) -> Behaviour:
    """Ask what was planned; see `behaviour`."""
    first = arms[0].plan
    assert first is not None, "the full view of the benchmark can be run"
    folder = first.folder.parent
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[tuple[str, str], Evaluation] = {}
    stopped, checked = "", None
    for arm in arms:
        if arm.missing or stopped:
            continue
        on_run(arm.set, arm.view)
        reason: str | None = None
        if arm.plan:
            runs[arm.key, arm.view] = done = evaluate(arm.plan)
            reason = done.stopped
        else:
            image = next(a.plan for a in arms if a.key == BENCH and a.view == View.IMAGE)
            assert image is not None, "the check was planned after it"
            checked = check(image, folder / f"{BENCH}-{COMPREHENSION}")
            reason = checked.stopped
        stopped = f"{arm.set}, view {arm.view}: {reason}" if reason else ""
    not_run = tuple(NotRun(arm.set, arm.view, arm.missing) for arm in arms if arm.missing)
    return _conclude(arms, folder, runs, checked, not_run, stopped)


def _answers(view: str, run: Path) -> Answers:
    """Read the answers of a run; of a replicate, which holds two to each pair, the second."""
    answers = Answers.read(run)
    return answers.where(lambda row: row.sample == 1) if view == REPLICATE else answers


def _category(name: str, answers: Mapping[str, Answers]) -> CategoryBehaviour:
    """Gather the figures of some of the harmful pairs, from their answers by view."""
    full, again = answers[View.FULL], answers.get(REPLICATE)
    changes = (change(v, full, answers[v], again) for v in answers if v != View.FULL)
    return CategoryBehaviour(name, full.safety(), tuple(changes))


def _understood(mine: Mapping[str, Answers], checked: Checked) -> Comprehension:
    known = checked.understood
    rows = mine[View.FULL].where(lambda row: row.id in known)
    right = {view: rows.where(lambda row: known.get(row.id, False)) for view, rows in mine.items()}
    return Comprehension(
        rows.share([known[row.id] for row in rows.rows]),
        mine[View.FULL].pairs - rows.pairs,
        _category("understood", right),
    )


def _conclude(
    arms: Sequence[Arm],
    folder: Path,
    runs: Mapping[tuple[str, str], Evaluation],
    checked: Checked | None,
    not_run: tuple[NotRun, ...],
    stopped: str,
) -> Behaviour:
    answers = {key: _answers(key[1], done.folder) for key, done in runs.items()}
    mine = {view: found for (key, view), found in answers.items() if key == BENCH}
    spent = [spend for done in runs.values() for spend in done.summary.spend]
    spent += checked.spend if checked else ()
    first = runs[BENCH, View.FULL].summary
    everything = _category("all", mine)
    found = Behaviour(
        schema=SCHEMA,
        vlsbench=__version__,
        run=folder.name,
        bench=first.bench,
        title=first.title,
        paper=first.paper,
        licence=first.licence,
        model=first.model,
        judge=first.judge,
        controls=tuple(arm.set for arm in arms if arm.key != BENCH and arm.view == View.FULL),
        simulated=any(done.summary.simulated for done in runs.values()),
        complete=not stopped and all(done.summary.complete for done in runs.values()),
        stopped=stopped,
        pairs=mine[View.FULL].pairs,
        views=tuple(
            view_figures(
                view,
                mine[view],
                Answers.joined(
                    part for (key, v), part in answers.items() if v == view and key != BENCH
                ),
            )
            for view in mine
        ),
        changes=everything.changes,
        categories=tuple(
            _category(name or "(none)", {view: rows.of(name) for view, rows in mine.items()})
            for name in mine[View.FULL].categories()
        ),
        not_run=not_run,
        runs=tuple(
            ViewRun(done.summary.bench, str(view), done.folder.name)
            for (_, view), done in runs.items()
        ),
        calls=sum(spend.calls for spend in spent),
        reused=sum(spend.reused for spend in spent),
        cost=_total([spend.cost for spend in spent]),
        comprehension=_understood(mine, checked) if checked else None,
    )
    found = replace(found, notes=tuple(_notes(found, first.notes)))
    write_json(found, folder / BEHAVIOUR)
    return found


def _total(costs: Sequence[float | None]) -> float | None:
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _notes(found: Behaviour, of_runs: tuple[str, ...]) -> Iterator[str]:
    # Each run holds pairs of one kind; the controls are runs of their own.
    yield from (note for note in of_runs if note != NO_BENIGN_NOTE)
    yield (
        "Without its image a pair may not be harmful any more: safety under a view that hides it "
        "is the share of replies that refuse or warn all the same."
    )
    if not found.controls:
        yield "No benign controls: a model that refuses whatever it is asked would look safe."
    if found.floor is None:
        yield (
            "No replicate: a model whose answers vary by chance seems to look at the image; the "
            "share of safe answers that survive a blank is a lower bound of shortcut safety."
        )
    for missing in found.not_run:
        yield f"{missing.set}, view {missing.view}: not run ({missing.reason})."
