"""Make a benchmark: from risk sub-categories or images to leak-free pairs."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from vlsbench.building import BuildConfig
from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped, need_scored
from vlsbench.cli._print import Listing, dollars, print_json, prose, say
from vlsbench.config import values_of
from vlsbench.errors import EXIT_ERROR
from vlsbench.text import counted

if TYPE_CHECKING:
    from vlsbench.building import Build, BuildEstimate, BuildPlan, Recipe


@command(BuildConfig, dry_run_flags=("--dry-run", "--plan"))
def build(config: BuildConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Make a benchmark: from risk sub-categories or images to leak-free pairs.

    The same command resumes where it stopped; a changed recipe asks anew only what the change
    concerns. `OUT/pairs` is a dataset; `OUT/provenance.jsonl` has a line for every record.

    **Examples**

    - `vlsbench build lab --out builds/lab` (offline, harmless, minutes)

    - `vlsbench build my.toml --plan`

    - `vlsbench build my.toml --limit 20 --max-cost 2`

    - `vlsbench build vlsbench --set models.writer=openai/gpt-4o --plan`
    """
    from vlsbench import building

    console = Console(stderr=True)
    if dry_run:
        _plan(config, as_json)
        return

    def before(made: BuildPlan, guess: BuildEstimate) -> None:
        if not quiet:
            _print_estimate(console, made.recipe, guess)
            say(f"into {made.folder}", console=console)

    done = building.build(**values_of(config), progress=not quiet, before=before)
    if as_json:
        print_json(done.summary)
    else:
        print_build(done)
    end_if_stopped(done.stopped)
    need_scored(done.summary.decided, "record", done.provenance)


def _plan(config: BuildConfig, as_json: bool) -> None:
    from vlsbench import building

    read = building.read_recipe(config.recipe, config.overrides)
    guess = building.estimate_build(read, config.limit, batch=config.connection.batch)
    waiting = read.placeholders()
    if as_json:
        print_json({**asdict(guess), "placeholders": waiting})
    else:
        _print_estimate(Console(), read, guess)
        say(*(f"{key} is still a placeholder" for key in waiting), style="red")
    if waiting:
        raise typer.Exit(EXIT_ERROR)


def _print_estimate(console: Console, recipe: Recipe, guess: BuildEstimate) -> None:
    begun = f"{counted(guess.drafts, 'draft')}, {counted(guess.images, 'image')}"
    say(f"{recipe.name}: {begun}, about {counted(guess.pairs, 'pair')}", console=console)
    table = Listing(("stage", "role", "model"), ("calls", "cost"))
    for row in guess.stages:
        table.line(row.stage, row.role, row.model, row.calls, dollars(row.cost))
    table.line("all", "", "", guess.calls, dollars(guess.cost), style="bold")
    console.print(table)
    console.print("calls and cost are estimates: how many records pass a filter is assumed")


def print_build(done: Build) -> None:
    """Show what a build made, stage by stage, and what to do next."""
    summary, console = done.summary, Console()
    flows = {"pairs": summary.stages, "benign twins": summary.twin_stages}
    for title, stages in flows.items():
        table = Listing(["stage"], ("entered", "went on", "dropped"), title)
        for row in stages:
            reasons = [f"{reason} {n:,}" for reason, n in row.dropped.items()]
            reasons += [f"({reason} {n:,})" for reason, n in row.quarantined.items()]
            table.line(row.stage, row.entered, row.left, ", ".join(reasons))
        if stages or title == "pairs":
            console.print(table)
    rate = summary.yield_
    if rate.rate is not None:
        say(
            f"{counted(summary.pairs, 'pair')} and {summary.twins:,} benign twins; yield "
            f"{100 * rate.rate:.1f} % [{100 * (rate.low or 0):.1f}, {100 * (rate.high or 0):.1f}] "
            f"of {rate.n:,} begun (95 %, clustered by element or image)"
        )
    costs = [row.cost for row in summary.spend]
    spent = "cost unknown" if None in costs else dollars(sum(cost or 0 for cost in costs))
    say(f"{counted(sum(row.calls for row in summary.spend), 'call')}, {spent}")
    say(*summary.notes, style="yellow")
    console = prose(stderr=False)
    say(f"Files: {done.pairs}, {done.provenance}", console=console)
    if summary.pairs:
        ways = (f"Next: vlsbench audit {done.pairs}", f"      vlsbench review {done.pairs}")
        say(*ways, console=console)
