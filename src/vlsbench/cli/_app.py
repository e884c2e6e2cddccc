"""The application object, and how errors reach the terminal."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.console import Console

from vlsbench import __version__
from vlsbench.cli import bench, lab, release, review, runs
from vlsbench.cli.align import align
from vlsbench.cli.audit import audit
from vlsbench.cli.build import build
from vlsbench.cli.compare import compare
from vlsbench.cli.demo import demo
from vlsbench.cli.eval import evaluate
from vlsbench.errors import EXIT_INTERRUPTED, VlsbenchError

app = typer.Typer(
    name="vlsbench",
    help="Evaluate, audit, build and align for cross-modal safety.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(bench.app, name="bench")
app.add_typer(lab.app, name="lab")
app.add_typer(release.app, name="release")
app.add_typer(runs.app, name="runs")
app.add_typer(review.app, name="review")
app.command("eval")(evaluate)
app.command("audit")(audit)
app.command("build")(build)
app.command("align")(align)
app.command("compare")(compare)
app.command("demo")(demo)

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
    try:
        app()
    except VlsbenchError as error:
        if _debug:
            raise
        Console(stderr=True, soft_wrap=True).print(
            f"error: {error}", style="red", markup=False, highlight=False
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        Console(stderr=True).print("error: interrupted", style="red")
        sys.exit(EXIT_INTERRUPTED)
