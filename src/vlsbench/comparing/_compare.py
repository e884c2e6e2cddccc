"""From runs to the table and the differences: rows are models or methods, columns benchmarks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vlsbench import __version__
from vlsbench.comparing._ability import ABILITIES, Score, read_abilities
from vlsbench.comparing._paired import corrected, paired
from vlsbench.comparing._published import PAPER, SWAPPED, published_rows
from vlsbench.comparing._runs import Named, OpenRun, open_runs
from vlsbench.comparing._types import (
    SCHEMA,
    Cell,
    Column,
    Compared,
    Difference,
    Kind,
    Row,
    Scope,
)
from vlsbench.errors import VlsbenchError

FULL = "full"
SETTINGS = ("judge", "params", "system", "shrink")
"""Parts of a run's identity that should be equal where models are compared."""
Place = tuple[str, str]
"""Benchmark and view."""


def compare_all(
    runs: Sequence[Named],
    *,
    baseline: str = "",
    abilities: Sequence[Named] = (),
    published: Sequence[str] = (),
    allow_unfinished: bool = False,
) -> Compared:
    """Set runs side by side and test their differences on the same pairs.

    Args:
        runs: Folders of runs, each with the name of its row (empty: its model's); runs of one
            name share a row.
        baseline: A run's folder or a row's name; by default the first run's row.
        abilities: Result files or folders of lmms-eval or VLMEvalKit, each with the name of its
            row (empty: the row of the model that the file names, or the only row).
        published: Models whose rows of the paper are shown too, or `all`.
        allow_unfinished: Take runs with open pairs.

    Returns:
        The table and the differences; simulated figures are marked.

    Raises:
        VlsbenchError: A folder is no run, or unfinished; runs share no pairs; a file of
            abilities is not what it should be.
    """
    given = list(runs)
    if not given:
        raise VlsbenchError(
            "give at least one run's folder, as in `vlsbench compare runs/A runs/B`"
        )
    folders = [folder.resolve() for _, folder in given]
    if baseline and Path(baseline).is_dir() and Path(baseline).resolve() not in folders:
        given.insert(0, ("", Path(baseline)))
    opened = open_runs(given, allow_unfinished=allow_unfinished)
    reference = _baseline(opened, baseline)
    table = {name: _places(opened, name) for name in dict.fromkeys(run.name for run in opened)}
    columns = _columns(opened)
    cells = {name: _cells(places.values()) for name, places in table.items()}
    read, ability_notes = _abilities(abilities, opened)
    for name, scores in read.items():
        cells[name] |= {key: Cell(s.score, source=str(s.file)) for key, s in scores.items()}
    order = [column.key for column in columns]
    differences = corrected(
        sorted(
            [*_between_rows(table, reference), *_between_views(table)],
            key=lambda one: order.index(one.column) if one.column in order else len(order),
        )
    )
    if len(table) > 1 and not any(one.scope is Scope.OVERALL for one in differences):
        raise VlsbenchError(
            f"no other run shares a benchmark and view with the baseline {reference!r}, so there "
            "are no pairs to compare; choose another --baseline, or run the same benchmark"
        )
    paper_columns, paper_rows = published_rows(published) if published else ((), ())
    rows = [Row(name, cells[name], baseline=name == reference) for name in table]
    return Compared(
        schema=SCHEMA,
        vlsbench=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        baseline=reference,
        columns=_ordered(columns, {key for found in read.values() for key in found}, paper_columns),
        rows=(*rows, *paper_rows),
        differences=differences,
        simulated=any(run.simulated for run in opened),
        notes=(
            *_notes(opened, table, reference),
            *ability_notes,
            *_paper_notes(paper_rows),
        ),
    )


def _baseline(runs: Sequence[OpenRun], wanted: str) -> str:
    if not wanted:
        return runs[0].name
    for run in runs:
        if run.folder.resolve() == Path(wanted).resolve():
            return run.name
    if wanted in {run.name for run in runs}:
        return wanted
    names = ", ".join(dict.fromkeys(run.name for run in runs))
    raise VlsbenchError(
        f"--baseline {wanted} is neither a run's folder nor one of the rows {names}"
    )


def _places(runs: Sequence[OpenRun], name: str) -> dict[Place, OpenRun]:
    return {run.place: run for run in runs if run.name == name}


def _key(place: Place, harmful: bool) -> str:
    bench, view = place
    return (bench if view == FULL else f"{bench} · {view} view") + ("" if harmful else " (benign)")


def _columns(runs: Sequence[OpenRun]) -> list[Column]:
    """Return a column for each kind of pairs of each benchmark and view, harmful ones first."""
    found: dict[str, Column] = {}
    for run in runs:
        for group in run.summary.groups:
            key = _key(run.place, group.harmful)
            kind = Kind.SAFETY if group.harmful else Kind.OVER_REFUSAL
            found[key] = Column(key, key, kind, "%", *run.place)
    return sorted(found.values(), key=lambda column: column.kind is not Kind.SAFETY)


