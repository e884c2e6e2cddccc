"""How a command ends whose work can go on later."""

from __future__ import annotations

import typer
from rich.console import Console

from vlsbench.cli._print import prose, say
from vlsbench.errors import EXIT_INTERRUPTED, EXIT_STOPPED, VlsbenchError


def say_complete(since: str = "") -> None:
    """Say that an earlier invocation did all there was to do, and when."""
    said = f"was complete since {since}" if since else "is complete"
    say(f"nothing was asked: this run {said}", console=prose())


def need_scored(scored: object, what: str, where: object) -> None:
    """Raise `VlsbenchError` where nothing was scored; `where` names what tells why."""
    if not scored:
        raise VlsbenchError(f"no {what} was scored; what was said of them stands in {where}")


def end_if_stopped(stopped: str | None) -> None:
    """Say why the work ended early, and leave with the exit code for it; None goes on."""
    if not stopped:
        return
    said = f"stopped: {stopped}; the same command resumes from here"
    say(said, style="yellow", console=Console(stderr=True))
    raise typer.Exit(EXIT_INTERRUPTED if stopped.endswith("interrupted") else EXIT_STOPPED)
