"""From runs to the table and the differences, and what they are written as.

Rows are models or methods, columns benchmarks.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from vlsbench import __version__
from vlsbench.comparing._runs import DIFFERING, OpenRun, Run, named_runs, open_runs
from vlsbench.comparing._scores import PAPER_NOTE, published_rows, read_abilities
from vlsbench.comparing._table import (
    FULL,
    SCHEMA,
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
from vlsbench.comparing._table import Cell as Figure
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import REPORT, Estimate, calibration_note
from vlsbench.files import output_folder, write_csv, write_json
from vlsbench.pages import (
    ENDINGS,
    SIMULATED,
    Bar,
    Cell,
    Document,
    Section,
    Table,
    bars,
    drawing,
    embedded,
    label,
    lacking_figures,
)
from vlsbench.text import counted

FILES = ("compare.html", "compare.json", "table.csv", "differences.csv")
TITLES = {
    Scope.OVERALL: "Differences to the baseline",
    Scope.VIEW: "Differences between views",
    Scope.CATEGORY: "Differences to the baseline by category",
}
PARTS = {Scope.CATEGORY: ["category"], Scope.VIEW: ["views"]}
"""Scope → heading of the column that tells the lines of a row apart."""
DASH = "–"
Counts = tuple[int | None, int | None, int | None]
"""Hits, scored pairs and pairs of a rate."""


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


def _figures(runs: Iterable[OpenRun]) -> tuple[list[Column], dict[str, dict[str, Figure]]]:
    """Return a column for each kind of rate of each benchmark and view, and the cells by row."""
    columns: dict[str, Column] = {}
    cells: dict[str, dict[str, Figure]] = {run.name: {} for run in runs}
    netted = {run.place for run in runs if run.summary.net}
    for run in runs:
        rates: list[tuple[Kind, Estimate | None, Counts]] = []
        for group in run.summary.groups:
            kind = Kind.SAFETY if group.harmful else Kind.OVER_REFUSAL
            rate = group.safety if group.harmful else group.refusal
            rates.append((kind, Estimate.of(rate), (rate.k, rate.n, group.pairs)))
        if run.place in netted:
            rates.append((Kind.NET, run.summary.net, (None, None, None)))
        for kind, found, counts in rates:
            key = key_of(*run.place, kind)
            columns[key] = Column(key, key, kind)
            cells[run.name][key] = Figure(
                100 * found.value if found else None,
                100 * found.low if found else None,
                100 * found.high if found else None,
                *counts,
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


def _score(cell: Figure | None) -> str:
    """Write a figure with its interval; others' figures as they are given."""
    if cell is None or cell.score is None:
        return DASH
    if cell.low is None or cell.high is None:
        return f"{cell.score:g}"
    return f"{cell.score:.1f}{'†' * cell.simulated} [{cell.low:.1f}, {cell.high:.1f}]"


def _probability(p: float | None) -> str:
    """Write a p value; exact ones are in the CSV and the JSON."""
    return DASH if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def _points(found: Difference) -> str:
    """Write a difference with its interval."""
    if found.points is None:
        return DASH
    within = "" if found.low is None else f" [{found.low:+.1f}, {found.high:+.1f}]"
    return f"{found.points:+.1f}{within}{'†' * found.simulated}"


def report_of(run: str | Path, folder: Path | None) -> str:
    """Return the address of a run's own page, seen from a folder; empty where there is none."""
    page = Path(run) / REPORT
    if folder is None or not page.is_file():
        return ""
    return quote(Path(os.path.relpath(page, folder)).as_posix(), errors="replace")


def figures_table(compared: Compared, folder: Path | None = None) -> Table:
    """Return the table of all figures; where a folder is given, with links from there to runs."""
    rows = []
    for row in compared.rows:
        said = " (published)" * row.published + " (baseline)" * row.baseline
        cells = [Cell(row.name + said)]
        for column in compared.columns:
            found = row.cells.get(column.key)
            what = " answers" if found and found.samples > 1 else ""
            n = [f"n {found.n:,} of {found.pairs:,}{what}"] if found and found.n is not None else []
            href = report_of(found.source, folder) if found else ""
            cells.append(Cell(_score(found), details=n, href=href))
        rows.append(cells)
    caption = "Percent of scored pairs with 95 % intervals clustered by image."
    caption += f" {SIMULATED}." * compared.simulated
    return Table(["model", *(column.heading for column in compared.columns)], rows, caption=caption)


