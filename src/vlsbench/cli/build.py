"""`vlsbench build`: make a benchmark by a recipe."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer
from rich import box
from rich.console import Console
from rich.table import Column, Table

from vlsbench.building import BuildConfig
from vlsbench.cli._config import command
from vlsbench.cli._ending import end_if_stopped
from vlsbench.text import terminal

if TYPE_CHECKING:
    from vlsbench.building import Build, BuildEstimate, BuildPlan, Recipe


def _build(config: BuildConfig, *, as_json: bool, quiet: bool, dry_run: bool) -> None:
    """Make a benchmark: from risk sub-categories or images to leak-free pairs.

    The same command resumes where it stopped; a changed recipe asks anew only what the change
    concerns. `OUT/pairs` is a dataset; `OUT/provenance.jsonl` has a line for every record.

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
            _print_estimate(console, made.recipe, guess)
            console.print(terminal(f"into {made.folder}"), highlight=False)

    done = building.build(**vars(config), progress=not quiet, before=before)
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
        _print_estimate(Console(), read, guess)
        table = _table(("role", "model", "state"))
        for check in checks:
            style = "red" if check.wrong else ""
            table.add_row(check.role, terminal(check.model), terminal(check.state), style=style)
        Console().print(table)
    if any(check.wrong for check in checks):
        raise typer.Exit(1)


def _table(texts: Sequence[str], numbers: Sequence[str] = (), title: str | None = None) -> Table:
    columns = [Column(name, overflow="fold") for name in texts]
    columns += [Column(name, justify="right") for name in numbers]
    return Table(*columns, title=title, title_justify="left", box=box.SIMPLE_HEAD)


def _dollars(cost: float | None) -> str:
    return "unknown" if cost is None else f"${cost:,.2f}"


def _print_estimate(console: Console, recipe: Recipe, guess: BuildEstimate) -> None:
    line = (
        f"{recipe.name}: {len(recipe.taxonomy)} sub-categories, {guess.drafts:,} drafts, "
        f"{guess.images:,} images, about {guess.pairs:,} pairs"
    )
    console.print(terminal(line), highlight=False)
    table = _table(("stage", "role", "model"), ("calls", "cost"))
    for row in guess.stages:
        calls = f"{row.calls:,}"
        table.add_row(row.stage, row.role, terminal(row.model), calls, _dollars(row.cost))
    table.add_row("all", "", "", f"{guess.calls:,}", _dollars(guess.cost), style="bold")
    console.print(table)
    console.print("calls and cost are estimates: how many records pass a filter is assumed")


def print_build(console: Console, done: Build) -> None:
    """Show what a build made, stage by stage, and what to do next."""
    summary = done.summary
    flows = {"pairs": summary.stages, "benign twins": summary.twin_stages}
    for title, stages in flows.items():
        table = _table(("stage",), ("entered", "went on"), title)
        table.add_column("dropped", overflow="fold")
        for row in stages:
            reasons = [f"{reason} {n:,}" for reason, n in row.dropped.items()]
            reasons += [f"({reason} {n:,})" for reason, n in row.quarantined.items()]
            why = terminal(", ".join(reasons))
            table.add_row(row.stage, f"{row.entered:,}", f"{row.left:,}", why)
        if stages or title == "pairs":
            console.print(table)
    rate = summary.yield_
    if rate.rate is not None:
        console.print(
            f"{summary.pairs:,} pairs and {summary.twins:,} benign twins; yield "
            f"{100 * rate.rate:.1f} % [{100 * (rate.low or 0):.1f}, {100 * (rate.high or 0):.1f}] "
            f"of {rate.n:,} begun (95 %, clustered by element or image)",
            highlight=False,
        )
    costs = [row.cost for row in summary.spend]
    spent = "cost unknown" if None in costs else _dollars(sum(cost or 0 for cost in costs))
    calls = sum(row.calls for row in summary.spend)
    console.print(f"{calls:,} calls, {spent}", highlight=False)
    for note in summary.notes:
        console.print(terminal(note), style="yellow", highlight=False)
    next_steps = f"next: vlsbench audit {done.pairs} · vlsbench review {done.pairs}"
    found = terminal(f"{done.pairs}\n{done.provenance}\n{next_steps}")
    console.print(found, highlight=False, soft_wrap=True)
