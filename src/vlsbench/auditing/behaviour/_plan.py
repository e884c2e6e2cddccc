"""What measure C asks: every set under every view, and what that takes."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vlsbench.auditing.behaviour._figures import REPLICATE
from vlsbench.config import Budget, Connection, Sample
from vlsbench.engine import CostBudget
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import RUNS, EvaluationPlan, Output, plan, run_id
from vlsbench.judge import OURS, Brought, Judging, Rubric, read_rubric
from vlsbench.models import ChatModel, Params, expected_price
from vlsbench.pairs import Bench, Image, Pair, PairSet, View, image_faults, load

BENCH = "bench"
OWN = "own"
"""The benchmark's own benign pairs."""
CHECK_TOKENS, ANSWER_TOKENS = 450, 60
"""Of one comprehension check, roughly."""
BENIGN = "benign"
"""Shows a harmful query with an image of the benign controls."""
COMPREHENSION = "comprehension"
"""Holds what the model says an image shows against the description; needs the view `image`."""
VIEWS = (*map(str, View), BENIGN, REPLICATE, COMPREHENSION)


@dataclass(frozen=True)
class Arm:
    """One thing that is asked for measure C."""

    key: str
    """`bench`, or which control set."""
    set: str
    view: str
    calls: int = 0
    """At most; what is on record already, or shared with another arm, is not asked again."""
    cost: float | None = 0.0
    """US dollars, roughly; None where a price is unknown."""
    plan: EvaluationPlan | None = None
    """None for the comprehension check, which reads another arm's replies."""
    missing: str = ""
    """Why it cannot be run; empty where it can."""


def plan_behaviour(
    bench: Bench,
    *,
    model: str | ChatModel,
    judge: str | Brought,
    rubric: str | Rubric = OURS,
    controls: Sequence[Bench],
    views: Sequence[str] = VIEWS,
    sample: Sample | None = None,
    params: Params | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
) -> tuple[Arm, ...]:
    """Say what `behaviour` will ask; asks no model and writes nothing.

    Args:
        bench: A name, a path, an opened set, or any pairs, some of them harmful. Its benign pairs
            join the controls.
        model: The target.
        judge: The judge, `offline` or `lab`.
        rubric: By which it labels replies, as for `vlsbench.evaluate`.
        controls: Sets whose benign pairs measure over-refusal; like the benchmark in style and
            topic. May be empty: then there is no net safety rate.
        views: What is run; `full` always is. `benign` shows the benchmark's queries with images
            of the controls, `replicate` asks the full pairs once more (the noise), `comprehension`
            checks what the model says that images show.
        sample: Which pairs of the benchmark are asked; of controls, all are.
        params, budget, connection: As for `vlsbench.evaluate`; the budget is for all evaluations.
        output: `out` is the folder that holds the evaluations' folders; by default `runs/` and a
            name made of what it is.

    Returns:
        One arm for each set and view, the benchmark's full view first.

    Raises:
        BadRows: Some pairs cannot be shown under `full`; lists every one.
        VlsbenchError: No harmful pair, no image, or anything else that the caller can mend.
    """
    sample, output = sample or Sample(), output or Output()
    spending = CostBudget.of(budget)
    if unknown := set(views) - set(VIEWS):
        raise VlsbenchError(f"invalid view {', '.join(sorted(unknown))}: choose {', '.join(VIEWS)}")
    whole = load(bench, skip_bad=sample.skip_bad)
    opened = _open(whole, harmful=True, skip_bad=sample.skip_bad)
    if not any(pair.images for pair in opened):
        said = f"{opened.name} holds no image to hide"
        raise VlsbenchError("; ".join((said, *whole.columns.hints)))
    benign = [_open(control, harmful=False, skip_bad=sample.skip_bad) for control in controls]
    # The benchmark's own benign pairs are controls too; they are its pairs, so a limit holds.
    mine = whole.name not in [c.name for c in benign] and any(not p.harmful for p in whole)
    own = [_open(whole, harmful=False, skip_bad=sample.skip_bad)] if mine else []
    wanted = list(dict.fromkeys((str(View.FULL), *map(str, views))))
    if COMPREHENSION in wanted and str(View.IMAGE) not in wanted:
        wanted.insert(1, str(View.IMAGE))
    names = [one if isinstance(one, str) else type(one).__name__ for one in (model, judge)]
    identity = {
        "bench": opened.name,
        "view": "behaviour",
        "views": wanted,
        "controls": [control.name for control in benign],
        "seed": sample.seed,
        "limit": sample.limit,
        **read_rubric(rubric).identity,
    }
    folder = output.out or RUNS / run_id(identity, *names)
    asking = partial(
        plan,
        model=model,
        judge=judge,
        judging=Judging(rubric=rubric),
        params=params,
        budget=spending,
        connection=connection,
    )
    arms: list[Arm] = []
    for key, pairs, view, missing in _jobs(opened, benign, own, wanted, sample.seed):
        of_set = replace(sample, limit=None) if key.startswith("control") else sample
        into = replace(output, out=folder / f"{key}-{view}")
        arm = partial(Arm, key, pairs.name, view)
        arms.append(
            arm(missing=missing) if missing else _arm(arm, pairs, view, asking, of_set, into)
        )
    if COMPREHENSION in wanted:
        arms.append(_comprehension(next(a for a in arms if a.view == View.IMAGE)))
    return tuple(arms)


