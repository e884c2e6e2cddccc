"""One job: records through stages and barriers, on one ledger, within one budget.

Evaluations, judged audits, captions and builds are all jobs. What differs between them is their
steps; opening the record, reusing answers, counting, stopping and finishing is done here alone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeVar

from vlsbench import __version__
from vlsbench.config import Connection
from vlsbench.engine._batch_rows import describe, read_batches
from vlsbench.engine._batches import Batches
from vlsbench.engine._budget import Budget, CostBudget, StopSignal
from vlsbench.engine._context import Probe, Record, RunContext, Stage, Tally
from vlsbench.engine._flow import Executor, open_executor, run_flow
from vlsbench.engine._ledger import Ledger, Outcome
from vlsbench.engine._session import (
    check_same_run,
    handle_sigint,
    open_siblings,
    progress_bar,
    run_async,
)
from vlsbench.errors import BadRow, Stopped
from vlsbench.models import LEAVING, Model, Price, VllmServer

T = TypeVar("T")
SLACK = 8
"""Records under way beyond the connections: their images are read while others wait for answers."""


@dataclass(frozen=True)
class Flow:
    """A step that takes records through stages."""

    stages: Sequence[Stage]
    records: Callable[[], Iterable[Record]]


Barrier = Callable[[RunContext], Awaitable[None]]
"""A step that needs all that came before it: deduplication, quotas."""
Step = Flow | Sequence[Flow] | Barrier
"""Flows in one step run side by side; steps run one after the other."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """Everything that a run does, ready to start."""

    identity: Mapping[str, object] | None
    """All that decides which calls are made; a folder that holds another run is refused. None
    where the job itself says what its record may hold."""
    facts: Mapping[str, str]
    """Kept with the run: `bench`, `view`, `model`, `judge`, `pairs`."""
    steps: Sequence[Step]
    models: Sequence[Model]
    prices: Mapping[str, Price | None]
    budget: CostBudget
    connection: Connection
    """How servers are asked, and where stages run."""
    width: int | None = None
    """Records under way at most; by default one for each connection and a few more."""
    total: int
    """Records expected, for the progress bar."""
    what: str = "pairs"
    """What a record is called there."""
    tag: Callable[[Outcome], str] = lambda outcome: outcome.kind
    """Names an outcome for whoever watches."""
    again: Callable[[Outcome], str] = lambda outcome: ""
    """Names the stage that an outcome goes back to before anything else; empty where it stands."""
    counts: Callable[[Outcome], bool] = lambda outcome: True
    """Whether a recorded outcome is one of the records expected."""
    left_out: Sequence[BadRow] = ()
    reuse: Sequence[Path] | None = None
    """Other runs whose answers may be reused, beside those next to this one; None reuses none."""
    progress: bool = True
    probes: Sequence[Probe] = ()
    prepare: Callable[[], None] = field(default=lambda: None)
    """What takes long and need not happen where nothing is open: loading embeddings."""

    def run(self, ledger: Ledger) -> StopSignal:
        """Do what is not done yet.

        Ctrl-C stops new calls and lets those in flight be recorded; a second one leaves at once.

        Returns:
            The signal; it has a reason where the run stopped early, and an error where that is
            why.

        Raises:
            VlsbenchError: The folder holds another run.
            LedgerError: The disk cannot be written.
        """
        if self.identity is not None:
            check_same_run(ledger, self.identity)
        return run_async(lambda: self._run(ledger))

    async def _run(self, ledger: Ledger) -> StopSignal:
        await self._begin(ledger)
        signal = StopSignal()
        LEAVING.set(signal.leaving)
        known = None not in self.prices.values()
        tally = Tally(total=self.total, what=self.what, cost_known=known)
        for outcome in ledger.outcomes():
            if self.counts(outcome):
                tally.done += 1
                tally.outcomes[self.tag(outcome)] += 1
        budget = Budget(signal, self.budget, self.prices)
        with ExitStack() as stack:
            siblings: Sequence[Ledger] = ()
            specs = {model.spec for model in self.models}
            if self.reuse is not None:
                siblings = open_siblings(ledger.folder, self.reuse, specs, stack)
            recall(ledger, self.models)
            for model in self.models:
                if isinstance(server := getattr(model, "server", None), VllmServer):
                    server.say = partial(setattr, tally, "note")
            ctx = RunContext(ledger, siblings, budget, signal, tally, self.probes)
            for sibling in siblings:
                if left := describe(r for r in read_batches(sibling) if r.model in specs):
                    remedy = "merge it first (run its command again), or you may pay twice"
                    tally.note = f"{sibling.folder} has {left}: {remedy}"
                    await ctx.note(f"{tally.note}.")
            batches = ctx.batches = Batches(ledger, budget, signal, tally)
            stack.enter_context(handle_sigint(signal, tally))
            if self.progress:
                stack.enter_context(progress_bar(tally))
            executor = open_executor(self.connection, self.models)
            try:
                self.prepare()
                await batches.begin(self.models, self.connection.batch_anew_s)
                for step in self.steps:
                    if not signal:
                        await self._take(step, ctx, executor)
            finally:
                await batches.close()
                await executor.close()
                for model in self.models:
                    await model.close()
        for text in batches.notes:
            await ctx.note(text)
        if signal.reason and (left := describe(read_batches(ledger))):
            signal.reason = f"{left}; they go on, and nothing is lost: {signal.reason}"
        if not signal:
            await ledger.set_meta(complete=_now())
        await ledger.event("stopped" if signal else "finished", reason=signal.reason or "")
        return signal

    async def _begin(self, ledger: Ledger) -> None:
        if ledger.meta("started") is None:
            identity = {} if self.identity is None else {"identity": json.dumps(self.identity)}
            await ledger.set_meta(started=_now(), **identity, **self.facts)
        await ledger.set_left_out(self.left_out)
        await ledger.event("started", version=__version__)

    async def _take(self, step: Step, ctx: RunContext, executor: Executor) -> None:
        if isinstance(step, Flow):
            step = (step,)
        if not isinstance(step, Sequence):
            await step(ctx)
            return
        width = self.width or in_flight(self.models, self.connection.concurrency) + SLACK
        if together := max(map(_batched, self.models), default=0):
            width = max(width, min(together, self.total))
        flows = [
            run_flow(flow.stages, flow.records(), ctx, executor, width=width, tag=self.tag)
            for flow in step
        ]
        # All end before an error is raised: what is in flight is paid for.
        for error in await asyncio.gather(*flows, return_exceptions=True):
            if error is not None:
                raise error


def in_flight(models: Iterable[Model], concurrency: int) -> int:
    """Return how many requests are under way at most.

    Args:
        models: Those of one server share its connections; those in this process say how many
            questions they answer together.
        concurrency: Requests in flight per server.
    """
    wanted = {model.endpoint: getattr(model, "in_flight", 0) for model in models}
    return sum(max(concurrency, wants) for wants in wanted.values()) or concurrency


def carry_out(job: Job, folder: Path, conclude: Callable[[Ledger, str | None], T]) -> T:
    """Do what is not done yet of a job, write what comes of it, and return what `conclude` does.

    Args:
        job: What there is to do.
        folder: Where its record is, or will be.
        conclude: Writes the files, given the record and why the job stopped early: empty where it
            did not, None where nothing was left to do.

    Raises:
        VlsbenchError: The folder holds another run, or what stopped the job.
        LedgerError: The disk cannot be written.
    """
    with Ledger.write(folder) as ledger:
        if job.identity is not None:
            check_same_run(ledger, job.identity)
        again = [(one.record, stage) for one in ledger.outcomes() if (stage := job.again(one))]
        if again:
            run_async(partial(ledger.reopen, again))
        if ledger.meta("complete") is not None:
            return conclude(ledger, None)
        signal = job.run(ledger)
        return write_or_stop(partial(conclude, ledger, signal.reason or ""), folder, signal)


def write_or_stop(write: Callable[[], T], folder: Path, signal: StopSignal) -> T:
    """Write the files of a job that has run, as `signal` says, and return what `write` does.

    Raises:
        VlsbenchError: What stopped the job, or that the disk cannot be written.
    """
    try:
        made = write()
    except OSError as error:
        raise signal.error or Stopped(
            f"cannot write into {folder}: {error.strerror}; all answers are on record: free up "
            "disk space and run the same command again"
        ) from None
    if signal.error:
        raise signal.error
    return made


def recall(ledger: Ledger, models: Iterable[Model]) -> None:
    """Let models be asked as an earlier invocation found that they must be."""
    for model in models:
        if (adapted := getattr(model, "adapted", None)) is not None:
            adapted.changes |= json.loads(ledger.meta(f"adapted {model.spec}") or "{}")


def _batched(model: Model) -> int:
    """Return how many requests to a model may wait together for a batch."""
    batching = getattr(model, "batching", None)
    return batching.batch_requests if batching else 0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
