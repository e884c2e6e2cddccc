"""`vlsbench review`: people decide which pairs a benchmark keeps."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from vlsbench.cli._config import AsJson, command
from vlsbench.cli._default import default_command
from vlsbench.reviewing import ReviewConfig
from vlsbench.text import terminal

if TYPE_CHECKING:
    from vlsbench.reviewing import Person, Review, Status, Store

app = typer.Typer(
    cls=default_command("serve"),
    help="People decide which pairs a benchmark keeps: `vlsbench review DATASET`.",
    no_args_is_help=True,
)

Dataset = Annotated[
    str,
    typer.Argument(
        help="Name, lab/NAME, or the path of a set of your own, such as OUT/pairs.",
        metavar="DATASET",
        show_default=False,
    ),
]
Folder = Annotated[
    Path | None,
    typer.Option(
        "--review",
        metavar="DIR",
        help="The review's folder [default: reviews/DATASET].",
        show_default=False,
    ),
]
Votes = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Verdicts that decide a pair, at least [default: 2; with one reviewer 1].",
        show_default=False,
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(help="Folder with the benchmark's official files.", show_default=False),
]
Columns = Annotated[
    str, typer.Option(help="For a custom dataset: FIELD=COLUMN,… (docs/benchmarks.md).")
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave unusable pairs out and record them.")
]


def _serve(config: ReviewConfig, *, as_json: bool, quiet: bool) -> None:
    """Serve a review on this machine: one pair a screen, images hidden until asked for.

    Prints a secret link for each person, and one for you that shows progress and agreement.
    Answers are saved one by one; the same command goes on where the review was left.

    **Examples**

    - `vlsbench review "lab/leakless?n=20"`

    - `vlsbench review out/pairs --reviewer ann --reviewer ben --adjudicator cleo`

    - `vlsbench review vlsbench --limit 200 --seed 1 --reviewer ann`

    Exit codes: 0 stopped by Ctrl-C, 1 something must be changed, 2 wrong usage, 3 disk.
    """
    from vlsbench import reviewing

    def ready(address: str, review: Review, people: Sequence[Person]) -> None:
        if as_json:
            links = {p.name: f"{address}/enter/{p.link}" for p in people}
            typer.echo(json.dumps({"folder": str(config.folder), "links": links}))
        else:
            _print_links(review, people, address, config.folder)
        sys.stdout.flush()

    reviewing.serve_review(config, ready=ready)
    if not as_json:
        following = ["vlsbench", "review", "status", config.dataset, "--review", str(config.folder)]
        typer.echo(f"Next: {shlex.join(following)}")


app.command("serve")(command(ReviewConfig, _serve))


def _print_links(review: Review, people: Sequence[Person], address: str, folder: Path) -> None:
    console = Console(soft_wrap=True, highlight=False)
    console.print(
        terminal(f"Review of {review.bench}: {len(review.pairs):,} pairs, verdicts in {folder}/")
    )
    for person in people:
        what = "progress, for you only" if person.role == "organiser" else str(person.role)
        console.print(terminal(f"  {person.name} ({what}): {address}/enter/{person.link}"))
    console.print(
        "Each link is one person's secret: open each in a browser or profile of its own. "
        "Ctrl-C stops; all answers are saved as they are given.",
        style="dim",
    )


@app.command()
def status(
    dataset: Dataset,
    review: Folder = None,
    votes: Votes = None,
    data: Data = None,
    columns: Columns = "",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Show progress, agreement and what is decided; works while the review is served.

    **Examples**

    - `vlsbench review status "lab/leakless?n=20"`

    - `vlsbench review status out/pairs --review reviews/out-pairs --json`
    """
    with _store(dataset, review) as store:
        found = _open(dataset, store, votes, data, columns, skip_bad).status()
    if as_json:
        typer.echo(json.dumps(asdict(found), ensure_ascii=False))
    else:
        _print_status(found)


