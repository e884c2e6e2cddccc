"""`vlsbench release`: write a set out for others, and check what was written."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from vlsbench.cli._config import AsJson, Quiet, command
from vlsbench.cli._default import default_command
from vlsbench.errors import EXIT_ERROR
from vlsbench.releasing import ReleaseConfig
from vlsbench.text import terminal

if TYPE_CHECKING:
    from vlsbench.releasing import Release, Watch

app = typer.Typer(
    cls=default_command("write"),
    help="Write a set out for others: `vlsbench release DATASET` is short for `release write`.",
    no_args_is_help=True,
)


def _write(config: ReleaseConfig, *, as_json: bool, quiet: bool) -> None:
    """Write a set out as a release that `datasets.load_dataset` and `vlsbench eval` open.

    Nothing is written unless all is there: a licence for every source of images, an answer to each
    question about what harmful pairs show, every image readable. `vlsbench release verify DIR`
    checks a release.

    **Examples**

    - `vlsbench release lab/leakless --out toasters --name toasters --version 1.0.0
      --licence apache-2.0`

    - `vlsbench release build/pairs --out kitchen --config release.toml --review keep.csv
      --card audits/pairs/card.json --provenance build/provenance.jsonl`

    - `vlsbench release build/pairs --out kitchen-1.1 --config release.toml --version 1.1.0
      --previous kitchen --split train=0.1,test=0.9`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage.
    """
    from vlsbench.releasing import write_release

    with _progress(quiet or as_json) as watch:
        made = write_release(config, watch=watch)
    if as_json:
        typer.echo(json.dumps(asdict(made), ensure_ascii=False))
    else:
        _print_release(made, config.out)


app.command("write")(
    command(
        ReleaseConfig,
        _write,
        config_help="Read settings from a release.toml (docs/release.md); options go before it.",
    )
)


@app.command("verify")
def verify_release(
    folder: Annotated[Path, typer.Argument(help="Folder of a release.", show_default=False)],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check a release: checksums, counts, columns, every image, ids, splits, card, Croissant.

    Both forms are read whole and held against each other.

    **Examples**

    - `vlsbench release verify toasters`

    - `vlsbench release verify toasters --json`

    Exit codes: 0 sound, 1 something is wrong, 2 wrong usage.
    """
    from vlsbench.releasing import verify

    with _progress(quiet or as_json) as watch:
        found = verify(folder, watch)
    if as_json:
        typer.echo(json.dumps({**asdict(found), "folder": str(folder), "sound": found.sound}))
    else:
        console = Console(soft_wrap=True)
        for fault in found.faults:
            console.print(f"wrong: {terminal(fault)}", style="red", highlight=False)
        for note in found.notes:
            console.print(terminal(note), style="yellow", highlight=False)
        state = "sound" if found.sound else f"{len(found.faults):,} things are wrong"
        console.print(
            terminal(
                f"{found.name} {found.version}: {found.pairs:,} pairs, {found.images:,} images; "
                f"{state}"
            ),
            highlight=False,
        )
    if not found.sound:
        raise typer.Exit(EXIT_ERROR)


@contextmanager
def _progress(quiet: bool) -> Iterator[Watch]:
    """Show how far reading, writing or checking has come."""
    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=quiet or not console.is_terminal,
        transient=True,
    )
    tasks: dict[str, Any] = {}

    def watch(what: str, done: int, total: int) -> None:
        if what not in tasks:
            tasks[what] = bar.add_task(what, total=total)
        bar.update(tasks[what], completed=done)

    with bar:
        yield watch


def _print_release(made: Release, out: Path) -> None:
    console = Console(soft_wrap=True)
    table = Table("split", box=None)
    for column in ("pairs", "harmful", "images", "files"):
        table.add_column(column, justify="right")
    for split in made.splits:
        counts = (split.pairs, split.harmful, split.images, len(split.files))
        table.add_row(split.name, *(f"{count:,}" for count in counts))
    console.print(
        terminal(f"{made.name} {made.version}: {made.pairs:,} pairs, {made.images:,} images"),
        highlight=False,
    )
    console.print(table)
    for reason, count in made.left_out.items():
        console.print(terminal(f"left out: {count:,} {reason}"), highlight=False)
    if changes := made.changes:
        console.print(
            terminal(
                f"since {changes.previous}: {len(changes.added):,} added, "
                f"{len(changes.removed):,} removed, {len(changes.changed):,} changed"
            ),
            highlight=False,
        )
    if made.statistics.located:
        console.print(
            f"{made.statistics.located:,} images tell where they were taken (EXIF)", style="yellow"
        )
    for what, there in (("leakage card", made.leakage), ("agreement", made.agreement)):
        if there is None:
            console.print(f"no {what}: the dataset card says so", style="yellow", highlight=False)
    if made.simulated:
        console.print("Simulated pairs: the card says so.", style="yellow")
    if made.gated:
        console.print("Switch gated access on at the Hub before the set is public.", style="bold")
    console.print(terminal(f"Next: vlsbench release verify {out}"), style="dim", highlight=False)
