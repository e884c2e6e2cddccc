"""Measure C: does hiding the picture change what a model does?

The same pairs are evaluated under views that hide or change the picture (PAPER.md: a benchmark
that leaks lets a model be safe without looking), and so are benign controls, because a model that
refuses whatever says "this" looks safe and is not.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from vlsbench import __version__
from vlsbench.auditing.behaviour._figures import (
    SCHEMA,
    Answers,
    Behaviour,
    CategoryBehaviour,
    NotRun,
    ViewRun,
    change,
    view_figures,
)
from vlsbench.config import Budget, Connection, Sample
from vlsbench.engine import CostBudget
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import RUNS, Evaluation, Output, evaluate, run_id
from vlsbench.files import write_json
from vlsbench.judge import Brought
from vlsbench.models import ChatModel
from vlsbench.pairs import Bench, Image, Pair, PairSet, Swapper, View, image_faults, load, show

BEHAVIOUR = "behaviour.json"
BENCH = "bench"
BENIGN = "benign"
"""Shows a harmful query with a picture of the benign controls."""
VIEWS = (*(str(v) for v in View if v is not View.IMAGE), BENIGN)


def behaviour(
    bench: Bench,
    *,
    model: str | ChatModel,
    judge: str | Brought,
    controls: Sequence[Bench],
    views: Sequence[str] = VIEWS,
    sample: Sample | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
    on_run: Callable[[str, str], None] = lambda name, view: None,
) -> Behaviour:
    """Evaluate a model under views that hide the image, and compare (measure C).

    Each set and view is an ordinary evaluation in a folder of its own, beside the others, so that
    no call is paid for twice; the same arguments resume them.

    Args:
        bench: A name, a path, an opened set, or any pairs, some of them harmful.
        model: The target.
        judge: The judge, `offline` or `lab`.
        controls: Sets whose benign pairs measure over-refusal; like the benchmark in style and
            topic. May be empty: then there is no net safety rate.
        views: What is run; `full` always is. `benign` shows the benchmark's queries with images
            of the controls.
        sample: Which pairs of each set are asked.
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
    sample, output = sample or Sample(), output or Output()
    spending = CostBudget.of(budget)
    opened = _open(bench, harmful=True, skip_bad=sample.skip_bad)
    benign = [_open(control, harmful=False, skip_bad=sample.skip_bad) for control in controls]
    if not any(pair.images for pair in opened):
        raise VlsbenchError(f"{opened.name} holds no image to hide")
    if unknown := set(views) - set(VIEWS):
        raise VlsbenchError(f"invalid view {', '.join(sorted(unknown))}: choose {', '.join(VIEWS)}")
    wanted = list(dict.fromkeys((str(View.FULL), *map(str, views))))
    identity = {
        "bench": opened.name,
        "view": "behaviour",
        "views": wanted,
        "controls": [control.name for control in benign],
        "seed": sample.seed,
        "limit": sample.limit,
    }
    names = [one if isinstance(one, str) else type(one).__name__ for one in (model, judge)]
    folder = output.out or RUNS / run_id(identity, *names)
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[tuple[str, str], Evaluation] = {}
    not_run, stopped = list[NotRun](), ""
    for key, pairs, view, missing in _jobs(opened, benign, wanted, sample.seed, sample.skip_bad):
        if missing:
            not_run.append(NotRun(pairs.name, view, missing))
        elif not stopped:
            on_run(pairs.name, view)
            done = evaluate(
                pairs,
                model=model,
                judge=judge,
                view=View.FULL if view == BENIGN else view,
                sample=sample,
                budget=spending,
                connection=connection,
                output=replace(output, out=folder / f"{key}-{view}"),
            )
            runs[key, view] = done
            stopped = f"{pairs.name}, view {view}: {done.stopped}" if done.stopped else ""
    return _conclude(opened, benign, folder, runs, tuple(not_run), stopped)


def _jobs(
    bench: PairSet, benign: Sequence[PairSet], views: Sequence[str], seed: int, skip_bad: bool
) -> Iterator[tuple[str, PairSet, str, str]]:
    """Walk what is to be evaluated: key, set, view, and why it cannot be (empty where it can)."""
    for view in views:
        if view == BENIGN:
            pictures = {i.ref: i for c in benign for p in c for i in p.images}
            if pictures:
                yield BENCH, _repictured(bench, list(pictures.values()), seed), view, ""
            else:
                yield BENCH, bench, view, "the controls have no pictures"
            continue
        sets = [(BENCH, bench), *((f"control-{n}", c) for n, c in enumerate(benign))]
        for key, pairs in sets:
            missing = "" if view == View.FULL else _lacking(pairs, View(view), seed, skip_bad)
            yield key, pairs, view, missing


