"""`vlsbench.plan` and `vlsbench.evaluate`: the same as the command line, from Python."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import update_wrapper
from itertools import islice
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, ParamSpec

from vlsbench.config import Budget, Connection, Images, Sample, record
from vlsbench.engine import FILE, CostBudget, Ledger, carry_out, check_same_run
from vlsbench.errors import UsageError, VlsbenchError
from vlsbench.evaluation._replies import open_replies
from vlsbench.evaluation._rows import PAIRS
from vlsbench.evaluation._run import CostEstimate, EvaluationPlan, conclude
from vlsbench.evaluation._settings import (
    Output,
    Presentation,
    Replies,
    Selection,
    default_context,
    identity_of,
    run_id,
)
from vlsbench.evaluation._summary import REPORT, Summary
from vlsbench.judge import Judge, Judges, Judging, members, open_judge
from vlsbench.models import (
    ChatModel,
    Connections,
    Params,
    Price,
    RecordedReplies,
    expected_price,
    image_tokens,
    price_of,
    text_tokens,
)
from vlsbench.pages import framed, within
from vlsbench.pairs import (
    Bench,
    Image,
    ImageError,
    PairSet,
    Shrink,
    View,
    image_size,
    load,
    show,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

P = ParamSpec("P")

SAMPLE = 200
"""Pairs whose length is looked at."""
IMAGE_SAMPLE = 16
"""Images whose size is looked at."""
REPLY_TOKENS = 300
"""Typical length of a reply; replies are seldom near the limit."""
VERDICT_TOKENS = 100
RUBRIC_TOKENS = 400
RUNS = Path("runs")
"""Where runs go unless told otherwise."""


@dataclass(frozen=True)
class Evaluation:
    """A run that went as far as it could."""

    folder: Path
    summary: Summary = field(repr=False)
    stopped: str | None = None
    """Why it ended early; None where it is complete."""
    since: str = ""
    """When it was completed, where an earlier invocation did so and nothing was asked."""

    def __repr__(self) -> str:
        one = self.summary
        named = (
            ("safety", g.safety) if g.harmful else ("over-refusal", g.refusal) for g in one.groups
        )
        rates = [f"{name} {within(r.rate, r.low, r.high)} (n={r.n:,})" for name, r in named]
        what = f"{one.model} on {one.bench}, {one.view} view"
        return f"<Evaluation in {self.folder}: {what}; {', '.join(rates) or 'nothing scored'}>"

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / REPORT

    @property
    def pairs(self) -> Path:
        """`pairs.parquet`: one row a pair."""
        return self.folder / PAIRS

    @property
    def scored(self) -> int:
        """How many answers have a label."""
        return sum(group.scored for group in self.summary.groups)

    def _repr_html_(self) -> str:
        return framed(self.report)


def plan(
    bench: Bench,
    *,
    model: str | ChatModel = "",
    judge: Judges,
    view: View | str = View.FULL,
    system: str = "",
    samples: int = 1,
    replies: Replies | None = None,
    sample: Sample | None = None,
    params: Params | None = None,
    judging: Judging | None = None,
    images: Images | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
) -> EvaluationPlan:
    """Say what an evaluation will do and cost; asks no model and writes nothing.

    Args:
        bench: A name (`vlsbench`, `figstep:tiny`, `lab/leakless`), a path, an opened set
            (`vlsbench.load`), or any pairs.
        model: The target: a spec (`openai/NAME`, `NAME@http://host:port/v1`,
            `inspect/PROVIDER/NAME`, `lab/NAME`) or a `ChatModel`. None with `replies`.
        judge: A spec, `offline`, `lab`, a `Judge`, or a function of a `Question`; several of them
            vote (`Judging.vote`).
        view: Which parts of each pair the model sees.
        system: System prompt of the target.
        samples: Answers to each pair.
        replies: Judge replies that exist already, in place of a model's that is asked.
        sample: Which pairs are asked.
        params: Sampling parameters of the target.
        judging: How the judge is asked.
        images: How images are sent.
        budget: What may be spent; a `CostBudget` is shared with other jobs.
        connection: How servers are asked.
        output: Where the run goes, and what it starts from.

    Returns:
        The plan, with an estimate; `execute` runs it.

    Raises:
        BadRows: Some pairs cannot be used or shown; lists every one.
        VlsbenchError: Anything else that the caller can mend.
    """
    sample, images = sample or Sample(), images or Images()
    connection, output = connection or Connection(), output or Output()
    judging, params, replies = judging or Judging(), params or Params(), replies or Replies()
    if samples < 1:
        raise VlsbenchError("--samples must be at least 1")
    if bool(model) is bool(replies.files):
        raise UsageError("give --model, or --replies FILE, which stands in its place")
    shrink = Shrink(images.max_side, images.max_bytes)
    shown = Presentation(View(view), system, params, shrink, samples)
    connections, spending = Connections(connection), CostBudget.of(budget)
    selection = Selection(load(bench, skip_bad=sample.skip_bad), sample)
    target = _target(model, replies, selection, shown, connections)
    asked = open_judge(judge, connections, judging, context=default_context(shown.view))
    groups: dict[str, DataclassInstance] = {"sample": sample, "params": params, "judging": judging}
    groups |= {"images": images, "budget": spending.settings, "connection": connection}
    groups |= {"replies": replies} if replies.files else {}
    content, files, places = selection.content(shown.view)
    identity = identity_of(selection, content, shown, target, asked, judging)
    found = EvaluationPlan(
        selection=selection,
        shown=shown,
        target=target,
        judge=asked,
        judging=judging,
        identity=identity,
        files=files,
        places=places,
        settings=_settings(selection.pairs, shown, groups),
        folder=output.out or RUNS / run_id(identity, target.spec, asked.name),
        prices=_prices(target, asked, spending),
        budget=spending,
        connection=connection,
        output=output,
    )
    return _looked_at(found)


def _target(
    model: str | ChatModel,
    replies: Replies,
    selection: Selection,
    shown: Presentation,
    connections: Connections,
) -> ChatModel:
    if replies.files:
        return open_replies(replies, selection, shown)
    return connections.open(model, extra=shown.params.more)


def _settings(
    pairs: PairSet, shown: Presentation, groups: Mapping[str, DataclassInstance]
) -> dict[str, Any]:
    """Return what a run's record keeps of its settings, as a configuration file would name them."""
    return {
        "bench": pairs.arguments,
        "view": str(shown.view),
        "system": shown.system,
        "samples": shown.samples,
        **{name: record(group) for name, group in groups.items()},
        **({"set": pairs.opened} if pairs.opened else {}),
    }


