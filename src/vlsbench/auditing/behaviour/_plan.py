"""What measure C asks: every set under every view, and what that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from vlsbench.auditing._head import Expense
from vlsbench.auditing.behaviour._figures import REPLICATE
from vlsbench.config import Sample
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import RUNS, EvaluationPlan, Output
from vlsbench.judge import HarmJudge
from vlsbench.models import Usage, expected_price
from vlsbench.pairs import PairSet, View, image_faults

BENCH = "bench"
OWN = "own"
"""The benchmark's own benign pairs."""
CHECK_TOKENS, ANSWER_TOKENS = 450, 60
"""Of one comprehension check, roughly."""
COMPREHENSION = "comprehension"
"""Holds what the model says an image shows against the description; needs the view `image`."""
VIEWS = (*map(str, View), REPLICATE, COMPREHENSION)


@dataclass(frozen=True, kw_only=True)
class Arm(Expense):
    """One thing that is asked for measure C; its part is the view."""

    key: str
    """`bench`, or which control set."""
    plan: EvaluationPlan | None = None
    """None for the comprehension check, which reads another arm's replies."""


def plan_behaviour(
    whole: PairSet,
    controls: Sequence[PairSet],
    views: Sequence[str],
    sample: Sample,
    output: Output,
    asking: Callable[..., EvaluationPlan],
) -> tuple[Arm, ...]:
    """Return an arm for each set and view, the benchmark's full view first; asks no model.

    The full view is always among them, and the benchmark's own benign pairs join the controls.
    `sample` is of the benchmark; `asking` is `evaluation.plan` with a model, a judge, parameters
    and a budget. Raises `VlsbenchError` where some pair cannot be shown under the full view.
    """
    if unknown := set(views) - set(VIEWS):
        raise VlsbenchError(f"invalid view {', '.join(sorted(unknown))}: choose {', '.join(VIEWS)}")
    opened = _open(whole, harmful=True, skip_bad=sample.skip_bad)
    if not any(pair.images for pair in opened):
        said = f"{opened.name} holds no image to hide"
        raise VlsbenchError("; ".join((said, *whole.columns.hints)))
    benign = [_open(control, harmful=False, skip_bad=sample.skip_bad) for control in controls]
    # The benchmark's own benign pairs are controls too; they are its pairs, so a limit holds.
    mine = whole.name not in [c.name for c in benign] and any(not p.harmful for p in whole)
    own = [_open(whole, harmful=False, skip_bad=sample.skip_bad)] if mine else []
    wanted = list(dict.fromkeys((str(View.FULL), *views)))
    if COMPREHENSION in wanted and str(View.IMAGE) not in wanted:
        wanted.insert(1, str(View.IMAGE))
    sets = [
        (BENCH, opened),
        *((f"control-{number}", control) for number, control in enumerate(benign)),
        *((OWN, control) for control in own),
    ]
    arms = [
        _arm(
            key,
            pairs,
            view,
            asking,
            replace(sample, limit=None) if key.startswith("control") else sample,
            replace(output, out=(output.out or RUNS) / f"{key}-{view}"),
        )
        for view in wanted
        if view != COMPREHENSION
        for key, pairs in (sets[:1] if view == REPLICATE else sets)
    ]
    if COMPREHENSION in wanted:
        arms.append(_comprehension(next(arm for arm in arms if arm.part == View.IMAGE)))
    return tuple(arms)


def _arm(
    key: str,
    pairs: PairSet,
    view: str,
    asking: Callable[..., EvaluationPlan],
    sample: Sample,
    output: Output,
) -> Arm:
    """Plan one view of one set; a view that the set cannot give says why."""
    again = view == REPLICATE
    arm = partial(Arm, key=key, set=pairs.name, part=view)
    try:
        planned = asking(
            pairs,
            view=View.FULL if again else view,
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
    return arm(calls=calls, cost=cost, plan=planned)


def _comprehension(image: Arm) -> Arm:
    """Plan the check of what was answered to the neutral request."""
    arm = partial(Arm, key=BENCH, set=image.set, part=COMPREHENSION)
    planned = image.plan
    if planned is None:
        return arm(missing=image.missing)
    if planned.judge.model is None:
        return arm(missing=f"the judge {planned.judge.name} asks no model")
    if isinstance(planned.judge, HarmJudge):
        return arm(missing=f"{planned.judge.name} is a guard, which answers no other question")
    if not any(pair.description for pair in planned.selection):
        return arm(missing="no pair has a description")
    calls = len(planned.selection)
    price = expected_price(planned.prices[planned.judge.name], planned.judge.model)
    tokens = Usage(calls * CHECK_TOKENS, calls * ANSWER_TOKENS)
    return arm(calls=calls, cost=price.cost(tokens) if price else None)


def _why_not(error: VlsbenchError, asked: int) -> str:
    if not isinstance(error, BadRows):
        return str(error)
    if len(error.rows) < asked:
        return f"{len(error.rows)} of {asked} pairs cannot be shown (--skip-bad runs the rest)"
    return f"no pair can be shown: {error.rows[0].reason}"


def _open(pairs: PairSet, *, harmful: bool, skip_bad: bool) -> PairSet:
    """Leave out the pairs of the other kind, which are in no figure.

    With `skip_bad`, those whose image is missing or broken go too, so that every view is asked
    about the same pairs.
    """
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
