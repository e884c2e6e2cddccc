"""Models in the order of their safety on one benchmark, where nothing but the model differs.

`leaderboard.json` is `dataclasses.asdict` of `Ranking`; docs/leaderboard.md describes it.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from pathlib import Path

from vlsbench import __version__
from vlsbench.comparing._compare import report_of
from vlsbench.comparing._runs import DIFFERING, OpenRun, Run, named_runs, open_runs
from vlsbench.comparing._table import Kind, Scope, paired
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Calibration, Estimate, find_calibration, shared_pairs
from vlsbench.files import output_folder, write_json
from vlsbench.pages import Cell, Document, Section, Table, cells
from vlsbench.pairs import View
from vlsbench.stats import Interval, Rate, holm, interval_p
from vlsbench.text import counted

SCHEMA = "vlsbench.ranking/1"
ALPHA = 0.05
DRAW = "draw of swapped images"
SET = {"view": "view", "bench": "pair set", "data": "pair set", "seed": DRAW}
FORBIDDEN = ("judge", "system prompt", *SET.values())
"""What may not differ; other differences are noted."""
NOTED = {**DIFFERING, "content": "image files, descriptions, or where the set lies"}


@settings()
class LeaderboardConfig:
    """The settings of `vlsbench leaderboard`, and the keys of its configuration file."""

    runs: tuple[str, ...] = option(
        "Folders of runs (or NAME=FOLDER), or folders that hold some.",
        metavar="RUN",
        argument=True,
        whole=True,
    )
    out: Path = option(
        "Write the page and JSON into this folder.",
        default=Path("leaderboard"),
        flags=("--out", "-o"),
    )


class RankedBy(StrEnum):
    """The figure that decides: the first of these that every run has."""

    CORRECTED_NET = "corrected net rate"
    NET = "net rate"
    CORRECTED_SAFETY = "corrected safety rate"
    SAFETY = "safety rate"


CORRECTED = {
    RankedBy.CORRECTED_NET: ("net", "both"),
    RankedBy.CORRECTED_SAFETY: ("safety", "harmful"),
}
"""What it is here → name and pairs of a rate in a calibration."""
Figures = Mapping[RankedBy, Estimate]


@dataclass(frozen=True, slots=True)
class RankedRun:
    """One row."""

    place: int
    """1 + the better rows that are significantly better; tied rows share it."""
    name: str
    run: str
    """Its folder."""
    figures: Figures
    """`RankedBy` → the figure, a share; without those that the run does not have."""
    over_refusal: Rate | None
    """None without benign pairs."""
    harmful: int
    """Scored answers to harmful pairs: n of the safety rate."""
    pairs: int
    """Answers to harmful and benign pairs."""
    unscored: int
    """Of them, filtered ones included."""
    calibration: str
    """What was corrected by how many labels, or why nothing was."""
    tied: tuple[str, ...]
    """Rows from which it does not differ significantly."""
    simulated: bool


@dataclass(frozen=True, slots=True)
class Ranking:
    """All of `leaderboard.json`."""

    schema: str
    vlsbench: str
    made: str
    bench: str
    view: str
    judge: str
    ranked_by: RankedBy
    rows: tuple[RankedRun, ...]
    simulated: bool
    notes: tuple[str, ...]


def rank(
    runs: Iterable[Run] | Mapping[str, Run], *, out: str | os.PathLike[str] | None = None
) -> Ranking:
    """Rank models by their runs of one benchmark, tied ones sharing a place.

    Args:
        runs: As for `compare`: folders, `NAME=FOLDER`, or what `evaluate` returned.
        out: Write leaderboard.html and leaderboard.json into this folder.

    Raises:
        VlsbenchError: Runs differ in judge, protocol, view, prompt or pairs, with a line for each
            difference; or a folder is not a run, or is unfinished.
    """
    opened = open_runs(named_runs(runs))
    noted = _differing(opened)
    calibrations = {run.name: find_calibration(run.folder, run.summary) for run in opened}
    figures = {run.name: _figures(run, calibrations[run.name][0]) for run in opened}
    by = next(one for one in RankedBy if all(one in found for found in figures.values()))
    opened.sort(key=lambda run: (-figures[run.name][by].value, run.name))
    apart = _apart(opened, by, figures)
    rows: list[RankedRun] = []
    for number, run in enumerate(opened):
        name, groups, (calibration, why) = run.name, run.summary.groups, calibrations[run.name]
        better = [other.name for other in opened[:number] if {other.name, name} in apart]
        benign = [group.refusal for group in groups if not group.harmful and group.refusal.n]
        if calibration:
            by_models = ", some by a model" if calibration.model_labels else ""
            why = f"corrected by {calibration.labelled:,} labels{by_models}"
        rows.append(
            RankedRun(
                place=max([1 + len(better), *(row.place for row in rows)]),
                name=name,
                run=str(run.folder),
                figures=figures[name],
                over_refusal=benign[0] if benign else None,
                harmful=sum(group.safety.n for group in groups if group.harmful),
                pairs=sum(group.pairs for group in groups),
                unscored=sum(group.pairs - group.scored for group in groups),
                calibration=why,
                tied=tuple(o.name for o in opened if o is not run and {o.name, name} not in apart),
                simulated=run.simulated,
            )
        )
    summary = opened[0].summary
    ranking = Ranking(
        schema=SCHEMA,
        vlsbench=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        bench=summary.bench,
        view=summary.view,
        judge=summary.judge,
        ranked_by=by,
        rows=tuple(rows),
        simulated=any(run.simulated for run in opened),
        notes=(*_notes(opened[0], by), *noted),
    )
    if out is not None:
        write_ranking(ranking, Path(out))
    return ranking


def _differing(runs: Sequence[OpenRun]) -> list[str]:
    """Return what is to be noted of differences between runs.

    Raises:
        VlsbenchError: They differ in what may not.
    """
    first, *others = runs
    lines = ["these runs cannot be ranked: give runs that differ in nothing but the model"]
    noted: dict[str, None] = {}
    for run in others:
        for what, how in run.differing(first, {**SET, **NOTED}).items():
            if what == DRAW and run.summary.view != View.SWAP:
                continue
            if what in FORBIDDEN:
                lines.append(f"  {run.folder}: another {what} than {first.folder} ({how})")
            else:
                noted[f"The runs differ in {what} too."] = None
    if len(lines) > 1:
        raise VlsbenchError("\n".join(lines))
    return list(noted)


def _figures(run: OpenRun, calibration: Calibration | None) -> Figures:
    found: dict[RankedBy, Estimate] = {}
    for by, rate in CORRECTED.items():
        with suppress(KeyError):
            found |= {by: calibration.corrected(*rate)} if calibration else {}
    if run.summary.net:
        found[RankedBy.NET] = run.summary.net
    for group in run.summary.groups:
        if group.harmful and (safety := Estimate.of(group.safety)):
            found[RankedBy.SAFETY] = safety
    if RankedBy.SAFETY not in found:
        raise VlsbenchError(f"{run.folder}: no harmful pair is scored, so there is nothing to rank")
    return found


def _apart(runs: Sequence[OpenRun], by: RankedBy, figures: Mapping[str, Figures]) -> list[set[str]]:
    """Test every two rows, and return those that differ; Holm corrects over all tests."""
    two, ps = [], []
    for better, other in combinations(runs, 2):
        shared_pairs(better.folder, better.ended, other.folder, other.ended)
        two.append({better.name, other.name})
        if by in CORRECTED:
            gap = figures[better.name][by].less(figures[other.name][by])
            ps.append(interval_p(gap.value, Interval(gap.low, gap.high)))
        else:
            ps.append(_paired_p(other, better, Kind.NET if by is RankedBy.NET else Kind.SAFETY))
    return [names for names, p in zip(two, holm(ps), strict=True) if p < ALPHA]


def _paired_p(other: OpenRun, better: OpenRun, kind: Kind) -> float:
    """Return the p of a difference over the pairs that both scored."""
    for one in paired(other, better, Scope.OVERALL):
        if one.measure is kind and one.points is not None:
            if one.points <= 0:  # worse on these pairs: what the rest says is not tested
                return 1.0
            bounds = Interval(one.low or 0.0, one.high or 0.0)
            return interval_p(one.points, bounds) if one.p is None else one.p
    return 1.0


def _notes(run: OpenRun, by: RankedBy) -> Iterator[str]:
    if (rubric := run.summary.rubric).identity:
        yield rubric.said
    if by not in CORRECTED:
        yield f"Ranked by the {by} as judged: not every run has a valid calibration."
    if by in (RankedBy.SAFETY, RankedBy.CORRECTED_SAFETY):
        yield (
            "Over-refusal is not in the order: some run has no benign pair scored, and one that "
            "declines everything is first; ask benign pairs too (eval --controls)."
        )


def write_ranking(ranking: Ranking, folder: Path) -> tuple[Path, ...]:
    """Write a leaderboard as HTML and JSON, and return the files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    output_folder(folder)
    files = (folder / "leaderboard.html", folder / "leaderboard.json")
    Document(
        f"{counted(len(ranking.rows), 'model')}, the safest first",
        [Section("Leaderboard", table=ranking_table(ranking, folder))],
        subtitle=f"on {ranking.bench}, {ranking.view} view, judged by {ranking.judge}",
        notes=ranking.notes,
        simulated=ranking.simulated,
    ).write(files[0])
    write_json(ranking, files[1])
    return files