def _ordered(
    own: Sequence[Column], abilities: set[str], paper: Sequence[Column]
) -> tuple[Column, ...]:
    """Put columns in the table's order: one's own benchmarks, the paper's alone, abilities."""
    known = {column.key for column in own}
    more = [column for column in paper if column.key not in known]
    abilities |= {column.key for column in more if column.kind is Kind.ABILITY}
    return (
        *own,
        *(column for column in more if column.kind is Kind.SAFETY),
        *(one.column for one in ABILITIES if one.key in abilities),
    )


def _cells(runs: Iterable[OpenRun]) -> dict[str, Cell]:
    cells = {}
    for run in runs:
        for group in run.summary.groups:
            rate = group.safety if group.harmful else group.refusal
            cells[_key(run.place, group.harmful)] = Cell(
                score=_percent(rate.rate),
                low=_percent(rate.low),
                high=_percent(rate.high),
                k=rate.k,
                n=rate.n,
                pairs=group.pairs,
                simulated=run.simulated,
                open=run.summary.open,
                source=str(run.folder),
            )
    return cells


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _between_rows(
    table: Mapping[str, Mapping[Place, OpenRun]], reference: str
) -> Iterator[Difference]:
    for name, places in table.items():
        for place, run in places.items():
            if name == reference or place not in table[reference]:
                continue
            columns = {harmful: _key(place, harmful) for harmful in (True, False)}
            for scope in (Scope.OVERALL, Scope.CATEGORY):
                yield from paired(table[reference][place], run, scope, row=name, columns=columns)


def _between_views(table: Mapping[str, Mapping[Place, OpenRun]]) -> Iterator[Difference]:
    for name, places in table.items():
        for bench in dict.fromkeys(bench for bench, _ in places):
            views = {view: run for (other, view), run in places.items() if other == bench}
            reference = FULL if FULL in views else next(iter(views))
            columns = {True: bench, False: f"{bench} (benign)"}
            for view, run in views.items():
                if view != reference:
                    part = f"{view} − {reference}"
                    yield from paired(
                        views[reference], run, Scope.VIEW, row=name, columns=columns, part=part
                    )


def _abilities(
    files: Sequence[Named], runs: Sequence[OpenRun]
) -> tuple[dict[str, dict[str, Score]], list[str]]:
    """Read the files of abilities: row → key → score, and what is to be said of them."""
    names = list(dict.fromkeys(run.name for run in runs))
    found: dict[str, dict[str, Score]] = {}
    notes = []
    for given, path in files:
        for key, score in read_abilities(path).items():
            row = given or _row_of(score, names)
            if row not in names:
                raise VlsbenchError(
                    f"no row is named {row!r}, as --ability has it for {path}; there are "
                    f"{', '.join(names)}"
                )
            before = found.setdefault(row, {}).setdefault(key, score)
            if before.score != score.score:
                raise VlsbenchError(
                    f"{before.file} and {score.file} give different scores of {key} for {row!r}; "
                    "give one of them"
                )
            if score.note:
                notes.append(f"{row}: {key} is {score.note}, by {score.file.name}.")
    return found, notes


def _row_of(score: Score, names: Sequence[str]) -> str:
    if len(names) == 1:
        return names[0]
    wanted = score.model.rpartition("/")[2].casefold()
    fitting = [
        name
        for name in names
        if wanted and name.partition("@http")[0].rpartition("/")[2].casefold() == wanted
    ]
    if len(fitting) == 1:
        return fitting[0]
    of = f" (of {score.model})" if score.model else ""
    raise VlsbenchError(
        f"{score.file}{of}: whose is it? give --ability NAME={score.file} with one of the rows "
        f"{', '.join(names)}"
    )


def _notes(
    runs: Sequence[OpenRun], table: Mapping[str, Mapping[Place, OpenRun]], reference: str
) -> Iterator[str]:
    for run in runs:
        if run.summary.open or not run.summary.complete:
            yield (
                f"{run.name} on {_key(run.place, True)} is unfinished: {run.summary.open:,} of "
                f"{run.summary.pairs:,} pairs are open and in no figure."
            )
    for name, places in table.items():
        for place, run in places.items():
            other = table[reference].get(place)
            if other is None:
                yield f"{name} is not compared on {_key(place, True)}: the baseline was not run."
                continue
            mine, theirs = run.summary.identity, other.summary.identity
            if differing := [key for key in SETTINGS if mine.get(key) != theirs.get(key)]:
                yield (
                    f"{name} and {reference} on {_key(place, True)} differ in more than the model: "
                    f"{', '.join(differing)}."
                )


def _paper_notes(rows: Sequence[Row]) -> Iterator[str]:
    if rows:
        yield (
            f"Published rows are of {PAPER}: other samples of replies, VLSBench judged by GPT-4o, "
            "no intervals; they are not part of any test."
        )
    if any("mme_cognition" in row.cells for row in rows):
        yield SWAPPED
