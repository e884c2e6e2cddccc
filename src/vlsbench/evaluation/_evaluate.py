"""The same as the command line, from Python: `load` a benchmark, `evaluate` a model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from vlsbench import __version__
from vlsbench.engine import Ledger, StopSignal, Tally, check_same_run, in_a_loop, progress_bar
from vlsbench.errors import Stopped, VlsbenchError
from vlsbench.evaluation._estimate import Estimate, estimate
from vlsbench.evaluation._files import PAIRS, REPORT, SUMMARY, read_summary
from vlsbench.evaluation._page import GALLERY, write_report
from vlsbench.evaluation._rows import pair_rows
from vlsbench.evaluation._run import Plan, conclude, execute, reopen_unscored
from vlsbench.evaluation._settings import Selection, Settings, default_context, identity_of, run_id
from vlsbench.evaluation._summary_types import Summary
from vlsbench.files import whole_file
from vlsbench.judge import JUDGE_PARAMS, JudgeContext, JudgeFormat, Label, LLMJudge
from vlsbench.models import (
    DEFAULT_MAX_TOKENS,
    ChatModel,
    Connections,
    Params,
    Patience,
    Price,
    price_of,
)
from vlsbench.pairs import ImageError, Pair, PairSet, Shrink, Swapper, View, load

RUNS = Path("runs")
"""Where runs go unless told otherwise."""
LAB = "lab/"


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


def open_model(spec: str, connections: Connections) -> ChatModel:
    """Return the model that a spec names. See `Connections.open`."""
    return connections.open(spec)


def evaluate(
    bench: str | os.PathLike[str] | PairSet,
    *,
    model: str,
    judge: str,
    view: View | str = View.FULL,
    data: str | os.PathLike[str] | None = None,
    columns: Mapping[str, str] | None = None,
    leave_out: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    limit: int | None = None,
    seed: int = 0,
    out: str | os.PathLike[str] | None = None,
    reuse: Sequence[str | os.PathLike[str]] = (),
    retry_unscored: bool = False,
    concurrency: int = 32,
    max_calls: int | None = None,
    max_cost: float | None = None,
    price: str | None = None,
    judge_price: str | None = None,
    max_tokens: int = DEFAULT_MAX_TOKENS,
    temperature: float | None = 0.0,
    system: str = "",
    judge_context: JudgeContext | str | None = None,
    judge_format: JudgeFormat | str = JudgeFormat.AUTO,
    judge_max_tokens: int = JUDGE_PARAMS.max_tokens,
    judge_temperature: float | None = 0.0,
    timeout_s: float = 300.0,
    retries: int = 6,
    image_transport: Literal["data", "file"] = "data",
    max_image_side: int | None = None,
    max_image_bytes: int | None = None,
    gallery: int = GALLERY,
    progress: bool = True,
    before: Callable[[Plan, Estimate], bool] = lambda plan, estimate: True,
) -> Evaluation:
    """Run a model over a benchmark, judge its replies, and write what was found.

    The same arguments resume the same run; what is recorded is never asked again.

    Args:
        bench: A name (`vlsbench`, `figstep:tiny`, `lab/leakless`), a path, or an opened set.
        model: Spec of the target: `openai/NAME`, `NAME@http://host:port/v1`,
            `inspect/PROVIDER/NAME`, `lab/NAME`.
        judge: Spec of the judge's model, `rules`, or `lab` for `lab/judge`.
        view: What of a pair is shown.
        data: Folder with the benchmark's official files.
        columns: Column map of a set of your own.
        leave_out: List of leaking pairs to run it without; see `load`.
        skip_bad: Leave unusable pairs out, and record them, rather than raise.
        limit: Ask a random sample of this many pairs.
        seed: Of the sample and of the swap view.
        out: The run's folder; by default `runs/` and a name made of what it is.
        reuse: Folders of other runs whose answers may be taken over; runs beside `out` always
            are.
        retry_unscored: Ask again for the pairs that ended without a label.
        concurrency: Requests in flight at one server.
        max_calls: New calls of this invocation at most.
        max_cost: US dollars that this invocation spends at most.
        price: `INPUT,OUTPUT` in dollars per million tokens, over the shipped table.
        judge_price: The same for the judge.
        max_tokens: Length limit of a reply, in tokens.
        temperature: Of the target; None leaves it to the server.
        system: System prompt of the target.
        judge_context: What tells the judge about the picture: the image, the benchmark's
            description and reason, or both. By default the image where the view shows it.
        judge_format: Whether the server holds the judge to its format.
        judge_max_tokens: Length limit of a verdict, in tokens.
        judge_temperature: Of the judge; None leaves it to the server.
        timeout_s: For one request.
        retries: After faults of a request.
        image_transport: Send images inside requests, or as `file://` URLs.
        max_image_side: Shrink larger images, in pixels.
        max_image_bytes: Shrink heavier images.
        gallery: Pairs in the report's gallery.
        progress: Show a bar on standard error.
        before: Is told what will be done and spent; the run goes on if it returns True.

    Returns:
        The folder, the summary, and why the run stopped early if it did.

    Raises:
        BadRows: Some pairs cannot be used or shown; lists every one.
        FatalCall: A model cannot work (key, name, address).
        LedgerError: The disk cannot be written.
        VlsbenchError: Anything else that the caller can mend.
    """
    settings = Settings(
        view=View(view),
        limit=limit,
        seed=seed,
        params=Params(max_tokens, temperature),
        system=system,
        shrink=Shrink(max_image_side, max_image_bytes),
    )
    connections = Connections(
        concurrency,
        Patience(timeout_s=timeout_s, retries=retries),
        file_images=image_transport == "file",
    )
    pairs = load(bench, data=data, skip_bad=skip_bad, columns=columns, leave_out=leave_out)
    target = open_model(model, connections)
    judge = "lab/judge" if judge == "lab" else judge
    judge_model = None if judge == "rules" else open_model(judge, connections)
    asked = None
    if judge_model:
        asked = LLMJudge(
            JudgeContext(judge_context or default_context(settings.view)),
            JudgeFormat(judge_format),
            Params(judge_max_tokens, judge_temperature),
        )
    prices = {
        model: Price.parse(price) if price else price_of(model),
        judge: Price.parse(judge_price) if judge_price else price_of(judge),
    }
    if max_cost is not None and (unknown := [name for name, p in prices.items() if p is None]):
        raise VlsbenchError(
            f"--max-cost needs a price, and that of {', '.join(unknown)} is unknown: give --price "
            "or --judge-price INPUT,OUTPUT in dollars per million tokens, or use --max-calls"
        )
    selection = Selection(pairs, settings)
    identity = identity_of(selection, settings, target, judge_model, asked)
    plan = Plan(
        selection=selection,
        settings=settings,
        target=target,
        judge_model=judge_model,
        judge=asked,
        identity=identity,
        folder=Path(out) if out else RUNS / run_id(identity, model, judge),
        prices=prices,
        concurrency=concurrency,
        max_calls=max_calls,
        max_cost=max_cost,
        reuse=tuple(Path(folder) for folder in reuse),
    )
    return _run(plan, skip_bad, retry_unscored, gallery, progress, before)


def _run(
    plan: Plan,
    skip_bad: bool,
    retry_unscored: bool,
    gallery: int,
    progress: bool,
    before: Callable[[Plan, Estimate], bool],
) -> Evaluation:
    with Ledger.write(plan.folder) as ledger:
        check_same_run(ledger, plan.identity)
        retried = 0
        if retry_unscored:
            retried = in_a_loop(partial(reopen_unscored, ledger))
        if ledger.meta("complete") and not retried:
            plan.selection.leave_out(ledger.left_out())
            return Evaluation(plan.folder, _files(plan, ledger, gallery))
        swapper = plan.selection.check(plan.settings, plan.judge, skip_bad=skip_bad)
        guess = _estimate(plan, ledger, swapper)
        if not before(plan, guess):
            raise Declined
        signal = in_a_loop(partial(_execute, plan, ledger, swapper, progress))
        try:
            summary = _files(plan, ledger, gallery)
        except OSError as error:
            raise signal.error or Stopped(
                f"cannot write into {plan.folder}: {error.strerror}; all answers are on record: "
                "free some disk space and run the same command again"
            ) from None
        if signal.error:
            raise signal.error
        return Evaluation(plan.folder, summary, signal.reason)


class Declined(VlsbenchError):
    """The caller did not want the run that was planned."""

    exit_code = 0

    def __init__(self) -> None:
        super().__init__("nothing was asked")


def _estimate(plan: Plan, ledger: Ledger, swapper: Swapper | None) -> Estimate:
    done = len(ledger.ended())
    context = plan.judge.context if plan.judge else None
    return estimate(
        plan.selection,
        plan.settings,
        max(0, len(plan.selection) - done),
        plan.prices[plan.target.spec],
        plan.prices[plan.judge_name],
        judged_by_model=plan.judge is not None,
        judge_sees_images=context in (JudgeContext.IMAGE, JudgeContext.BOTH),
        swapper=swapper,
    )


async def _execute(
    plan: Plan, ledger: Ledger, swapper: Swapper | None, progress: bool
) -> StopSignal:
    from datetime import UTC, datetime

    from rich.console import Console

    now = datetime.now(UTC).isoformat(timespec="seconds")
    if ledger.meta("started") is None:
        import json

        await ledger.set_meta(
            started=now,
            identity=json.dumps(plan.identity),
            bench=plan.selection.pairs.name,
            view=str(plan.settings.view),
            model=plan.target.spec,
            judge=plan.judge_name,
            pairs=str(len(plan.selection)),
        )
    await ledger.set_left_out([*plan.selection.pairs.bad, *plan.selection.left_out.values()])
    await ledger.event("started", version=__version__)

    def watch(tally: Tally) -> AbstractContextManager[None]:
        return progress_bar(tally, Console(stderr=True)) if progress else nullcontext()

    return await execute(plan, ledger, swapper, watch)


def _files(plan: Plan, ledger: Ledger, gallery: int) -> Summary:
    """Write the run's files, unless they stand as the ledger would have them."""
    stamp = f"{__version__} {ledger.stamp()} {gallery}"
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
        write_report(summary, _report_rows(plan, ledger), part, gallery=gallery)
    mark.write_text(stamp, "utf-8")
    return summary


def _report_rows(plan: Plan, ledger: Ledger) -> Iterator[Any]:
    from vlsbench.evaluation._page_row import ReportRow

    def picture(pair: Pair) -> bytes | None:
        for image in islice(pair.images, 1):
            try:
                return image.read().data
            except ImageError:
                return None
        return None

    for pair, row in pair_rows(plan.selection, ledger):
        yield ReportRow(
            id=row.id,
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
            thumbnail=partial(picture, pair),
        )