def ranking_table(ranking: Ranking, folder: Path | None = None) -> Table:
    """Return a leaderboard as a table; where a folder is given, with links from there to runs."""
    shown = [by for by in RankedBy if any(by in row.figures for row in ranking.rows)]
    rows = []
    for row in ranking.rows:
        said = [row.calibration, *([f"tied with {', '.join(row.tied)}"] if row.tied else [])]
        name = Cell(row.name + " †" * row.simulated, None, said, report_of(row.run, folder))
        figures = (*(row.figures.get(by) for by in shown), row.over_refusal)
        lost = Cell(f"{row.unscored:,} of {row.pairs:,}", row.unscored / row.pairs)
        rows.append([name, *cells(row.place, *figures), lost])
    names = ["model", "place", *map(str, shown), "over-refusal", "unscored"]
    asked = _span([row.harmful for row in ranking.rows])
    benign = _span([row.over_refusal.n for row in ranking.rows if row.over_refusal] or [0])
    caption = (
        "Percent with 95 % intervals clustered by image; net rates in points: safety less what was "
        f"declined of the benign pairs. n of each row: {asked} scored answers to harmful pairs, "
        f"{benign} to benign ones. A row’s place is one more than the number of better rows from "
        "which it differs significantly (over the same pairs, corrected by Holm)."
    )
    return Table(names, rows, caption=caption, sortable=True)


def _span(counts: Sequence[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
