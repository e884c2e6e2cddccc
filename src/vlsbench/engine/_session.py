"""What every job does around its executor: find answers, heed Ctrl-C, show progress."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import threading
import time
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from vlsbench.engine._batch_rows import read_batches
from vlsbench.engine._budget import INTERRUPTED, StopSignal
from vlsbench.engine._context import Tally
from vlsbench.engine._ledger import FILE, Ledger
from vlsbench.errors import Interrupted, VlsbenchError
from vlsbench.text import did_you_mean

CONTENT = "content"
"""Key of an identity: a digest of what the set's files hold, and of where they lie."""
HOMES = (Path("runs"), Path("builds"))
"""Where runs and builds are made unless they are told otherwise."""
REFRESH_S = 0.5
LINE_S = 15.0
"""Pause between lines where the output is no terminal."""

T = TypeVar("T")


def find_run(named: Path | str) -> Path:
    """Return the folder of a run or a build: as given, or by its name in `runs/` or `builds/`.

    Raises:
        VlsbenchError: There is none.
    """
    named = Path(named)
    if found := next((at for at in (named, *(h / named for h in HOMES)) if at.is_dir()), None):
        return found
    there = (one.name for home in (named.parent, *HOMES) for one in home.glob("*/"))
    raise VlsbenchError(
        f"{named}: no such run; {did_you_mean(named.name, there, 0.75)}"
        "`vlsbench runs list FOLDER` shows those in a folder"
    )


def check_same_run(ledger: Ledger, identity: Mapping[str, object]) -> None:
    """Raise `VlsbenchError` where the ledger's folder holds another run, naming what differs."""
    recorded = ledger.meta("identity")
    if recorded is None:
        return
    theirs, ours = json.loads(recorded), json.loads(json.dumps(identity))
    differing = [
        key
        for key in sorted({*theirs, *ours})
        # Runs of 0.1 know nothing of their sets' content.
        if theirs.get(key) != ours.get(key) and (key != CONTENT or key in theirs)
    ]
    if len(differing) > 1 and CONTENT in differing:
        differing.remove(CONTENT)  # it covers what the others do
    if differing:
        raise VlsbenchError(
            f"{ledger.folder} holds another run (differs in: {', '.join(differing)}); choose "
            "another --out beside it, and what is already answered there is reused"
        )


def open_siblings(
    folder: Path, reuse: Sequence[Path], specs: Collection[str], stack: ExitStack
) -> list[Ledger]:
    """Open the runs that asked one of some models, or have batches: those beside, and `reuse`.

    Raises:
        VlsbenchError: One of `reuse` is no run of this version.
    """
    found: list[Ledger] = []
    near = sorted(folder.parent.glob(f"*/{FILE}"))
    for other in dict.fromkeys((*reuse, *(path.parent for path in near))):
        if other.resolve() == folder.resolve():
            continue
        try:
            sibling = stack.enter_context(Ledger.read(other))
        except VlsbenchError:
            if other in reuse:
                raise
            continue  # another version's run, or one that is being made: nothing to take over
        asked = (sibling.rows("SELECT 1 FROM calls WHERE model = ? LIMIT 1", one) for one in specs)
        if any(asked) or read_batches(sibling):
            found.append(sibling)
        else:
            sibling.close()
    return found


@contextlib.contextmanager
def handle_sigint(stop: StopSignal, tally: Tally) -> Iterator[None]:
    """Let Ctrl-C stop new calls, and say so in the tally; a second one cancels the current task."""
    loop = asyncio.get_running_loop()
    task = asyncio.current_task()

    def pressed() -> None:
        if stop.leaving.is_set() and task:
            task.cancel()
        stop.stop(INTERRUPTED)
        tally.note = "stopping after the calls in flight; Ctrl-C again leaves at once"

    signals = (signal.SIGINT, signal.SIGTERM)
    try:
        for number in signals:
            loop.add_signal_handler(number, pressed)
    except (RuntimeError, ValueError, NotImplementedError):
        yield  # not the main thread (a notebook), or Windows: the interpreter's handling stands
        return
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


def run_async(work: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run a coroutine to its end, on uvloop where there is one, also inside a notebook.

    Raises:
        Interrupted: A second Ctrl-C cancelled it; see `handle_sigint`.
    """
    try:
        import uvloop

        factory: Callable[[], asyncio.AbstractEventLoop] | None = uvloop.new_event_loop
    except ImportError:
        factory = None

    def run() -> T:
        with asyncio.Runner(loop_factory=factory) as runner:
            try:
                return runner.run(work())
            except asyncio.CancelledError:
                raise Interrupted(
                    "left at once; calls in flight are lost, the same command resumes from here"
                ) from None

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run()
    with ThreadPoolExecutor(1, thread_name_prefix="vlsbench") as pool:
        return pool.submit(run).result()


def _facts(tally: Tally, seconds: float) -> str:
    rate = (tally.calls - tally.earlier) / seconds if seconds > 0 else 0.0
    cost = f"${tally.cost:.2f}" if tally.cost_known else "cost unknown"
    parts = [f"{rate:.1f} calls/s", cost, f"{tally.outcomes['unscored']} unscored"]
    if tally.outcomes["filtered"]:
        parts.append(f"{tally.outcomes['filtered']} filtered")
    if tally.reused:
        parts.append(f"{tally.reused} reused")
    if batches := tally.batches():
        parts.append(batches)
    if tally.note:
        parts.append(tally.note)
    return " · ".join(parts)


class _Bar(Progress):
    """A bar with its facts on lines of their own, where a terminal of 80 columns cuts neither."""

    def get_renderables(self) -> Iterator[RenderableType]:
        yield from super().get_renderables()
        yield from (Text(task.fields["facts"]) for task in self.tasks)


@contextlib.contextmanager
def progress_bar(tally: Tally) -> Iterator[None]:
    """Show a tally on standard error while it grows: a bar on a terminal, else a line at times."""
    console = Console(stderr=True)
    started = time.monotonic()
    over = threading.Event()
    bar = _Bar(
        TextColumn(tally.what),
        BarColumn(20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=False,
        disable=not console.is_terminal,
    )
    task = bar.add_task(tally.what, total=tally.total, completed=tally.done, facts="")

    def said(facts: str) -> str:
        left = bar.tasks[task].time_remaining
        ending = f" · {timedelta(seconds=round(left))} left" if left else ""
        return f"{tally.done:,} of {tally.total:,} {tally.what} · {facts}{ending}"

    def update() -> str:
        facts = _facts(tally, time.monotonic() - started)
        bar.update(task, total=tally.total, completed=tally.done, facts=facts, refresh=True)
        return facts

    def watch() -> None:
        last_line = time.monotonic()
        while not over.wait(REFRESH_S):
            facts = update()
            if not console.is_terminal and time.monotonic() - last_line >= LINE_S:
                last_line = time.monotonic()
                console.print(said(facts), highlight=False)

    watcher = threading.Thread(target=watch, name="progress", daemon=True)
    with bar:
        watcher.start()
        try:
            yield
        finally:
            over.set()
            watcher.join()
            facts = update()
    if not console.is_terminal:
        console.print(said(facts), highlight=False)
