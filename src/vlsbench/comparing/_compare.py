"""From runs to the table and the differences: rows are models or methods, columns benchmarks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from vlsbench import __version__
from vlsbench.comparing._output import write_compared
from vlsbench.comparing._runs import DIFFERING, OpenRun, Run, named_runs, open_runs
from vlsbench.comparing._scores import PAPER_NOTE, published_rows, read_abilities
from vlsbench.comparing._table import (
    FULL,
    SCHEMA,
    Cell,
    Column,
    Compared,
    Difference,
    Kind,
    Row,
    Scope,
    corrected,
    key_of,
    paired,
)
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Estimate, calibration_note


@settings()
class CompareConfig:
    """The settings of `vlsbench compare`, and the keys of its configuration file."""

    runs: tuple[str, ...] = option(
        "Folders of runs (or NAME=FOLDER), or of several; runs of one name share a row, and the "
        "first is the baseline.",
        metavar="RUN",
        argument=True,
        whole=True,
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
    out: Path | None = option(
        "Write a page, CSV, JSON and the figure into this folder.", default=None
    )


def compare(
    runs: Iterable[Run] | Mapping[str, Run | Sequence[Run]],
    *,
    ability: str | os.PathLike[str] | None = None,
    published: str | Iterable[str] = (),
    out: str | os.PathLike[str] | None = None,
) -> Compared:
    """Set runs side by side: rates by benchmark, and paired differences to the first.

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
    models = [published] if isinstance(published, str) else list(published)
    opened = open_runs(named_runs(runs))
    if not opened:
        raise VlsbenchError(
            "give at least one run's folder, as in `vlsbench compare runs/A runs/B`"
        )
    compared = compare_opened(opened, Path(ability) if ability else None, models)
    if out is not None:
        write_compared(compared, Path(out))
    return compared


def compare_opened(
    runs: Sequence[OpenRun], ability: Path | None = None, published: Sequence[str] = ()
) -> Compared:
    """Compare runs, those of one name together, with the first of them; see `compare`."""
    baseline = runs[0].name
    names = list(dict.fromkeys(run.name for run in runs))
    runs = sorted(runs, key=lambda run: names.index(run.name))
    columns, cells = _figures(runs)
    measures, scores = read_abilities(ability, cells) if ability else ([], {})
    for name, found in scores.items():
        cells[name] |= found
    differences = list(_differences(runs, baseline))
    if len(cells) > 1 and not any(one.scope is Scope.OVERALL for one in differences):
        raise VlsbenchError(
            f"no other run shares a benchmark and view with the baseline {baseline!r}, so there "
            "are no pairs to compare; give another run first, or run the same benchmark"
        )
    paper_columns, paper_rows = published_rows(published)
    known: dict[str, Column] = {}
    for column in (*columns, *paper_columns, *measures):
        known.setdefault(column.key, column)
    kinds = list(Kind)
    return Compared(
        schema=SCHEMA,
        vlsbench=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        baseline=baseline,
        columns=tuple(sorted(known.values(), key=lambda one: kinds.index(one.kind))),
        rows=(*(Row(name, cells[name], baseline=name == baseline) for name in cells), *paper_rows),
        differences=corrected(differences),
        simulated=any(run.simulated for run in runs),
        notes=(*_notes(runs, baseline), *([PAPER_NOTE] if paper_rows else [])),
    )


def _figures(runs: Iterable[OpenRun]) -> tuple[list[Column], dict[str, dict[str, Cell]]]:
    """Return a column for each kind of rate of each benchmark and view, and the cells by row."""
    columns: dict[str, Column] = {}
    cells: dict[str, dict[str, Cell]] = {run.name: {} for run in runs}
    netted = {run.place for run in runs if run.summary.net}
    for run in runs:
        rates: list[tuple[Kind, Estimate | None, int | None, int | None]] = []
        for group in run.summary.groups:
            kind = Kind.SAFETY if group.harmful else Kind.OVER_REFUSAL
            rate = group.safety if group.harmful else group.refusal
            rates.append((kind, Estimate.of(rate), rate.n, group.pairs))
        if run.place in netted:
            rates.append((Kind.NET, run.summary.net, None, None))
        for kind, found, n, pairs in rates:
            key = key_of(*run.place, kind)
            columns[key] = Column(key, key, kind)
            cells[run.name][key] = Cell(
                100 * found.value if found else None,
                100 * found.low if found else None,
                100 * found.high if found else None,
                n,
                pairs,
                samples=run.summary.samples,
                simulated=run.simulated,
                source=str(run.folder),
            )
    return list(columns.values()), cells


def _differences(runs: Sequence[OpenRun], baseline: str) -> Iterator[Difference]:
    """Yield those between rows and the baseline, and those between views of one row."""
    by_place = {(run.name, *run.place): run for run in runs}
    for run in runs:
        (bench, view), name = run.place, run.name
        before = by_place.get((baseline, bench, view))
        if before and name != baseline:
            for scope in (Scope.OVERALL, Scope.CATEGORY):
                yield from paired(before, run, scope)
        first = next(one for one in runs if (one.name, one.place[0]) == (name, bench))
        reference = by_place.get((name, bench, FULL), first)
        if run is not reference:
            yield from paired(reference, run, Scope.VIEW)


def _notes(runs: Sequence[OpenRun], baseline: str) -> Iterator[str]:
    unknown = {
        key_of(*run.place): None
        for run in runs
        if run.summary.net is None and any(group.harmful for group in run.summary.groups)
    }
    if unknown:
        yield (
            f"The net rate is unknown where no benign pair is scored ({', '.join(unknown)}): one "
            "that declines everything looks as safe; ask benign pairs too (eval --controls)."
        )
    theirs = {run.place: run for run in runs if run.name == baseline}
    said: dict[str, list[str]] = {}
    for run in runs:
        other, place = theirs.get(run.place), key_of(*run.place)
        if other is None:
            yield f"{run.name} is not compared on {place}: the baseline was not run."
        elif how := run.differing(other, DIFFERING):
            yield (
                f"{run.name} and {baseline} on {place} differ in more than the model: "
                f"{', '.join(f'{what} ({told})' for what, told in how.items())}."
            )
        notes = [calibration_note(run.folder, run.summary)]
        notes += [run.summary.rubric.said] if run.summary.rubric.identity else []
        for note in notes:
            said.setdefault(note, []).append(f"{run.name} on {place}")
    for note, which in said.items():
        yield note if len(which) == len(runs) else f"{', '.join(which)}: {note}"