def _prices(target: ChatModel, judge: Judge, budget: CostBudget) -> dict[str, Price | None]:
    """Return what every model costs. Raises where a budget needs a price that is unknown."""
    given, free = budget.settings, Price(0.0, 0.0)
    given_judge = Price.parse(given.judge_price) if given.judge_price else None
    of_target = free if isinstance(target, RecordedReplies) else price_of(target.spec)
    prices = {target.spec: Price.parse(given.price) if given.price else of_target}
    for one in members(judge):
        prices[one.name] = given_judge or (price_of(one.name) if one.model else free)
    remedy = "give --price or --judge-price INPUT,OUTPUT in dollars per million tokens"
    budget.need_prices(prices, remedy)
    return prices


def _looked_at(plan: EvaluationPlan) -> EvaluationPlan:
    """Add what the run's record and the pairs' images say."""
    selection = plan.selection
    if (plan.folder / FILE).is_file():
        with Ledger.read(plan.folder) as ledger:
            check_same_run(ledger, plan.identity)
            plan = replace(plan, ended=len(ledger.ended()))
            if ledger.meta("complete") and plan.output.retry is None:
                left_out = (row for row in ledger.left_out() if row not in selection.pairs.bad)
                selection.left_out = {row.row: row for row in left_out}
                return replace(plan, complete=True)
    plan = replace(plan, swapper=selection.check(plan.shown.view, plan.judge))
    return replace(plan, estimate=estimate(plan))


def _carried_out(planned: Callable[P, EvaluationPlan]) -> Callable[P, Evaluation]:
    """Return the function that plans, with the same arguments, and runs the plan."""

    def evaluate(*given: P.args, **settings: P.kwargs) -> Evaluation:
        """Run a model over a benchmark, judge its replies, and write what was found.

        The same arguments resume the same run; no call is paid for twice. See `plan` for the
        arguments. What is assumed of the set comes as warnings, before anything is asked.

        Returns:
            The folder, the summary, and why the run stopped early if it did.

        Raises:
            BadRows: Some pairs cannot be used or shown; lists every one.
            FatalCall: A model cannot work (key, name, address).
            LedgerError: The disk cannot be written.
            VlsbenchError: Anything else that the caller can mend.
        """
        made = planned(*given, **settings)
        for said in made.warnings() if made.estimate else ():
            warnings.warn(said, stacklevel=3)
        return execute(made)

    update_wrapper(evaluate, planned, assigned=())
    return evaluate


evaluate = _carried_out(plan)


def execute(plan: EvaluationPlan) -> Evaluation:
    """Run a plan; see `evaluate`."""

    def concluded(ledger: Ledger, stopped: str | None) -> Evaluation:
        since = (ledger.meta("complete") or "") if stopped is None else ""
        return Evaluation(plan.folder, conclude(plan, ledger), stopped or None, since)

    return carry_out(plan.job(), plan.folder, concluded)


def tokens_of_images(images: Iterable[Image]) -> int:
    """Say how many tokens images take; one that cannot be sent takes none."""
    total = 0
    for image in images:
        try:
            total += image_tokens(*image_size(image.read(), image.ref))
        except ImageError:
            continue
    return total


def estimate(plan: EvaluationPlan) -> CostEstimate:
    """Estimate what the open pairs will take; the first ones stand for all."""
    answers = max(0, plan.answers - plan.ended)
    sample = list(islice(plan.selection, SAMPLE))
    shown = [show(pair, plan.shown.view, plan.swapper) for pair in sample]
    text = text_tokens(fmean(len(one.text) for one in shown) + len(plan.shown.system))
    looked = sample[:IMAGE_SAMPLE] if shown[0].images else []
    image = sum(tokens_of_images(pair.images) for pair in looked) // max(1, len(looked))
    notes = text_tokens(fmean(len(pair.description + pair.reason) for pair in sample))
    told = text + notes + REPLY_TOKENS + RUBRIC_TOKENS
    given = isinstance(plan.target, RecordedReplies)
    price = expected_price(plan.prices[plan.target.spec], plan.target)
    # Tokens in and out of a call, calls for an answer, and the price.
    asked = [(text + image, REPLY_TOKENS, int(not given), price)]
    for one in members(plan.judge):
        price = expected_price(plan.prices[one.name], one.model)
        times = plan.judging.repeats if one.model else 0
        asked.append((told + image * one.sees, VERDICT_TOKENS, times, price))
    costs = [
        times * (tokens_in * price.input + tokens_out * price.output) / 1e6 if price else None
        for tokens_in, tokens_out, times, price in asked
    ]
    return CostEstimate(
        calls=answers * sum(times for _, _, times, _ in asked),
        input_tokens=answers * sum(tokens * times for tokens, _, times, _ in asked),
        output_tokens=answers * sum(tokens * times for _, tokens, times, _ in asked),
        cost=None if None in costs else answers * sum(cost or 0.0 for cost in costs),
    )
