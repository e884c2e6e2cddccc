"""The application object, and how errors reach the terminal."""

from __future__ import annotations

import atexit
import gc
import sys
import warnings
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vlsbench import __version__
from vlsbench.cli._lazy import Place, lazy_group
from vlsbench.errors import EXIT_INTERRUPTED, VlsbenchError
from vlsbench.text import terminal

if TYPE_CHECKING:
    from rich.console import Console

COMMANDS = {
    "eval": Place(
        "vlsbench.cli.eval:evaluate", "Run a model over a benchmark and judge its replies."
    ),
    "audit": Place(
        "vlsbench.cli.audit:audit",
        "Measure how much of the images' risk the texts of a benchmark tell.",
    ),
    "build": Place(
        "vlsbench.cli.build:build",
        "Make a benchmark: from risk sub-categories or images to leak-free pairs.",
    ),
    "align": Place(
        "vlsbench.cli.align:align",
        "Train a vision-language model to be safe, over TRL and PEFT.",
    ),
    "compare": Place(
        "vlsbench.cli.compare:compare",
        "Compare runs on the same pairs: differences with intervals, tests, and one table of all.",
    ),
    "calibrate": Place(
        "vlsbench.cli.calibrate:calibrate",
        "Check a run's judge by people's labels, and correct its rates.",
    ),
    "demo": Place(
        "vlsbench.cli.demo:demo",
        "Show why leaks matter, on rule-made models first and then on models trained here and now.",
    ),
    "bench": Place("vlsbench.cli.bench:app", "List, show and fetch benchmarks."),
    "lab": Place(
        "vlsbench.cli.lab:app",
        "The closed-world lab: benchmarks, models, a server and an experiment, with known truth.",
    ),
    "release": Place(
        "vlsbench.cli.release:app",
        "Write a set out for others: `vlsbench release DATASET` is short for `release write`.",
    ),
    "runs": Place("vlsbench.cli.runs:app", "List, show, compare and verify runs and builds."),
    "review": Place(
        "vlsbench.cli.review:app",
        "People decide which pairs a benchmark keeps: `vlsbench review DATASET`.",
    ),
    "plan-size": Place(
        "vlsbench.cli.plan_size:plan_size",
        "Say how many pairs, images and human labels a question needs.",
    ),
    "plugins": Place(
        "vlsbench.cli.plugins:plugins",
        "List what is registered: benchmarks, models, judges and more, with where each comes from.",
    ),
}
"""The commands, in the order of `vlsbench --help`."""

app = typer.Typer(
    name="vlsbench",
    cls=lazy_group(COMMANDS),
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
    plugin: Annotated[
        list[str] | None,
        typer.Option(
            "--plugin",
            help="Load a plug-in: a Python file or a module. May be repeated.",
            metavar="FILE|MODULE",
            show_default=False,
        ),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print it and exit.")
    ] = False,
) -> None:
    global _debug
    _debug = debug
    if plugin:
        from vlsbench.registry import load_plugin

        for name in plugin:
            load_plugin(name)


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
        said = terminal(f"error: {error}")
        _stderr(soft_wrap=True).print(said, style="red", highlight=False)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _stderr().print("error: interrupted", style="red")
        sys.exit(EXIT_INTERRUPTED)


def _stderr(**options: Any) -> Console:
    from rich.console import Console

    return Console(stderr=True, **options)