@app.command("export")
def export_review(
    dataset: Dataset,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="Verdicts, .csv or .jsonl [default: verdicts.csv in the review's folder].",
            show_default=False,
        ),
    ] = None,
    label_studio: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the pairs as tasks for Label Studio instead."),
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Number people rather than name them.")
    ] = False,
    review: Folder = None,
    votes: Votes = None,
    data: Data = None,
    columns: Columns = "",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Write all verdicts, and beside them keep.csv and drop.csv, which --leave-out takes.

    A pair that is not decided is on neither list.

    **Examples**

    - `vlsbench review export out/pairs --out verdicts.csv`

    - `vlsbench eval out/pairs --leave-out drop.csv --model lab/careful --judge lab`

    - `vlsbench review export out/pairs --label-studio tasks.json`
    """
    from vlsbench import reviewing

    folder = review or reviewing.folder_for(dataset)
    if label_studio:
        # A team may work in Label Studio alone: its tasks need no review here before.
        with reviewing.Store.write(folder) as store:
            opened = _open(dataset, store, votes, data, columns, skip_bad)
            config = reviewing.export_tasks(opened, label_studio)
        if as_json:
            written = {"tasks": str(label_studio), "config": str(config)}
            typer.echo(json.dumps(written | {"pairs": len(opened.pairs)}))
            return
        typer.echo(f"{label_studio}: {len(opened.pairs):,} tasks; labelling interface: {config}")
        following = ["vlsbench", "review", "import", dataset, "--review", str(folder)]
        typer.echo(f"Next: {shlex.join(following)} --label-studio EXPORT.json")
        return
    with _store(dataset, review) as store:
        opened = _open(dataset, store, votes, data, columns, skip_bad)
        found = reviewing.export(opened, out or folder / "verdicts.csv", anonymous=anonymous)
    if as_json:
        typer.echo(json.dumps(asdict(found), default=str))
        return
    typer.echo(f"{found.verdicts}: {found.rows:,} verdicts of {found.people} people")
    typer.echo(f"{found.keep}: {found.kept:,} pairs")
    typer.echo(f"{found.drop}: {found.dropped:,} pairs")
    typer.echo(f"not decided, on neither list: {found.open:,} pairs")
    if found.stale:
        typer.echo(f"{found.stale:,} verdicts do not count: their pair has changed since")
    if found.dropped:
        following = ["vlsbench", "eval", dataset, "--leave-out", str(found.drop)]
        typer.echo(f"Next: {shlex.join(following)} …")


@app.command("import")
def import_review(
    dataset: Dataset,
    label_studio: Annotated[
        Path,
        typer.Option(metavar="FILE", help="An export of Label Studio, in its format JSON."),
    ],
    review: Folder = None,
    data: Data = None,
    columns: Columns = "",
    skip_bad: SkipBad = False,
    as_json: AsJson = False,
) -> None:
    """Take over verdicts that a team gave in Label Studio; twice the same counts once.

    **Example**

    - `vlsbench review import out/pairs --label-studio export.json`
    """
    from vlsbench import reviewing

    with reviewing.Store.write(review or reviewing.folder_for(dataset)) as store:
        opened = _open(dataset, store, None, data, columns, skip_bad)
        found = reviewing.import_tasks(opened, label_studio)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
        return
    typer.echo(
        f"{found.verdicts:,} verdicts reused, {found.known:,} known already, "
        f"{found.skipped:,} cancelled in Label Studio"
    )


def _store(dataset: str, review: Path | None) -> Store:
    from vlsbench.reviewing import Store, folder_for

    return Store.read(review or folder_for(dataset))


def _open(
    dataset: str,
    store: Store,
    votes: int | None,
    data: Path | None,
    columns: str,
    skip_bad: bool,
) -> Review:
    from vlsbench import load
    from vlsbench.pairs import parse_columns
    from vlsbench.reviewing import open_review

    named = parse_columns(columns) or None
    pairs = load(dataset, data=data, skip_bad=skip_bad, columns=named)
    return open_review(pairs, store, votes=votes, skip_bad=skip_bad)


def _print_status(found: Status) -> None:
    console = Console()
    console.print(terminal(f"Review of {found.bench}: {found.pairs:,} pairs"), highlight=False)
    people = Table(box=box.SIMPLE_HEAD)
    for name in ("person", "role"):
        people.add_column(name, overflow="fold")
    people.add_column("done", justify="right")
    for person in found.people:
        people.add_row(terminal(person.name), person.role, f"{person.done:,} of {person.total:,}")
    console.print(people)
    table = Table(
        title="Agreement of reviewers, over pairs that two or more were sure about",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("question")
    for name in ("alpha", "95 %", "same answer", "pairs"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.agreement:
        table.add_row(
            one.question,
            "–" if one.alpha is None else f"{one.alpha:.2f}",
            "–" if one.low is None else f"{one.low:.2f} to {one.high:.2f}",
            "–" if one.agreement is None else f"{one.agreement:.0%}",
            f"{one.n:,}",
        )
    console.print(table)
    needs = "1 verdict" if found.votes == 1 else f"{found.votes} verdicts"
    console.print(
        f"A pair needs {needs}: {found.keep:,} keep, {found.drop:,} drop, {found.open:,} not "
        f"decided ({found.disputed:,} in dispute)",
        highlight=False,
    )
    if found.stale:
        console.print(f"{found.stale:,} verdicts do not count: their pair has changed since")
