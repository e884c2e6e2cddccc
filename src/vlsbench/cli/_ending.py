"""How a command ends whose work can go on later."""

from __future__ import annotations

import typer
from rich.console import Console

from vlsbench.errors import EXIT_INTERRUPTED, EXIT_STOPPED
from vlsbench.text import terminal


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
