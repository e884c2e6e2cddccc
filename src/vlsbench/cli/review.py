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
from vlsbench.reviewing import ReviewConfig, folder_for
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

    def open(self, store: Store) -> Review:
        """Open the set with its verdicts."""
        from vlsbench.reviewing import open_review

        return open_review(self.load(), store, skip_bad=self.skip_bad)


@settings()
class ExportConfig(KeptReview):
    """The settings of `vlsbench review export`."""

    out: Path | None = option(
        "Verdicts, .csv.",
        default=None,
        flags=("--out", "-o"),
        metavar="FILE",
        unset="verdicts.csv in the review's folder",
    )
    label_studio: Path | None = option(
        "Write the pairs as tasks for Label Studio instead.", default=None, metavar="FILE"
    )


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
@command(KeptReview)
def status(config: KeptReview, *, as_json: bool) -> None:
    """Show progress, agreement and what is decided; works while the review is served.

    **Examples**

    - `vlsbench review status "lab/leakless?n=20"`

    - `vlsbench review status out/pairs --review reviews/out-pairs --json`
    """
    from vlsbench.reviewing import Store

    with Store.read(config.folder) as store:
        found = config.open(store).status()
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

    if config.label_studio:
        # A team may work in Label Studio alone: its tasks need no review here before.
        with reviewing.Store.write(config.folder) as store:
            interface = reviewing.export_tasks(config.open(store), config.label_studio)
        if as_json:
            print_json({"tasks": config.label_studio, "config": interface})
        else:
            typer.echo(f"Files: {config.label_studio}, {interface}")
            following = ["vlsbench", "review", "import", *config.again]
            following += ["--review", str(config.folder), "--label-studio", "EXPORT.json"]
            typer.echo(f"Next: {shlex.join(following)}")
        return
    out = config.out or config.folder / "verdicts.csv"
    with reviewing.Store.read(config.folder) as store:
        found = reviewing.export(config.open(store), out)
    if as_json:
        print_json(found)
        return
    _print_decided(found)
    lists = [out.with_name(name) for name in reviewing.LISTS]
    typer.echo(f"Files: {', '.join(map(str, (out, *lists)))}")
    leave_out = ["--leave-out", str(out.with_name(reviewing.DROP))]
    typer.echo(f"Next: {shlex.join(['vlsbench', 'eval', *config.again, *leave_out])} …")


@app.command("import")
@command(ImportConfig)
def import_tasks(config: ImportConfig, *, as_json: bool) -> None:
    """Take over verdicts that a team gave in Label Studio; twice the same counts once.

    **Example**

    - `vlsbench review import out/pairs --label-studio export.json`
    """
    from vlsbench import reviewing

    with reviewing.Store.write(config.folder) as store:
        new = reviewing.import_tasks(config.open(store), config.label_studio)
    if as_json:
        print_json({"verdicts": new})
    else:
        typer.echo(f"{counted(new, 'verdict')} imported; the others were on record")


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
    _print_decided(found)


def _print_decided(found: Status) -> None:
    say(
        f"{counted(found.votes, 'verdict')} a pair: {found.keep:,} keep, {found.drop:,} drop, "
        f"{found.open:,} not decided ({found.disputed:,} in dispute)"
    )
    if found.stale:
        say(f"{counted(found.stale, 'verdict')} not counted: the pair has changed since")
