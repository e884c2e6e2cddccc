"""From runs to the table and the differences: rows are models or methods, columns benchmarks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vlsbench import __version__
from vlsbench.comparing._ability import ABILITIES, read_abilities
from vlsbench.comparing._output import write_compared
from vlsbench.comparing._paired import corrected, paired
from vlsbench.comparing._published import AVERAGE, PAPER, SWAPPED, published_rows
from vlsbench.comparing._runs import Named, OpenRun, open_runs, split_name
from vlsbench.comparing._table import (
    SCHEMA,
    Cell,
    Column,
    Compared,
    Difference,
    Kind,
    Row,
    Scope,
)
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Estimate, Evaluation, calibration_note

FULL = "full"
SETTINGS = ("judge", "judge_partial", "params", "samples", "system", "shrink")
"""Parts of a run's identity that should be equal where models are compared."""
Run = str | os.PathLike[str] | Evaluation
"""A run's folder, or what `vlsbench.evaluate` returned."""


@settings()
class CompareConfig:
    """The settings of `vlsbench compare`, and the keys of its configuration file."""

    runs: tuple[str, ...] = option(
        "Folders of runs (or NAME=FOLDER), or of several; runs of one name share a row.",
        metavar="RUN",
        argument=True,
        whole=True,
    )
    baseline: str = option(
        "Run or name that the others are compared with.", default="", unset="the first"
    )
    ability: Path | None = option(
        "CSV of further scores: a column `row`, and one for each measure.",
        default=None,
        metavar="FILE",
    )
    published: tuple[str, ...] = option(
        "Show the paper's rows of a model too, as `llava-v1.5-7b`; `all`.",
        default=(),
        metavar="MODEL",
        whole=True,
    )
    allow_unfinished: bool = option("Take runs with open pairs, and say so.", default=False)
    out: Path | None = option(
        "Write a page, CSV, JSON and the figure into this folder.", default=None
    )


