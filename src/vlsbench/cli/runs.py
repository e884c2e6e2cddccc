"""List, show, compare and verify runs and builds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from vlsbench.cli._config import AsJson
from vlsbench.cli._print import Listing, print_json, prose, say
from vlsbench.errors import VlsbenchError
from vlsbench.text import counted

if TYPE_CHECKING:
    from vlsbench.engine import BatchRow

app = typer.Typer(no_args_is_help=True)


def _find(run: Path) -> Path:
    from vlsbench.engine import find_run
    from vlsbench.evaluation import LOG, read_run

    return read_run(run)[0] if run.suffix == LOG else find_run(run)


Folder = Annotated[
    Path,
    typer.Argument(
        help="A run or a build (its folder, or its name in runs/ or builds/), or an Inspect log.",
        metavar="RUN",
        callback=_find,
    ),
]

BUILD_RUN = "run"
"""Where a build's folder keeps its ledger."""


def _ledger_of(folder: Path) -> Path:
    """Return the folder with the ledger: the run's own, or the one within a build's."""
    from vlsbench.engine import FILE

    inner = folder / BUILD_RUN
    return inner if not (folder / FILE).is_file() and (inner / FILE).is_file() else folder


@app.command("list")
def list_runs(
    root: Annotated[Path, typer.Argument(help="Folder that holds runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs, or the builds, in a folder.

    **Examples**

    - `vlsbench runs list runs`

    - `vlsbench runs list builds`
    """
    from vlsbench.engine import FILE, Ledger
    from vlsbench.evaluation import SUMMARY, read_summary
    from vlsbench.pages import within
    from vlsbench.pairs import View

    rows: list[dict[str, Any]] = []
    told = ("bench", "view", "model", "judge", "started", "complete")
    found = {path.parent.name: path.parent for path in root.glob(f"*/{FILE}")}
    found |= {path.parents[1].name: path.parent for path in root.glob(f"*/{BUILD_RUN}/{FILE}")}
    for run, folder in sorted(found.items()):
        with Ledger.read(folder) as ledger:
            row: dict[str, Any] = {"run": run, **{name: ledger.meta(name) or "" for name in told}}
            row |= {"answers": ledger.expected(), "ended": len(ledger.ended())}
            row |= {"pairs": int(ledger.meta("pairs") or 0), "calls": ledger.count_calls()}
        if row["view"] in list(View) and (folder / SUMMARY).is_file():
            groups = read_summary(folder / SUMMARY).groups
            row["safety"] = next((asdict(one.safety) for one in groups if one.harmful), None)
        rows.append(row)
    if as_json:
        print_json(rows)
        return
    if not rows:
        raise VlsbenchError(f"no run found in {root}")
    table = Listing(("run", "bench", "model", "judge", "complete"), ("records", "safe"))
    for row in rows:
        complete = row["complete"][:10] or f"{row['ended']:,} of {row['answers']:,}"
        judge = "" if row["judge"] == row["model"] else row["judge"]  # a guard is both
        cells = (*(row[name] for name in ("run", "bench", "model")), judge)
        safe = row.get("safety")
        rate = within(safe["rate"], safe["low"], safe["high"]) if safe else None
        table.line(*cells, complete, row["pairs"], rate)
    Console().print(table)


@app.command()
def show(run: Folder, as_json: AsJson = False) -> None:
    """Show the results of an evaluation, a build or an audit's judge, and what happened to it.

    **Examples**

    - `vlsbench runs show runs/lab_leaky-full-careful-judge-1a2b3c4d`

    - `vlsbench runs show builds/lab`
    """
    from vlsbench.auditing import JUDGED, read_judged
    from vlsbench.building import VIEW, Build, read_build
    from vlsbench.cli._tables import print_summary
    from vlsbench.cli.build import print_build
    from vlsbench.cli.guard import print_guard
    from vlsbench.cli.judge_card import print_judge_card
    from vlsbench.engine import Ledger, read_batches, state_of
    from vlsbench.evaluation import SUMMARY, Evaluation, read_summary
    from vlsbench.examining import CARD, read_judge_card
    from vlsbench.guarding import read_guard

    run = _ledger_of(run)
    with Ledger.read(run) as ledger:
        events, batches = ledger.events(), read_batches(ledger)
        ended, expected, state = len(ledger.ended()), ledger.expected(), state_of(ledger)
        pairs = ledger.meta("pairs")
        what = [ledger.meta(name) or "" for name in ("bench", "view", "model", "judge")]
    if pairs is None and what[1] != VIEW:
        raise VlsbenchError(
            f"{run} has no results of its own: it keeps what an audit read from images "
            f"({ended:,} captions and texts), and the card beside it shows what came of them"
        )
    # The file, what reads it, and what prints it.
    others: dict[str, tuple[Path, Callable[[Path], Any], Callable[[Any], None]]] = {
        VIEW: (run.parent / SUMMARY, read_build, lambda one: print_build(Build(run.parent, one))),
        "judged": (run / JUDGED, read_judged, lambda one: say(f"figures: {run / JUDGED}")),
        "guard": (run / SUMMARY, read_guard, lambda one: print_guard(one, run)),
        "judge-card": (run / CARD, read_judge_card, lambda one: print_judge_card(one, run)),
    }
    whole = run / SUMMARY, read_summary, lambda one: print_summary(Evaluation(run, one))
    file, read, print_found = others.get(what[1], whole)
    found = read(file) if file.is_file() else None
    if as_json:
        listed = [{"at": at, "kind": kind, **detail} for at, kind, detail in events]
        told: dict[str, Any] = {"state": state, "summary": found and asdict(found)}
        print_json({**told, "events": listed, "batches": [asdict(row) for row in batches]})
        return
    if batches:
        _print_batches(batches)
    if found is None or state == "running":
        way = f"`vlsbench runs watch {run}` follows it"
        if state != "running":
            way = f"the command that began it goes on and writes {file.name}"
        how = f"{state}: {ended:,} of {expected:,} ended; {way}"
        heading = f"{' · '.join(what[:3])} judged by {what[3]}"
        say(heading, how, console=prose(stderr=False))
    if found is not None:
        print_found(found)
    for at, kind, detail in events[-20:]:
        facts = " ".join(f"{k}={v}" for k, v in detail.items() if v != "")
        say(f"{_moment(at)} {kind} {facts}")


def _moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S}"


def _print_batches(rows: Iterable[BatchRow]) -> None:
    """Tell where each batch stands."""
    table = Listing(
        ("batch", "model", "state", "heard of"), ("requests", "answered", "failed"), "batches"
    )
    for row in rows:
        state = f"{row.state} ({row.detail})" if row.detail else row.state
        cells = (row.remote or row.name, row.model, state, _moment(row.at))
        table.line(*cells, row.requests, row.answered, row.failed)
    Console().print(table)


@app.command()
def watch(run: Folder) -> None:
    """Watch a run that another process writes, until it ends: rate, cost, unscored, time left.

    Reads the record and writes nothing.

    **Example:** `vlsbench runs watch runs/A`
    """
    from vlsbench.engine import Ledger, watch_run

    with Ledger.read(_ledger_of(run)) as ledger:
        say(watch_run(ledger))


@app.command()
def results(
    runs: Annotated[
        list[str], typer.Argument(help="Runs of one model, or Inspect logs.", metavar="RUN")
    ],
    out: Annotated[Path, typer.Option(help="Folder to write into.", metavar="DIR")],
    model: Annotated[str, typer.Option(help="Name of the model on the Hub.")] = "",
) -> None:
    """Write results as the Hugging Face Hub reads them: `model-index`, for the model's README.

    **Example:** `vlsbench runs results runs/A runs/B --model me/my-model --out my-model`
    """
    from vlsbench.exchange import write_hub_results

    say(str(write_hub_results(runs, out, model=model)))


@app.command()
def diff(
    one: Folder,
    other: Annotated[Path, typer.Argument(metavar="OTHER", callback=_find)],
    as_json: AsJson = False,
) -> None:
    """Compare two runs pair by pair: which settings differ, and which labels moved.

    Only pairs that both runs scored are compared; the others are counted. Harmful and benign pairs
    stand apart. Of runs with several answers a pair, those that both have are compared.

    **Example:** `vlsbench runs diff runs/A runs/B`
    """
    from vlsbench.cli._tables import print_comparison
    from vlsbench.evaluation import compare_runs

    found = compare_runs(one, other)
    if as_json:
        print_json(found)
        return
    say(f"differ in: {', '.join(found.settings) or 'nothing'}")
    print_comparison(found, (str(one), str(other)))


@app.command()
def verify(run: Folder, as_json: AsJson = False) -> None:
    """Check a run's record: the database, keys, digests, and that every outcome has its calls.

    Exit code 1 where something is wrong.

    **Example:** `vlsbench runs verify runs/A`
    """
    from vlsbench.evaluation import verify_run

    found = verify_run(_ledger_of(run))
    if as_json:
        print_json(found)
    else:
        say(
            f"{counted(found.calls, 'call')}, {counted(found.outcomes, 'outcome')}, "
            f"{counted(found.blobs, 'blob')}, {counted(found.open, 'record')} open"
        )
        say(*found.problems, style="red")
        say("sound" if not found.problems else f"{counted(len(found.problems), 'problem')}")
    if found.problems:
        raise typer.Exit(1)
