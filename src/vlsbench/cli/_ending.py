"""How a command ends whose work can go on later."""

from __future__ import annotations

import typer
from rich.console import Console

from vlsbench.errors import EXIT_INTERRUPTED, EXIT_STOPPED, VlsbenchError
from vlsbench.text import terminal


def need_scored(scored: object, what: str, where: object) -> None:
    """Raise `VlsbenchError` where nothing was scored; `where` names what tells why."""
    if not scored:
        raise VlsbenchError(f"no {what} was scored; what was said of them stands in {where}")


def end_if_stopped(console: Console, stopped: str | None) -> None:
    """Say why the work ended early, and leave with the exit code for it; None goes on."""
    if not stopped:
        return
    console.print(
        terminal(f"stopped: {stopped}; the same command resumes from here"),
        style="yellow",
        highlight=False,
    )
    raise typer.Exit(EXIT_INTERRUPTED if stopped.endswith("interrupted") else EXIT_STOPPED)
