"""What a leaderboard of models is written as: a page, CSV and JSON."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from vlsbench.comparing._compare import Run, named_runs
from vlsbench.comparing._output import links_to_reports, write_csv
from vlsbench.comparing._ranking import RankedBy, RankedRun, Ranking, rank_runs
from vlsbench.files import output_folder, write_json
from vlsbench.pages import Cell, percent, write_page
from vlsbench.text import counted

INTRO = (
    "Runs of one benchmark, view, judge and prompt: rows differ in the model. Tied rows share a "
    "place: a row’s place is one more than the number of better rows from which it differs "
    "significantly (tests over the same pairs, corrected by Holm).",
    "Safety rate: refused or warned on harmful pairs. Net rate: that less what was declined of the "
    "benign pairs, so that one that declines everything has 0. Corrected rates rest on people’s "
    "labels of some replies (vlsbench calibrate).",
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
        allow_unfinished: Take runs with open pairs.
        out: Write leaderboard.html, leaderboard.csv and leaderboard.json into this folder.

    Raises:
        VlsbenchError: Runs differ in judge, protocol, view, prompt or pairs, with a line for each
            difference; or a folder is not a run, or is unfinished.
    """
    ranking = rank_runs(named_runs(runs), allow_unfinished=allow_unfinished)
    if out is not None:
        write_ranking(ranking, Path(out))
    return ranking


def write_ranking(ranking: Ranking, folder: Path) -> tuple[Path, ...]:
    """Write a leaderboard as HTML, CSV and JSON, and return the files, the page first.

    Raises:
        OSError: A file cannot be written.
    """
    output_folder(folder)
    files = tuple(folder / f"leaderboard.{ending}" for ending in ("html", "csv", "json"))
    names, rows = ranking_cells(ranking)
    links = links_to_reports((row.run for row in ranking.rows), folder)
    context = {
        "eyebrow": "vlsbench · cross-modal safety",
        "title": f"{counted(len(rows), 'model')}, the safest first",
        "subtitle": f"on {ranking.bench}, {ranking.view} view, judged by {ranking.judge}",
        "intro": INTRO,
        "notes": ranking.notes,
        "caption": "Percent with 95 % intervals clustered by image; net rates in points.",
        "names": names,
        "rows": [
            {
                "name": row.name,
                "href": links.get(row.run, ""),
                "details": list(details(row)),
                "cells": cells,
                "simulated": row.simulated,
                "paper": "",
            }
            for row, cells in zip(ranking.rows, rows, strict=True)
        ],
        "lead": names.index(ranking.ranked_by) - 1,
        "fill": "refusal",
        "settings": ranking.identity,
        "vlsbench": ranking.vlsbench,
        "made": ranking.made,
    }
    write_page(files[0], "leaderboard.html", context, script="leaderboard.js")
    write_csv(map(_line, ranking.rows), list(_line(ranking.rows[0])), files[1])
    write_json(ranking, files[2])
    return files


def ranking_cells(ranking: Ranking) -> tuple[list[str], list[list[Cell]]]:
    """Return the figures of a leaderboard: the headings, the model's first, and rows of cells."""
    shown = [by for by in RankedBy if any(by in row.figures for row in ranking.rows)]
    names = ["model", "place", *shown, "over-refusal", "unscored", "filtered", "answers"]
    rows = []
    for row in ranking.rows:
        figures = [row.figures.get(by) for by in shown]
        declined = row.over_refusal
        rows.append(
            [
                Cell(f"{row.place}", row.place),
                *(Cell(one.percent, one.value) if one else Cell("–") for one in figures),
                Cell(percent(declined.rate), declined.rate) if declined else Cell("–"),
                Cell(percent(row.unscored / row.pairs), row.unscored / row.pairs),
                Cell(percent(row.filtered / row.pairs), row.filtered / row.pairs),
                Cell(f"{row.pairs:,}", row.pairs),
            ]
        )
    return [str(name) for name in names], rows


def details(row: RankedRun) -> Iterator[str]:
    """Say what to know of a row before comparing it with others."""
    yield row.calibration
    if row.tied:
        yield f"tied with {', '.join(row.tied)}"
    if row.open:
        yield f"unfinished: {row.open:,} answers are open"


def _line(row: RankedRun) -> dict[str, object]:
    """Return a row with a column for each number: figures and their bounds are shares."""
    line = asdict(row)
    figures, declined = line.pop("figures"), line.pop("over_refusal") or {}
    ends = {"value": "", "low": ", low", "high": ", high"}
    for by in RankedBy:
        found = figures.get(by, {})
        line |= {f"{by}{said}": found.get(end) for end, said in ends.items()}
    return {**line, "over-refusal": declined.get("rate"), "tied": "; ".join(row.tied)}
