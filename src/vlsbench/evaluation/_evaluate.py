"""`vlsbench.plan` and `vlsbench.evaluate`: the same as the command line, from Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.config import Budget, Connection, Images, Sample, record
from vlsbench.engine import FILE, CostBudget, Ledger, check_same_run, run_async
from vlsbench.errors import Stopped, VlsbenchError
from vlsbench.evaluation._estimate import estimate
from vlsbench.evaluation._page import write_report
from vlsbench.evaluation._rows import PAIRS, pair_rows
from vlsbench.evaluation._run import EvaluationPlan, conclude, reopen_unscored
from vlsbench.evaluation._settings import (
    Output,
    Presentation,
    Selection,
    default_context,
    identity_of,
    run_id,
)
from vlsbench.evaluation._summary import REPORT, SUMMARY, Summary, read_summary
from vlsbench.files import whole_file
from vlsbench.judge import Brought, Judge, Judging, Label, open_judge
from vlsbench.models import ChatModel, Connections, Params, Price, price_of
from vlsbench.pairs import Bench, ImageError, Pair, Shrink, View, load

RUNS = Path("runs")
"""Where runs go unless told otherwise."""


@dataclass(frozen=True)
class Evaluation:
    """A run that went as far as it could."""

    folder: Path
    summary: Summary
    stopped: str | None = None
    """Why it ended early; None where it is complete."""

    @property
    def report(self) -> Path:
        """The HTML report."""
        return self.folder / REPORT

    @property
    def pairs(self) -> Path:
        """`pairs.parquet`: one row a pair."""
        return self.folder / PAIRS


def plan(
    bench: Bench,
    *,
    model: str | ChatModel,
    judge: str | Brought,
    view: View | str = View.FULL,
    system: str = "",
    samples: int = 1,
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
            `inspect/PROVIDER/NAME`, `lab/NAME`) or a `ChatModel`.
        judge: A spec, `offline`, `lab`, a `Judge`, or a function of a `Question`.
        view: Which parts of each pair the model sees.
        system: System prompt of the target.
        samples: Answers to each pair.
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
    judging, params = judging or Judging(), params or Params()
    shrink = Shrink(images.max_side, images.max_bytes)
    if samples < 1:
        raise VlsbenchError("--samples must be at least 1")
    shown = Presentation(View(view), system, params, shrink, samples)
    connections = Connections.of(connection, file_images=images.transport == "file")
    pairs = load(bench, skip_bad=sample.skip_bad)
    target = connections.open(model)
    asked = open_judge(judge, connections, judging, context=default_context(shown.view))
    limits = (spending := CostBudget.of(budget)).settings
    prices = _prices(target, asked, limits)
    spending.need_prices(
        prices, "give --price or --judge-price INPUT,OUTPUT in dollars per million tokens"
    )
    selection = Selection(pairs, sample)
    identity = identity_of(selection, shown, target, asked, judging)
    found = EvaluationPlan(
        selection=selection,
        shown=shown,
        target=target,
        judge=asked,
        judging=judging,
        identity=identity,
        settings={
            **{"view": str(shown.view), "system": system, "samples": samples},
            **{"sample": record(sample), "params": record(params), "judging": record(judging)},
            **{"images": record(images), "budget": record(limits)},
            "connection": record(connection),
        },
        folder=output.out or RUNS / run_id(identity, target.spec, asked.name),
        prices=prices,
        budget=spending,
        concurrency=connection.concurrency,
        output=output,
    )
    return _looked_at(found)


def _prices(target: ChatModel, judge: Judge, given: Budget) -> dict[str, Price | None]:
    free = Price(0.0, 0.0)
    of_judge = price_of(judge.name) if judge.model else free
    return {
        target.spec: Price.parse(given.price) if given.price else price_of(target.spec),
        judge.name: Price.parse(given.judge_price) if given.judge_price else of_judge,
    }


def _looked_at(plan: EvaluationPlan) -> EvaluationPlan:
    """Add what the run's record and the pairs' images say."""
    selection = plan.selection
    if (plan.folder / FILE).is_file():
        with Ledger.read(plan.folder) as ledger:
            check_same_run(ledger, plan.identity)
            plan = replace(plan, ended=len(ledger.ended()))
            if ledger.meta("complete") and plan.output.retry is None:
                selection.leave_out(ledger.left_out())
                return replace(plan, complete=True)
    swapper = selection.check(plan.shown.view, plan.judge)
    guess = estimate(
        selection,
        plan.shown,
        max(0, plan.answers - plan.ended),
        plan.judge,
        plan.prices[plan.target.spec],
        plan.prices[plan.judge.name],
        swapper=swapper,
        repeats=plan.judging.repeats,
    )
    return replace(plan, swapper=swapper, estimate=guess)


def evaluate(
    bench: Bench,
    *,
    model: str | ChatModel,
    judge: str | Brought,
    view: View | str = View.FULL,
    system: str = "",
    samples: int = 1,
    sample: Sample | None = None,
    params: Params | None = None,
    judging: Judging | None = None,
    images: Images | None = None,
    budget: Budget | CostBudget | None = None,
    connection: Connection | None = None,
    output: Output | None = None,
) -> Evaluation:
    """Run a model over a benchmark, judge its replies, and write what was found.

    The same arguments resume the same run; no call is paid for twice. See `plan` for the
    arguments.

    Returns:
        The folder, the summary, and why the run stopped early if it did.

    Raises:
        BadRows: Some pairs cannot be used or shown; lists every one.
        FatalCall: A model cannot work (key, name, address).
        LedgerError: The disk cannot be written.
        VlsbenchError: Anything else that the caller can mend.
    """
    return execute(
        plan(
            bench,
            model=model,
            judge=judge,
            view=view,
            system=system,
            samples=samples,
            sample=sample,
            params=params,
            judging=judging,
            images=images,
            budget=budget,
            connection=connection,
            output=output,
        )
    )


def execute(plan: EvaluationPlan) -> Evaluation:
    """Run a plan; see `evaluate`."""
    with Ledger.write(plan.folder) as ledger:
        check_same_run(ledger, plan.identity)
        reopened = 0
        if plan.output.retry:
            reopened = run_async(partial(reopen_unscored, ledger))
        if ledger.meta("complete") and not reopened:
            plan.selection.leave_out(ledger.left_out())
            return Evaluation(plan.folder, _files(plan, ledger))
        signal = plan.job().run(ledger)
        if plan.found != plan.identity:
            run_async(partial(ledger.set_meta, found=json.dumps(plan.found)))
        try:
            summary = _files(plan, ledger)
        except OSError as error:
            raise signal.error or Stopped(
                f"cannot write into {plan.folder}: {error.strerror}; all answers are on record: "
                "free up disk space and run the same command again"
            ) from None
        if signal.error:
            raise signal.error
        return Evaluation(plan.folder, summary, signal.reason)


def _files(plan: EvaluationPlan, ledger: Ledger) -> Summary:
    """Write the run's files, unless they stand as the ledger would have them."""
    stamp = f"{__version__} {ledger.stamp()} {plan.output.gallery}"
    wanted = (SUMMARY, PAIRS, REPORT)
    mark = plan.folder / ".files"
    if (
        mark.is_file()
        and mark.read_text("utf-8") == stamp
        and all((plan.folder / name).is_file() for name in wanted)
    ):
        return read_summary(plan.folder / SUMMARY)
    summary = conclude(plan, ledger)
    with whole_file(plan.folder / REPORT) as part:
        write_report(summary, _report_rows(plan, ledger), part, gallery=plan.output.gallery)
    mark.write_text(stamp, "utf-8")
    return summary


def _report_rows(plan: EvaluationPlan, ledger: Ledger) -> Iterator[Any]:
    from vlsbench.evaluation._page_row import ReportRow

    def image_of(pair: Pair) -> bytes | None:
        for image in islice(pair.images, 1):
            try:
                return image.read().data
            except ImageError:
                return None
        return None

    samples = plan.shown.samples
    for pair, row in pair_rows(plan.selection, ledger, plan.shown):
        yield ReportRow(
            id=f"{row.id} · answer {row.sample + 1} of {samples}" if samples > 1 else row.id,
            category=row.category,
            subcategory=row.subcategory,
            harmful=row.harmful,
            query=row.query,
            shown=row.shown_text,
            reply=row.reply,
            label=Label(row.label),
            reasoning=row.reasoning,
            reason=row.unscored_reason,
            explanation=row.explanation,
            finish=row.finish,
            cut=row.cut,
            latency_s=row.latency_s,
            image_ref=row.image_refs[0] if row.image_refs else "",
            thumbnail=partial(image_of, pair),
        )
