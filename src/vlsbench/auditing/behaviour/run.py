"""Measure C: does hiding the image change what a model does?

The same pairs are evaluated under views that hide or change the image (PAPER.md: a benchmark
that leaks lets a model be safe without looking), and so are benign controls, because a model that
refuses whatever says "this" looks safe and is not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vlsbench.auditing.behaviour.comprehension import Checked, check
from vlsbench.auditing.behaviour.figures import (
    REPLICATE,
    SCHEMA,
    Answers,
    Behaviour,
    Comprehension,
    changes_of,
    share,
    view_figures,
)
from vlsbench.auditing.head import Expense, head, total
from vlsbench.config import Sample
from vlsbench.errors import BadRows, VlsbenchError
from vlsbench.evaluation import (
    NO_BENIGN_NOTE,
    RUNS,
    SUMMARY,
    Evaluation,
    EvaluationPlan,
    Output,
    execute,
    read_pairs,
    read_summary,
    words_notes,
)
from vlsbench.files import write_json
from vlsbench.judge import HarmJudge, is_scored
from vlsbench.models import Usage, expected_price
from vlsbench.pairs import PairSet, View, image_faults

BEHAVIOUR = "behaviour.json"
BENCH = "bench"
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
    sets = [(BENCH, opened, sample)]
    for number, control in enumerate(controls):
        benign = _open(control, harmful=False, skip_bad=sample.skip_bad)
        sets.append((f"control-{number}", benign, replace(sample, limit=None)))
    # The benchmark's own benign pairs are controls too; they are its pairs, so a limit holds.
    if whole.name not in [c.name for c in controls] and any(not pair.harmful for pair in whole):
        sets.append(("own", _open(whole, harmful=False, skip_bad=sample.skip_bad), sample))
    wanted = list(dict.fromkeys((str(View.FULL), *views)))
    if COMPREHENSION in wanted and str(View.IMAGE) not in wanted:
        wanted.insert(1, str(View.IMAGE))

    def arm(key: str, pairs: PairSet, drawn: Sample, view: str) -> Arm:
        to = replace(output, out=(output.out or RUNS) / f"{key}-{view}")
        made = partial(Arm, key=key, set=pairs.name, part=view)
        again = view == REPLICATE
        try:
            planned = asking(
                pairs,
                view=View.FULL if again else view,
                samples=2 if again else 1,
                sample=drawn,
                output=to,
            )
        except VlsbenchError as error:
            if view == View.FULL:
                raise
            why = str(error)
            if isinstance(error, BadRows):
                some = f"{len(error.rows):,} pairs cannot be shown (--skip-bad leaves them out)"
                why = f"{some}: {error.rows[0].reason}"
            return made(missing=why)
        guess = planned.estimate
        # The first answers of a replicate are those of the full view.
        part = 0.5 if again else 1.0
        cost = None if guess is None or guess.cost is None else guess.cost * part
        calls = round(guess.calls * part) if guess else 0
        return made(calls=calls, cost=cost if guess else 0.0, plan=planned)

    arms = [
        arm(*given, view)
        for view in wanted
        if view != COMPREHENSION
        for given in (sets[:1] if view == REPLICATE else sets)
    ]
    if COMPREHENSION in wanted:
        arms.append(_comprehension(next(one for one in arms if one.part == View.IMAGE)))
    return tuple(arms)


def _comprehension(image: Arm) -> Arm:
    """Plan the check of what was answered to the neutral request."""
    arm = partial(Arm, key=BENCH, set=image.set, part=COMPREHENSION)
    planned = image.plan
    if planned is None:
        return arm(missing=image.missing)
    model = planned.judge.model
    if model is None or isinstance(planned.judge, HarmJudge):
        return arm(missing=f"{planned.judge.name} is no chat model, which alone could tell")
    if not any(pair.description for pair in planned.selection):
        return arm(missing="no pair has a description")
    calls = len(planned.selection)
    price = expected_price(planned.prices[planned.judge.name], model)
    tokens = Usage(calls * CHECK_TOKENS, calls * ANSWER_TOKENS)
    return arm(calls=calls, cost=price.cost(tokens) if price else None)


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
    rubric = read_summary(run / SUMMARY).rubric
    return [
        replace(row, label=rubric.side(row.harmful, row.label)) if is_scored(row.label) else row
        for row in read_pairs(run)
        if view != REPLICATE or row.sample == 1
    ]


def _understood(mine: Mapping[str, Answers], checked: Checked) -> Comprehension:
    known = checked.understood
    rows = [row for row in mine[View.FULL] if row.id in known]
    right = {view: [r for r in answers if known.get(r.id)] for view, answers in mine.items()}
    return Comprehension(
        share(rows, [known[row.id] for row in rows]),
        len(mine[View.FULL]) - len(rows),
        changes_of(right),
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
        changes=changes_of(mine),
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
    return replace(found, notes=(*_notes(first.notes, arms), *whys))


def _notes(of_runs: tuple[str, ...], arms: Sequence[Arm]) -> Iterator[str]:
    # Each run holds pairs of one kind; the controls are runs of their own.
    unknown = NO_BENIGN_NOTE.partition(":")[0]  # the rest was worded otherwise by some versions
    yield from (note for note in of_runs if not note.startswith(unknown))
    yield (
        "Without its image a pair may not be harmful any more: safety under a view that hides it "
        "is the share of replies that refuse or warn all the same."
    )
    for arm in arms:
        if arm.missing:
            yield f"{arm.set}, view {arm.part}: not run ({arm.missing})."
