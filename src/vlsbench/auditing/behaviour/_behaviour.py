"""Measure C: does hiding the picture change what a model does?

The same pairs are evaluated under views that hide or change the picture (PAPER.md: a benchmark
that leaks lets a model be safe without looking), and so are benign controls, because a model that
refuses whatever says "this" looks safe and is not.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.auditing.behaviour._figures import Answers, change, view_figures
from vlsbench.auditing.behaviour._types import SCHEMA, Behaviour, CategoryBehaviour, NotRun, ViewRun
from vlsbench.engine import FILE, Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import RUNS, Evaluation, evaluate, run_id
from vlsbench.files import write_json
from vlsbench.pairs import Image, Pair, PairSet, Swapper, View, image_faults, load, show

BEHAVIOUR = "behaviour.json"
BENCH = "bench"
BENIGN = "benign"
"""Shows a harmful query with a picture of the benign controls."""
VIEWS = (*(str(v) for v in View if v is not View.IMAGE), BENIGN)

Bench = str | os.PathLike[str] | PairSet


def behaviour(
    bench: Bench,
    *,
    model: str,
    judge: str,
    controls: Sequence[Bench],
    views: Sequence[str] = VIEWS,
    skip_bad: bool = False,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    max_calls: int | None = None,
    max_cost: float | None = None,
    on_run: Callable[[str, str], None] = lambda name, view: None,
    **options: Any,
) -> Behaviour:
    """Evaluate a model under views that hide the picture, and compare (measure C).

    Each set and view is an ordinary evaluation in a folder of its own, beside the others, so that
    no call is paid twice; the same arguments resume them.

    Args:
        bench: A name, a path, or an opened set, with harmful pairs.
        model: Spec of the target.
        judge: Spec of the judge, `rules` or `lab`.
        controls: Sets whose harmless pairs measure over-refusal; like the benchmark in style and
            topic. May be empty: then there is no net safety rate.
        views: What is run; `full` always is. `benign` shows the benchmark's queries with pictures
            of the controls.
        skip_bad: Leave unusable pairs out, and record them, rather than raise.
        seed: Of the sample and of the swap view.
        out: Folder that holds the evaluations' folders; by default `runs/` and a name made of
            what it is.
        max_calls: New calls of this invocation at most, over all evaluations.
        max_cost: US dollars that this invocation spends at most.
        on_run: Is told of each evaluation before it starts: the set's name and the view.
        options: Further ones of `vlsbench.evaluate` (`limit`, `concurrency`, `data`, …).

    Returns:
        The figures, which `behaviour.json` in the folder holds too.

    Raises:
        BadRows: Some pairs cannot be shown under `full`; lists every one.
        VlsbenchError: No harmful pair, no picture, or whatever `evaluate` raises.
    """
    loading = {key: options.pop(key) for key in ("data", "columns") if key in options}
    opened = _open(bench, harmful=True, skip_bad=skip_bad, **loading)
    benign = [_open(control, harmful=False, skip_bad=skip_bad) for control in controls]
    if not any(pair.images for pair in opened):
        raise VlsbenchError(f"{opened.name} holds no picture to hide")
    if unknown := set(views) - set(VIEWS):
        raise VlsbenchError(
            f"no view {', '.join(sorted(unknown))} here; there are {', '.join(VIEWS)}"
        )
    wanted = [str(View.FULL), *(v for v in dict.fromkeys(map(str, views)) if v != View.FULL)]
    identity = {
        "bench": opened.name,
        "view": "behaviour",
        "views": wanted,
        "controls": [control.name for control in benign],
        "seed": seed,
        "options": sorted(f"{key}={value}" for key, value in options.items()),
    }
    folder = Path(out) if out else RUNS / run_id(identity, model, judge)
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[tuple[str, str], Evaluation] = {}
    not_run: list[NotRun] = []
    stopped = ""
    for key, pairs, view, missing in _jobs(opened, benign, wanted, seed, skip_bad):
        if missing:
            not_run.append(NotRun(pairs.name, view, missing))
        elif not stopped:
            on_run(pairs.name, view)
            place = folder / f"{key}-{view}"
            calls, cost = _paid(place)
            done = evaluate(
                pairs,
                model=model,
                judge=judge,
                view=View.FULL if view == BENIGN else view,
                skip_bad=skip_bad,
                seed=seed,
                out=place,
                max_calls=max_calls,
                max_cost=max_cost,
                **options,
            )
            runs[key, view] = done
            stopped = f"{pairs.name}, view {view}: {done.stopped}" if done.stopped else ""
            now_calls, now_cost = _paid(place)
            max_calls = None if max_calls is None else max(0, max_calls - now_calls + calls)
            max_cost = None if max_cost is None else max(0.0, max_cost - now_cost + cost)
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


def _open(bench: Bench, *, harmful: bool, skip_bad: bool, **loading: Any) -> PairSet:
    """Open a set and leave out the pairs of the other kind, which are in no figure.

    With `skip_bad`, those whose picture is missing or broken go too, so that every view is asked
    about the same pairs.
    """
    pairs = bench if isinstance(bench, PairSet) else load(bench, skip_bad=skip_bad, **loading)
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


def _paid(folder: Path) -> tuple[int, float]:
    """Count the calls that a run paid for itself, and their known cost."""
    if not (folder / FILE).is_file():
        return 0, 0.0
    with Ledger.read(folder) as ledger:
        own = [call.cost or 0.0 for call in ledger.calls() if not call.reused_from]
    return len(own), sum(own)


def _conclude(
    bench: PairSet,
    benign: Sequence[PairSet],
    folder: Path,
    runs: dict[tuple[str, str], Evaluation],
    not_run: tuple[NotRun, ...],
    stopped: str,
) -> Behaviour:
    answers = {key: Answers.read(done.pairs) for key, done in runs.items()}
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