def _open(bench: Bench, *, harmful: bool, skip_bad: bool) -> PairSet:
    """Open a set and leave out the pairs of the other kind, which are in no figure.

    With `skip_bad`, those whose picture is missing or broken go too, so that every view is asked
    about the same pairs.
    """
    pairs = load(bench, skip_bad=skip_bad)
    wanted = {pair.id for pair in pairs if pair.harmful is harmful}
    if not wanted:
        raise VlsbenchError(f"{pairs.name} holds no {'harmful' if harmful else 'benign'} pair")
    faults = image_faults(pair for pair in pairs if pair.id in wanted) if skip_bad else []
    wanted -= {fault.row for fault in faults}
    if len(wanted) == len(pairs):
        return pairs
    return PairSet(
        pairs.name,
        lambda: (*faults, *(pair for pair in pairs if pair.id in wanted)),
        skip_bad=skip_bad,
        source=pairs.source,
        variant=pairs.variant,
        root=pairs.root,
    )


def _repictured(bench: PairSet, pictures: Sequence[Image], seed: int) -> PairSet:
    """Give every pair other pictures; what was said of the old ones is left out."""
    names = sorted({image.ref for pair in bench for image in pair.images})
    order = random.Random(seed).choices(pictures, k=len(names))
    # Pairs that shared a picture go on sharing one.
    instead = dict(zip(names, order, strict=True))

    def rows() -> Iterator[Pair]:
        for pair in bench:
            images = tuple(instead[image.ref] for image in pair.images)
            yield replace(pair, images=images, description="", reason="")

    return PairSet(f"{bench.name} with benign pictures", rows, source=bench.source)


def _lacking(pairs: PairSet, view: View, seed: int, skip_bad: bool) -> str:
    """Say why a set cannot be shown under a view; empty where it can."""
    reasons: list[str] = []
    able = 0
    try:
        swapper = Swapper(pairs, seed) if view is View.SWAP else None
    except VlsbenchError as error:
        return str(error)
    for pair in pairs:
        try:
            show(pair, view, swapper)
            able += 1
        except VlsbenchError as error:
            reasons.append(str(error))
    if not reasons or (able and skip_bad):
        return ""
    if not able:
        return f"no pair can be shown: {reasons[0]}"
    return (
        f"{len(reasons)} of {able + len(reasons)} pairs cannot be shown (--skip-bad runs the rest)"
    )


def _conclude(
    bench: PairSet,
    benign: Sequence[PairSet],
    folder: Path,
    runs: dict[tuple[str, str], Evaluation],
    not_run: tuple[NotRun, ...],
    stopped: str,
) -> Behaviour:
    answers = {key: Answers.read(done.folder) for key, done in runs.items()}
    views = list(dict.fromkeys(view for _, view in runs))
    mine = {view: answers[BENCH, view] for view in views if (BENCH, view) in runs}
    full = mine[View.FULL]
    spent = [spend for done in runs.values() for spend in done.summary.spend]
    first = runs[BENCH, View.FULL].summary
    found = Behaviour(
        schema=SCHEMA,
        vlsbench=__version__,
        run=folder.name,
        bench=bench.name,
        title=first.title,
        paper=first.paper,
        licence=first.licence,
        model=first.model,
        judge=first.judge,
        controls=tuple(control.name for control in benign),
        simulated=any(done.summary.simulated for done in runs.values()),
        complete=not stopped and all(done.summary.complete for done in runs.values()),
        stopped=stopped,
        pairs=full.pairs,
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
        changes=tuple(change(view, full, mine[view]) for view in mine if view != View.FULL),
        categories=tuple(
            CategoryBehaviour(
                name or "(none)",
                full.of(name).safety(),
                tuple(
                    change(view, full.of(name), mine[view].of(name))
                    for view in mine
                    if view != View.FULL
                ),
            )
            for name in full.categories()
        ),
        not_run=not_run,
        runs=tuple(
            ViewRun(done.summary.bench, str(view), done.folder.name)
            for (_, view), done in runs.items()
        ),
        calls=sum(spend.calls for spend in spent),
        reused=sum(spend.reused for spend in spent),
        cost=_total([spend.cost for spend in spent]),
    )
    found = replace(found, notes=tuple(_notes(found, first.notes)))
    write_json(found, folder / BEHAVIOUR)
    return found


def _total(costs: Sequence[float | None]) -> float | None:
    return None if None in costs else sum(cost for cost in costs if cost is not None)


def _notes(found: Behaviour, of_runs: tuple[str, ...]) -> Iterator[str]:
    yield from of_runs
    yield (
        "Without its picture a pair may not be harmful any more: safety under a view that hides it "
        "is the share of replies that refuse or warn all the same."
    )
    if not found.controls:
        yield "No benign controls: a model that refuses whatever it is asked would look safe."
    for missing in found.not_run:
        yield f"{missing.set}, view {missing.view}: not run ({missing.reason})."