def _arm(
    arm: Callable[..., Arm],
    pairs: PairSet,
    view: str,
    asking: Callable[..., EvaluationPlan],
    sample: Sample,
    output: Output,
) -> Arm:
    """Plan one view of one set; a view that the set cannot give says why."""
    again = view == REPLICATE
    try:
        planned = asking(
            pairs,
            view=View.FULL if view in (BENIGN, REPLICATE) else view,
            samples=2 if again else 1,
            sample=sample,
            output=output,
        )
    except VlsbenchError as error:
        if view == View.FULL:
            raise
        return arm(missing=_why_not(error, min(len(pairs), sample.limit or len(pairs))))
    guess = planned.estimate
    calls, cost = (guess.calls, guess.cost) if guess else (0, 0.0)
    if again:
        # The first answers of a replicate are those of the full view.
        calls, cost = round(calls / 2), None if cost is None else cost / 2
    return arm(calls, cost, planned)


def _comprehension(image: Arm) -> Arm:
    """Plan the check of what was answered to the neutral request."""
    planned = image.plan
    missing = image.missing
    if planned and planned.judge.model is None:
        missing = f"the judge {planned.judge.name} asks no model"
    elif planned and not any(pair.description for pair in planned.selection):
        missing = "no pair has a description"
    if missing or planned is None:
        return Arm(BENCH, image.set, COMPREHENSION, missing=missing)
    calls = len(planned.selection)
    price = expected_price(planned.prices[planned.judge.name], planned.judge.model)
    each = (CHECK_TOKENS * price.input + ANSWER_TOKENS * price.output) / 1e6 if price else None
    cost = None if each is None else calls * each
    return Arm(BENCH, image.set, COMPREHENSION, calls, cost)


def _jobs(
    bench: PairSet,
    benign: Sequence[PairSet],
    own: Sequence[PairSet],
    views: Sequence[str],
    seed: int,
) -> Iterator[tuple[str, PairSet, str, str]]:
    """Walk what is to be evaluated: key, set, view, and why it cannot be (empty where it can)."""
    controls = [*((f"control-{n}", c) for n, c in enumerate(benign)), *((OWN, c) for c in own)]
    for view in views:
        if view == BENIGN:
            images = {i.ref: i for _, c in controls for p in c for i in p.images}
            if images:
                yield BENCH, _with_other_images(bench, list(images.values()), seed), view, ""
            else:
                yield BENCH, bench, view, "the controls have no images"
        elif view == REPLICATE:
            yield BENCH, bench, view, ""
        elif view != COMPREHENSION:
            yield from ((key, pairs, view, "") for key, pairs in ((BENCH, bench), *controls))


def _why_not(error: VlsbenchError, asked: int) -> str:
    if not isinstance(error, BadRows):
        return str(error)
    if len(error.rows) < asked:
        return f"{len(error.rows)} of {asked} pairs cannot be shown (--skip-bad runs the rest)"
    return f"no pair can be shown: {error.rows[0].reason}"


def _open(bench: Bench, *, harmful: bool, skip_bad: bool) -> PairSet:
    """Open a set and leave out the pairs of the other kind, which are in no figure.

    With `skip_bad`, those whose image is missing or broken go too, so that every view is asked
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


def _with_other_images(bench: PairSet, images: Sequence[Image], seed: int) -> PairSet:
    """Give every pair other images; what was said of the old ones is left out."""
    names = sorted({image.ref for pair in bench for image in pair.images})
    # Pairs that shared an image go on sharing one.
    instead = dict(zip(names, random.Random(seed).choices(images, k=len(names)), strict=True))

    def rows() -> Iterator[Pair]:
        for pair in bench:
            shown = tuple(instead[image.ref] for image in pair.images)
            yield replace(pair, images=shown, description="", reason="")

    return PairSet(f"{bench.name} with benign pictures", rows, source=bench.source)
