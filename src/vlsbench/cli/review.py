"""People decide which pairs a benchmark keeps: `vlsbench review DATASET`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from vlsbench.cli._config import command, default_command
from vlsbench.cli._print import Listing, print_json, print_links, say
from vlsbench.config import option, settings, values_of
from vlsbench.pairs import DatasetSettings
from vlsbench.reviewing import ReviewConfig, Votes, folder_for
from vlsbench.text import counted

if TYPE_CHECKING:
    from vlsbench.reviewing import Person, Review, Status, Store

app = typer.Typer(cls=default_command("serve"), no_args_is_help=True)


@settings(panel="The review")
class KeptReview(DatasetSettings):
    """A review that is there."""

    review: Path | None = option(
        "The review's folder.", default=None, unset="reviews/DATASET", metavar="DIR"
    )

    @property
    def folder(self) -> Path:
        """Where its verdicts are."""
        return self.review or folder_for(self.dataset)

    def open(self, store: Store, votes: int | None = None) -> Review:
        """Open the set with its verdicts."""
        from vlsbench.reviewing import open_review

        return open_review(self.load(), store, votes=votes, skip_bad=self.skip_bad)


@settings()
class StatusConfig(Votes, KeptReview):
    """The settings of `vlsbench review status`."""


@settings()
class ExportConfig(StatusConfig):
    """The settings of `vlsbench review export`."""

    out: Path | None = option(
        "Verdicts, .csv or .jsonl.",
        default=None,
        flags=("--out", "-o"),
        metavar="FILE",
        unset="verdicts.csv in the review's folder",
    )
    label_studio: Path | None = option(
        "Write the pairs as tasks for Label Studio instead.", default=None, metavar="FILE"
    )
    anonymous: bool = option("Number people rather than name them.", default=False)


@settings()
class ImportConfig(KeptReview):
    """The settings of `vlsbench review import`."""

    label_studio: Path = option("An export of Label Studio, in its format JSON.", metavar="FILE")


@app.command()
@command(ReviewConfig)
def serve(config: ReviewConfig, *, as_json: bool) -> None:
    """Serve a review on this machine: one pair a screen, images hidden until asked for.

    Prints a secret link for each person, and one for you that shows progress and agreement.
    Answers are saved one by one; the same command goes on where the review was left.

    **Examples**

    - `vlsbench review "lab/leakless?n=20"`

    - `vlsbench review out/pairs --reviewer ann --reviewer ben --adjudicator cleo`

    - `vlsbench review vlsbench --limit 200 --seed 1 --reviewer ann`

    Exit codes: 0 stopped by Ctrl-C, 1 something must be changed, 2 wrong usage, 3 disk full.
    """
    from vlsbench import reviewing

    def ready(address: str, review: Review, people: Sequence[Person]) -> None:
        if not as_json:
            pairs = counted(len(review.pairs), "pair")
            say(f"Review of {review.bench}: {pairs}, verdicts in {config.folder}/")
        print_links(address, people, as_json=as_json, folder=config.folder)

    reviewing.review(**values_of(config), ready=ready)
    if not as_json:
        following = ["vlsbench", "review", "status", *config.again, "--review", str(config.folder)]
        typer.echo(f"Next: {shlex.join(following)}")


@app.command()
@command(StatusConfig)
def status(config: StatusConfig, *, as_json: bool) -> None:
    """Show progress, agreement and what is decided; works while the review is served.

    **Examples**

    - `vlsbench review status "lab/leakless?n=20"`

    - `vlsbench review status out/pairs --review reviews/out-pairs --json`
    """
    from vlsbench.reviewing import Store

    with Store.read(config.folder) as store:
        found = config.open(store, config.votes).status()
    if as_json:
        print_json(found)
    else:
        _print_status(found)


@app.command()
@command(ExportConfig)
def export(config: ExportConfig, *, as_json: bool) -> None:
    """Write all verdicts; beside them keep.csv and drop.csv, which --leave-out takes.

    A pair of the review that is not decided is in undecided.csv.

    **Examples**

    - `vlsbench review export out/pairs --out verdicts.csv`

    - `vlsbench eval out/pairs --leave-out drop.csv --model lab/careful --judge lab`

    - `vlsbench review export out/pairs --label-studio tasks.json`
    """
    from vlsbench import reviewing

    folder, tasks = config.folder, config.label_studio
    if tasks:
        # A team may work in Label Studio alone: its tasks need no review here before.
        with reviewing.Store.write(folder) as store:
            opened = config.open(store, config.votes)
            done = reviewing.export_tasks(opened, tasks)
        if as_json:
            told = {"config": done.config, "pairs": done.written, "left_out": done.bad}
            print_json({"tasks": tasks, **told})
            return
        typer.echo(f"{tasks}: {counted(done.written, 'task')}; labelling interface: {done.config}")
        say(*(f"left out: {row}" for row in done.bad), style="yellow")
        following = ["vlsbench", "review", "import", *config.again, "--review", str(folder)]
        typer.echo(f"Next: {shlex.join(following)} --label-studio EXPORT.json")
        return
    with reviewing.Store.read(folder) as store:
        opened = config.open(store, config.votes)
        out = config.out or folder / "verdicts.csv"
        found = reviewing.export(opened, out, anonymous=config.anonymous)
    if as_json:
        print_json(found)
        return
    typer.echo(f"{found.verdicts}: {counted(found.rows, 'verdict')} of {found.people} people")
    typer.echo(f"{found.keep}: {counted(found.kept, 'pair')}")
    typer.echo(f"{found.drop}: {counted(found.dropped, 'pair')}")
    typer.echo(f"not decided: {counted(found.open, 'pair')}")
    if found.stale:
        typer.echo(f"{counted(found.stale, 'verdict')} not counted: the pair has changed since")
    if found.dropped:
        following = ["vlsbench", "eval", *config.again, "--leave-out", str(found.drop)]
        typer.echo(f"Next: {shlex.join(following)} …")


@app.command("import")
@command(ImportConfig)
def import_tasks(config: ImportConfig, *, as_json: bool) -> None:
    """Take over verdicts that a team gave in Label Studio; twice the same counts once.

    **Example**

    - `vlsbench review import out/pairs --label-studio export.json`
    """
    from vlsbench import reviewing

    with reviewing.Store.write(config.folder) as store:
        found = reviewing.import_tasks(config.open(store), config.label_studio)
    if as_json:
        print_json(found)
        return
    typer.echo(
        f"{counted(found.verdicts, 'verdict')} imported, {found.known:,} already on record, "
        f"{found.skipped:,} cancelled in Label Studio"
    )


def _print_status(found: Status) -> None:
    console = Console()
    say(f"Review of {found.bench}: {counted(found.pairs, 'pair')}")
    people = Listing(("person", "role"), ["done"])
    for person in found.people:
        people.line(person.name, person.role, f"{person.done:,} of {person.total:,}")
    console.print(people)
    title = "Agreement of reviewers, over pairs that two or more were sure about"
    table = Listing(["question"], ("alpha", "95 %", "same answer", "pairs"), title)
    for one in found.agreement:
        table.line(
            one.question,
            None if one.alpha is None else f"{one.alpha:.2f}",
            None if one.low is None else f"{one.low:.2f} to {one.high:.2f}",
            None if one.agreement is None else f"{100 * one.agreement:.0f} %",
            one.n,
        )
    console.print(table)
    needs = counted(found.votes, "verdict")
    say(
        f"A pair needs {needs}: {found.keep:,} keep, {found.drop:,} drop, {found.open:,} not "
        f"decided ({found.disputed:,} in dispute)"
    )
    if found.stale:
        say(f"{counted(found.stale, 'verdict')} not counted: the pair has changed since")
