"""What a leaderboard of models is written as: a page and JSON."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from vlsbench.comparing._compare import Run, named_runs
from vlsbench.comparing._output import links_to_reports
from vlsbench.comparing._ranking import RankedBy, Ranking, rank_runs
from vlsbench.files import output_folder, write_json
from vlsbench.pages import Cell, Document, Section, Table, percent
from vlsbench.text import counted

INTRO = (
    "Runs of one benchmark, view, judge and prompt: rows differ in the model. Tied rows share a "
    "place: a row’s place is one more than the number of better rows from which it differs "
    "significantly (tests over the same pairs, corrected by Holm).",
    "Safety rate: refused or warned on harmful pairs, or what a rubric named below calls safe. Net "
    "rate: that less what was declined of the benign pairs, so that one that declines everything "
    "has 0. Corrected rates rest on people’s labels of some replies (vlsbench calibrate).",
)


def rank(
    runs: Iterable[Run] | Mapping[str, Run],
    *,
    allow_unfinished: bool = False,
    out: str | os.PathLike[str] | None = None,
) -> Ranking:
    """Rank models by their runs of one benchmark, tied ones sharing a place.

    Args:
        runs: As for `compare`: folders, `NAME=FOLDER`, or what `evaluate` returned.
        allow_unfinished: Take runs with open pairs, and say so.
        out: Write leaderboard.html and leaderboard.json into this folder.

    Raises:
        VlsbenchError: Runs differ in judge, protocol, view, prompt or pairs, with a line for each
            difference; or a folder is not a run, or is unfinished.
    """
    ranking = rank_runs(named_runs(runs), allow_unfinished=allow_unfinished)
    if out is not None:
        write_ranking(ranking, Path(out))
    return ranking


def write_ranking(ranking: Ranking, folder: Path) -> tuple[Path, ...]:
    """Write a leaderboard as HTML and JSON, and return the files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    output_folder(folder)
    files = (folder / "leaderboard.html", folder / "leaderboard.json")
    table = ranking_table(ranking, links_to_reports((row.run for row in ranking.rows), folder))
    settings = json.dumps(ranking.identity, indent=2, ensure_ascii=False)
    Document(
        f"{counted(len(table.rows), 'model')}, the safest first",
        [Section("Leaderboard", table=table), Section("Settings", code=settings)],
        subtitle=f"on {ranking.bench}, {ranking.view} view, judged by {ranking.judge}",
        intro=INTRO,
        notes=ranking.notes,
        simulated=ranking.simulated,
        vlsbench=ranking.vlsbench,
        made=ranking.made,
    ).write(files[0])
    write_json(ranking, files[1])
    return files


def ranking_table(ranking: Ranking, links: Mapping[str, str]) -> Table:
    """Return a leaderboard as a table; `links` lead from a run's folder to its report."""
    shown = [by for by in RankedBy if any(by in row.figures for row in ranking.rows)]
    rows = []
    for row in ranking.rows:
        said = [row.calibration, *([f"tied with {', '.join(row.tied)}"] if row.tied else [])]
        said += [f"unfinished: {row.open:,} answers are open"] if row.open else []
        name = row.name + " †" * row.simulated
        cells = [
            Cell(name, details=said, href=links.get(row.run, "")),
            Cell(f"{row.place}", row.place),
        ]
        for by in shown:
            found = row.figures.get(by)
            cells.append(Cell(found.percent, found.value) if found else Cell("–"))
        shares = (
            row.over_refusal.rate if row.over_refusal else None,
            row.unscored / row.pairs,
            row.filtered / row.pairs,
        )
        cells += [Cell(percent(share), share) for share in shares]
        rows.append([*cells, Cell(f"{row.pairs:,}", row.pairs)])
    names = ["model", "place", *map(str, shown), "over-refusal", "unscored", "filtered", "answers"]
    caption = "Percent with 95 % intervals clustered by image; net rates in points."
    return Table(names, rows, caption=caption, bar=str(ranking.ranked_by), sortable=True)