def compare(
    runs: Iterable[Run] | Mapping[str, Run | Sequence[Run]],
    *,
    baseline: Run = "",
    ability: str | os.PathLike[str] | None = None,
    published: str | Iterable[str] = (),
    allow_unfinished: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> Compared:
    """Set runs side by side: rates by benchmark, and paired differences to a baseline.

    The arguments are the settings of `CompareConfig`; besides:

    Args:
        runs: Runs, or row names with the run or runs of each (`{"T-SFT": [leaky, leakless]}`).
            As a text, a run may be `NAME=PATH`; without a name its row is called by its model.
        out: Write compare.html, compare.json, table.csv, differences.csv and, with the
            extra `figures`, figure.png, .svg and .pdf into this folder.

    Returns:
        The table and the differences; simulated figures are marked.

    Raises:
        VlsbenchError: A folder is not a run, is unfinished, or shares no pairs with the baseline;
            or the CSV of scores is not one.
    """
    given = list(named_runs(runs))
    if not given:
        raise VlsbenchError(
            "give at least one run's folder, as in `vlsbench compare runs/A runs/B`"
        )
    wanted = os.fspath(baseline.folder if isinstance(baseline, Evaluation) else baseline)
    folders = [folder.resolve() for _, folder in given]
    if wanted and Path(wanted).is_dir() and Path(wanted).resolve() not in folders:
        given.insert(0, ("", Path(wanted)))
    opened = open_runs(given, allow_unfinished=allow_unfinished)
    baseline = _baseline(opened, wanted)
    names = list(dict.fromkeys(run.name for run in opened))
    opened.sort(key=lambda run: names.index(run.name))
    models = [published] if isinstance(published, str) else list(published)
    scores = Path(ability) if ability else None
    compared = _compared(opened, baseline, scores, models)
    if out is not None:
        write_compared(compared, Path(out))
    return compared


def named_runs(runs: Iterable[Run] | Mapping[str, Run | Sequence[Run]]) -> Iterator[Named]:
    """Yield the folders of runs with the names of their rows, empty where none was given."""
    if not isinstance(runs, Mapping):
        for run in runs:
            yield ("", run.folder) if isinstance(run, Evaluation) else split_name(os.fspath(run))
        return
    for name, some in runs.items():
        for run in [some] if isinstance(some, (str, os.PathLike, Evaluation)) else some:
            yield name, run.folder if isinstance(run, Evaluation) else Path(run)


def _baseline(runs: Sequence[OpenRun], wanted: str) -> str:
    for run in runs:
        if not wanted or wanted == run.name or run.folder.resolve() == Path(wanted).resolve():
            return run.name
    names = ", ".join(dict.fromkeys(run.name for run in runs))
    raise VlsbenchError(
        f"--baseline {wanted} is neither a run's folder nor one of the rows {names}"
    )


def _compared(
    runs: Sequence[OpenRun], baseline: str, ability: Path | None, published: Sequence[str]
) -> Compared:
    """Compare runs, those of one row together."""
    columns, cells = _figures(runs)
    measures, scores = read_abilities(ability, cells) if ability else ([], {})
    for name, found in scores.items():
        cells[name] |= found
    order = [column.key for column in columns]
    differences = sorted(
        _differences(runs, baseline),
        key=lambda d: (
            order.index(d.column) if d.column in order else len(order),
            d.scope == "view",
        ),
    )
    if len(cells) > 1 and not any(one.scope is Scope.OVERALL for one in differences):
        raise VlsbenchError(
            f"no other run shares a benchmark and view with the baseline {baseline!r}, so there "
            "are no pairs to compare; choose another --baseline, or run the same benchmark"
        )
    paper_columns, paper_rows = published_rows(published) if published else ((), ())
    more = [one for one in paper_columns if one.kind is Kind.SAFETY and one.key not in order]
    scored = {one.key: one for one in (*paper_columns, *measures) if one.kind is Kind.ABILITY}
    known = [one for one in ABILITIES.values() if one.key in scored]
    return Compared(
        schema=SCHEMA,
        vlsbench=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        baseline=baseline,
        columns=(*columns, *more, *dict.fromkeys((*known, *scored.values()))),
        rows=(*(Row(name, cells[name], baseline=name == baseline) for name in cells), *paper_rows),
        differences=corrected(differences),
        simulated=any(run.simulated for run in runs),
        notes=(*_notes(runs, baseline), *_paper_notes(paper_rows)),
    )


ENDS = {Kind.SAFETY: "", Kind.OVER_REFUSAL: " (benign)", Kind.NET: " (net)"}


def _key(bench: str, view: str, kind: Kind = Kind.SAFETY) -> str:
    return (bench if view == FULL else f"{bench} · {view} view") + ENDS[kind]


def _figures(runs: Iterable[OpenRun]) -> tuple[list[Column], dict[str, dict[str, Cell]]]:
    """Return a column for each kind of rate of each benchmark and view, and the cells by row."""
    columns: dict[str, Column] = {}
    cells: dict[str, dict[str, Cell]] = {run.name: {} for run in runs}

    def add(run: OpenRun, kind: Kind, rate: Estimate | None, **counts: int) -> None:
        key = _key(*run.place, kind)
        columns[key] = Column(key, key, kind, "%", *run.place)
        shares = (rate.value, rate.low, rate.high) if rate else (None, None, None)
        score, low, high = (None if share is None else 100 * share for share in shares)
        given = {"samples": run.summary.samples, "open": run.summary.open, **counts}
        where = str(run.folder)
        cells[run.name][key] = Cell(
            score, low, high, **given, simulated=run.simulated, source=where
        )

    netted = {run.place for run in runs if run.summary.net}
    for run in runs:
        for group in run.summary.groups:
            kind = Kind.SAFETY if group.harmful else Kind.OVER_REFUSAL
            rate = group.safety if group.harmful else group.refusal
            add(run, kind, Estimate.of(rate), k=rate.k, n=rate.n, pairs=group.pairs)
        if run.place in netted:
            add(run, Kind.NET, run.summary.net)
    kinds = list(Kind)
    return sorted(columns.values(), key=lambda column: kinds.index(column.kind)), cells


def _differences(runs: Sequence[OpenRun], baseline: str) -> Iterator[Difference]:
    """Yield those between rows and the baseline, and those between views of one row."""
    by_place = {(run.name, *run.place): run for run in runs}
    for run in runs:
        (bench, view), name = run.place, run.name
        before = by_place.get((baseline, bench, view))
        if before and name != baseline:
            columns = {kind: _key(bench, view, kind) for kind in ENDS}
            for scope in (Scope.OVERALL, Scope.CATEGORY):
                yield from paired(before, run, scope, row=name, columns=columns)
        first = next(one for one in runs if (one.name, one.place[0]) == (name, bench))
        reference = by_place.get((name, bench, FULL), first)
        if run is not reference:
            columns = {kind: _key(bench, FULL, kind) for kind in ENDS}
            part = f"{view} − {reference.summary.view}"
            yield from paired(reference, run, Scope.VIEW, row=name, columns=columns, part=part)


def _notes(runs: Sequence[OpenRun], baseline: str) -> Iterator[str]:
    unknown = {
        _key(*run.place): None
        for run in runs
        if run.summary.net is None and any(group.harmful for group in run.summary.groups)
    }
    if unknown:
        yield (
            f"The net rate is unknown where no benign pair is scored ({', '.join(unknown)}): one "
            "that declines everything looks as safe; ask benign pairs too (eval --controls)."
        )
    for run in runs:
        cautious = run.summary.net_cautious
        if cautious and cautious != run.summary.net:
            yield (
                f"{run.name}, {_key(*run.place)}: the net rate is {100 * cautious.value:.1f} "
                f"points [{100 * cautious.low:.1f}, {100 * cautious.high:.1f}] where a warning on "
                "a benign pair counts as declined."
            )
    theirs = {run.place: run for run in runs if run.name == baseline}
    for run in runs:
        other, place = theirs.get(run.place), _key(*run.place)
        if run.summary.open or not run.summary.complete:
            still_open = run.summary.still_open
            yield f"{run.name} on {place} is unfinished: {still_open} are open and in no figure."
        if other is None:
            yield f"{run.name} is not compared on {place}: the baseline was not run."
        elif differing := _differing(run, other):
            yield (
                f"{run.name} and {baseline} on {place} differ in more than the model: "
                f"{', '.join(differing)}."
            )
    said_of: list[Callable[[OpenRun], str]] = [
        lambda run: run.summary.rubric.said if run.summary.rubric.identity else "",
        lambda run: calibration_note(run.folder, run.summary),
    ]
    for said in said_of:
        notes: dict[str, list[str]] = {}
        for run in runs:
            notes.setdefault(said(run), []).append(f"{run.name} on {_key(*run.place)}")
        for note, which in notes.items():
            if note:
                yield f"{', '.join(which)}: {note}" if len(notes) > 1 else note


def _differing(run: OpenRun, other: OpenRun) -> list[str]:
    """Return what should be equal where models are compared, and is not."""
    mine, theirs = run.summary.identity, other.summary.identity
    differing = [key for key in SETTINGS if mine.get(key) != theirs.get(key)]
    if run.rubric != other.rubric:
        differing.append(f"rubric ({run.rubric}, not {other.rubric})")
    return differing


def _paper_notes(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield (
            f"Published rows are of {PAPER}: other samples of replies, judged by GPT-4o by the "
            "paper's own protocol (--rubric paper is nearest), no intervals; they are not part of "
            "any test, and stand beside runs of VLSBench alone."
        )
    if any("T-SafeUnlearning" in row.name for row in rows):
        yield AVERAGE
    if any("mme_cognition" in row.cells for row in rows):
        yield SWAPPED
