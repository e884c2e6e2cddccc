"""`vlsbench build`: make a benchmark by a recipe."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from vlsbench.building._config import BuildConfig
from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped
from vlsbench.text import terminal

if TYPE_CHECKING:
    from vlsbench.building import BuildEstimate, BuildPlan, Recipe, StageCount
    from vlsbench.building._build import Build


def _build(config: BuildConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Make a benchmark: from risk sub-categories or images to leak-free pairs.

    The same command resumes where it stopped; a changed recipe asks anew only what the change
    concerns. `OUT/pairs` is a set that any command opens, `OUT/provenance.jsonl` has a line for
    every record that ever was.

    **Examples**

    - `vlsbench build lab --out builds/lab` (offline, harmless, minutes)

    - `vlsbench build my.toml --plan`

    - `vlsbench build my.toml --limit 20 --max-cost 2`

    - `vlsbench build vlsbench --set models.writer=openai/gpt-4o --plan`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage, 3 stopped early and resumable,
    130 interrupted and resumable.
    """
    from vlsbench import building

    console = Console(stderr=True)
    if dry_run:
        _plan(config, as_json)
        return

    def before(made: BuildPlan, guess: BuildEstimate) -> None:
        if not quiet:
            print_estimate(console, made.recipe, guess)
            console.print(terminal(f"into {made.folder}"), highlight=False)

    done = building.build(
        config.recipe,
        overrides=config.overrides,
        lab=config.lab,
        limit=config.limit,
        retry_quarantined=config.retry_quarantined,
        out=config.out,
        budget=config.budget,
        connection=config.connection,
        progress=not quiet,
        before=before,
    )
    if as_json:
        typer.echo(json.dumps(asdict(done.summary)))
    else:
        print_build(Console(), done)
    end_if_stopped(console, done.stopped)


build = command(BuildConfig, _build, dry_run=True, dry_run_flags=("--dry-run", "--plan"))


def _plan(config: BuildConfig, as_json: bool) -> None:
    from vlsbench import building

    read, guess = building.plan_build(config.recipe, overrides=config.overrides, limit=config.limit)
    checks = building.check_models(read, lab=config.lab)
    if as_json:
        found = {**asdict(guess), "calls": guess.calls, "cost": guess.cost}
        typer.echo(json.dumps({**found, "models": [asdict(check) for check in checks]}))
    else:
        console = Console()
        print_estimate(console, read, guess)
        table = Table(box=box.SIMPLE_HEAD)
        for name in ("role", "model", "state"):
            table.add_column(name, overflow="fold")
        for check in checks:
            style = "red" if check.wrong else ""
            table.add_row(check.role, terminal(check.model), terminal(check.state), style=style)
        console.print(table)
    if any(check.wrong for check in checks):
        raise typer.Exit(1)


def print_estimate(console: Console, recipe: Recipe, guess: BuildEstimate) -> None:
    """Say what will be asked of whom, and what it will probably cost."""
    console.print(
        terminal(
            f"{recipe.name}: {len(recipe.taxonomy)} sub-categories, {guess.drafts:,} drafts, "
            f"{guess.images:,} images, about {guess.pairs:,} pairs"
        ),
        highlight=False,
    )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("stage", "role", "model"):
        table.add_column(name, overflow="fold")
    for name in ("calls", "cost"):
        table.add_column(name, justify="right")
    for row in guess.stages:
        cost = "unknown" if row.cost is None else f"${row.cost:,.2f}"
        table.add_row(row.stage, row.role, terminal(row.model), f"{row.calls:,}", cost)
    cost = "unknown" if guess.cost is None else f"${guess.cost:,.2f}"
    table.add_row("all", "", "", f"{guess.calls:,}", cost, style="bold")
    console.print(table)
    console.print("calls and cost are estimates: how many records pass a filter is assumed")


def print_build(console: Console, done: Build) -> None:
    """Show what a build made, stage by stage, and what to do next."""
    summary = done.summary
    console.print(_flow(summary.stages, "pairs"))
    if summary.twin_stages:
        console.print(_flow(summary.twin_stages, "benign twins"))
    rate = summary.yield_
    if rate.rate is not None:
        console.print(
            f"{summary.pairs:,} pairs and {summary.twins:,} benign twins; yield "
            f"{100 * rate.rate:.1f} % [{100 * (rate.low or 0):.1f}, {100 * (rate.high or 0):.1f}] "
            f"of {rate.n:,} begun (95 %, clustered by element or image)",
            highlight=False,
        )
    cost = [row.cost for row in summary.spend]
    spent = "cost unknown" if None in cost else f"${sum(c or 0 for c in cost):,.2f}"
    calls = sum(row.calls for row in summary.spend)
    console.print(f"{calls:,} calls, {spent}", highlight=False)
    for note in summary.notes:
        console.print(terminal(note), style="yellow", highlight=False)
    console.print(terminal(f"{done.pairs}\n{done.provenance}"), highlight=False, soft_wrap=True)
    console.print(
        terminal(f"next: vlsbench audit {done.pairs} · vlsbench review {done.pairs}"),
        highlight=False,
        soft_wrap=True,
    )


def _flow(stages: tuple[StageCount, ...], title: str) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("stage")
    table.add_column("entered", justify="right")
    table.add_column("went on", justify="right")
    table.add_column("dropped", overflow="fold")
    for row in stages:
        reasons = [f"{reason} {n:,}" for reason, n in row.dropped.items()]
        reasons += [f"({reason} {n:,})" for reason, n in row.quarantined.items()]
        table.add_row(row.stage, f"{row.entered:,}", f"{row.left:,}", terminal(", ".join(reasons)))
    return table
