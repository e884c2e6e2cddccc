"""The progress of a run, for a person: pairs, calls a second, cost, unscored, time left."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vlsbench.engine._context import Tally

REFRESH_S = 0.5
LINE_S = 15.0
"""Pause between lines where the output is no terminal."""


def _facts(tally: Tally, seconds: float) -> str:
    rate = tally.calls / seconds if seconds > 0 else 0.0
    cost = f"${tally.cost:.2f}" if tally.cost_known else "cost unknown"
    parts = [f"{rate:.1f} calls/s", cost, f"{tally.outcomes['unscored']} unscored"]
    if tally.outcomes["filtered"]:
        parts.append(f"{tally.outcomes['filtered']} filtered")
    if tally.reused:
        parts.append(f"{tally.reused} reused")
    if tally.note:
        parts.append(tally.note)
    return " · ".join(parts)


@contextmanager
def progress_bar(tally: Tally, console: Console) -> Iterator[None]:
    """Show a tally while it grows: a bar on a terminal, now and then a line elsewhere."""
    started = time.monotonic()
    over = threading.Event()
    bar = Progress(
        TextColumn(tally.what),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[facts]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        auto_refresh=False,
        disable=not console.is_terminal,
    )
    task = bar.add_task(tally.what, total=tally.total, completed=tally.done, facts="")

    def said(facts: str) -> str:
        return f"{tally.done:,} of {tally.total:,} {tally.what} · {facts}"

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