def difference_tables(compared: Compared) -> Iterator[Section]:
    """Yield the tables of differences in the order to show them, one for each family of tests."""
    for scope, title in TITLES.items():
        # Where one of two runs has no such pairs, there is nothing to show.
        lines = [one for one in compared.differences if one.scope is scope and one.n]
        if not lines:
            continue
        texts = ["model", "benchmark", *PARTS.get(scope, [])]
        rows = [
            [
                *map(Cell, (one.row, one.column, one.part)[: len(texts)]),
                *map(Cell, (f"{one.n:,}", f"{one.left_out:,}", _points(one))),
                *map(Cell, (_probability(one.p), _probability(one.p_holm))),
            ]
            for one in lines
        ]
        tests = max(one.tests for one in lines)
        holm = f"; Holm: corrected for the {tests} tests of this table" if tests > 1 else ""
        caption = (
            "Percentage points on the same pairs. p: exact sign-flip test over images"
            f"{holm}. Intervals: 95 %, clustered by image."
        )
        names = [*texts, "n", "left out", "difference", "p", "p, Holm"]
        table = Table(names, rows, len(texts), caption)
        yield Section(title, table=table, folded=scope is Scope.CATEGORY)


def draw_compared(compared: Compared, path: Path) -> bool:
    """Draw safety rates and over-refusal as PNG, SVG and PDF, and tell whether there are any.

    The bars are grouped like those of the paper's figure 1, published rows too.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    own = [row for row in compared.rows if not row.published]
    drawn = {key for row in own for key, cell in row.cells.items() if cell.score is not None}
    rates = (Kind.SAFETY, Kind.OVER_REFUSAL)
    columns = [one for one in compared.columns if one.key in drawn and one.kind in rates]
    series: dict[str, Sequence[Bar | None]] = {}
    for row in compared.rows:
        cells = [row.cells.get(column.key) for column in columns]
        simulated = any(cell and cell.simulated for cell in cells)
        name = row.name + " (published)" * row.published + " †" * simulated
        found = [Bar(c.score, c.low, c.high) if c and c.score is not None else None for c in cells]
        series |= {name: found} if any(found) else {}
    if not series:
        return False
    size = (max(4.0, len(columns) * (0.7 + 0.32 * len(series))), 3.0 + 0.18 * len(series))
    heads = [label(one.heading.replace(", %)", ")"), 60) for one in columns]
    with drawing(path, size, SIMULATED if compared.simulated else "") as figure:
        bars(figure.subplots(), heads, series, unit="percent of pairs")
        figure.legend(loc="outside upper left")
    return True


def write_compared(compared: Compared, folder: Path) -> tuple[Path, ...]:
    """Write a comparison as HTML, JSON and CSV, and its figure as PNG, SVG and PDF.

    The figure needs the extra `figures`, and is left out without it.

    Returns:
        The files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    output_folder(folder)
    columns = {column.key: column for column in compared.columns}
    figures = (
        (row.name, row.baseline, row.published, columns[key].title, columns[key].kind, *astuple(c))
        for row in compared.rows
        for key, c in row.cells.items()
    )
    heads = ("row", "baseline", "published", "column", "kind")
    write_csv(figures, folder / "table.csv", (*heads, *(one.name for one in fields(Figure))))
    names = [one.name for one in fields(Difference)]
    write_csv(map(astuple, compared.differences), folder / "differences.csv", names)
    write_json(compared, folder / "compare.json")
    sections = [Section("All figures", table=figures_table(compared, folder))]
    files = [folder / name for name in FILES]
    if not lacking_figures() and draw_compared(compared, folder / "figure"):
        said = "Safety of harmful pairs, higher is safer; over-refusal of benign ones."
        image = embedded(folder / "figure.svg")
        sections.insert(0, Section("Rates by benchmark", [said], figure=image))
        files += [folder / f"figure.{ending}" for ending in ENDINGS]
    Document(
        f"{counted(sum(not row.published for row in compared.rows), 'model')} compared",
        [*sections, *difference_tables(compared)],
        subtitle=f"baseline {compared.baseline}",
        notes=compared.notes,
        simulated=compared.simulated,
    ).write(files[0])
    return tuple(files)
