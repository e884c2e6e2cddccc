"""The application object, and how errors reach the terminal."""

from __future__ import annotations

import atexit
import gc
import sys
import warnings
from importlib import import_module
from importlib.abc import InspectLoader
from importlib.util import find_spec
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from vlsbench import __version__
from vlsbench.errors import EXIT_ERROR, EXIT_INTERRUPTED, VlsbenchError

COMMANDS = (
    *("eval", "judge", "audit", "guard", "build", "align", "compare", "leaderboard", "report"),
    *("calibrate", "judge-card", "demo", "bench", "lab", "release", "runs", "review", "plan-size"),
    *("doctor", "plugins"),
)
"""In the order of `vlsbench --help`.

A command is imported when it is used, not when it is listed: from the module of its name, where it
is a `typer.Typer` called `app`, or a function of that name. The module's docstring is its help in
the list, which its own help begins with.
"""


def _said(name: str) -> str:
    """Return the docstring of a command's module, which is not imported for it."""
    module = f"vlsbench.cli.{name.replace('-', '_')}"
    loader = getattr(find_spec(module), "loader", None)
    source = loader.get_source(module) if isinstance(loader, InspectLoader) else None
    return (source or "").removeprefix('"""').partition('"""')[0]


class _Commands(TyperGroup):
    """Commands that are known by name and help until one is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in COMMANDS:
            self.add_command(TyperCommand(name, help=_said(name)))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, _load(name) if name in COMMANDS else command, rest


def _load(name: str) -> Any:
    attribute = name.replace("-", "_")
    module = import_module(f"vlsbench.cli.{attribute}")
    root = typer.Typer(rich_markup_mode="markdown", pretty_exceptions_enable=False)
    if group := getattr(module, "app", None):
        root.add_typer(group, name=name, help=_said(name))
    else:
        root.command(name)(getattr(module, attribute))
    return typer.main.get_group(root).commands[name]


app = typer.Typer(
    name="vlsbench",
    cls=_Commands,
    help="Evaluate, audit, build and align for cross-modal safety.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_debug = False


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the trace of an error, not one line.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    global _debug
    _debug = debug


def main() -> None:
    """Run the command line; errors that a user can act on become one line and an exit code."""
    # Python searches all objects for cycles once more before it ends, a tenth of a second in vain.
    atexit.register(gc.freeze)
    # Of metadata that it skips and of sizes that are bounded here.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        app()
    except VlsbenchError as error:
        if _debug:
            raise
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail("interrupted", EXIT_INTERRUPTED)
    except OSError as error:
        # What a disk says; any other is a defect, which is shown whole.
        if _debug:
            raise
        _fail(f"{type(error).__name__}: {error}; --debug shows the trace", EXIT_ERROR)


def _fail(said: str, code: int) -> None:
    from vlsbench.cli._print import prose, say

    say(f"error: {said}", style="red", console=prose())
    sys.exit(code)
