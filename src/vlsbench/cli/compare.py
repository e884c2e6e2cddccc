"""`vlsbench compare`: what a method bought, pair by pair, beside abilities and published rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from vlsbench.cli._config import AsJson
from vlsbench.text import terminal

if TYPE_CHECKING:
    from vlsbench.comparing import Column, Compared, DifferencesTable

ACROSS = 4
"""Columns of the table that fit a terminal; more go into a further block."""


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="Folders of runs, or NAME=FOLDER; runs of one name (or model) share a row.",
            show_default=False,
        ),
    ],
    baseline: Annotated[
        str,
        typer.Option(
            help="Run or name that the others are compared with [default: the first].",
            show_default=False,
        ),
    ] = "",
    ability: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[NAME=]FILE_OR_DIR",
            help="Scores of MME, MMMU, MMStar, MMVet as lmms-eval or VLMEvalKit write them.",
        ),
    ] = None,
    published: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODEL", help="Show the paper's rows of a model too, as `llava-v1.5-7b`; `all`."
        ),
    ] = None,
    allow_unfinished: Annotated[
        bool, typer.Option("--allow-unfinished", help="Take runs with open pairs, and say so.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a page, LaTeX, CSV, JSON and the figure into this folder."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs on the same pairs: differences with intervals, tests, and one table of all.

    Columns are benchmarks, as in the paper's table 2; differences are paired, clustered and tested
    over images, corrected by Holm. Runs with benign pairs (eval --controls) have a net rate.

    **Examples**

    - `vlsbench compare runs/A runs/B`

    - `vlsbench compare Vanilla=runs/A Vanilla=runs/B T-SFT=runs/C T-SFT=runs/D --out compared`

    - `vlsbench compare runs/A runs/B --ability runs/mme_results.json --published llava-v1.5-7b`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage.
    """
    from vlsbench.comparing import compare as compare_runs
    from vlsbench.comparing import write_compared

    compared = compare_runs(
        runs,
        baseline=baseline,
        ability=ability or (),
        published=published or (),
        allow_unfinished=allow_unfinished,
    )
    files = write_compared(compared, out) if out else ()
    if as_json:
        typer.echo(json.dumps(asdict(compared), ensure_ascii=False))
        return
    _show(compared)
    console = Console()
    if out:
        names = ", ".join(file.name for file in files)
        console.print(terminal(f"Files: {out}/ {names}"), highlight=False)
        console.print(terminal(f"Next: open {files[0]}"), style="dim", highlight=False)
    else:
        console.print(
            "Next: the same command with --out FOLDER writes a page, LaTeX, CSV and the figure, "
            "with categories, refusal and warning",
            style="dim",
            highlight=False,
        )


def _show(compared: Compared) -> None:
    from vlsbench.comparing import difference_tables, legend

    console = Console()
    for start in range(0, len(compared.columns), ACROSS):
        console.print(_figures(compared, compared.columns[start : start + ACROSS]))
    line = " ".join(["95 % intervals clustered by image.", *legend(compared)])
    console.print(terminal(line), style="dim", highlight=False)
    for table in difference_tables(compared):
        if not table.folded:
            console.print(_differences(table))
            console.print(terminal(table.caption), style="dim", highlight=False)
    for note in compared.notes:
        console.print(terminal(note), style="yellow", highlight=False)


def _figures(compared: Compared, columns: Sequence[Column]) -> Table:
    from vlsbench.comparing import bounds, heading, marks, score

    table = Table(title="All figures", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("model", overflow="fold")
    for column in columns:
        table.add_column(terminal(heading(column)), justify="right", overflow="fold")
    for row in compared.rows:
        found = [row.cells.get(column.key) for column in columns]
        if not any(found):
            continue
        cells = [
            score(cell, column)
            + (f"{marks(cell)} [{bounds(cell)}]" if cell and cell.low is not None else "")
            for cell, column in zip(found, columns, strict=True)
        ]
        said = " (published)" * row.published + " (baseline)" * row.baseline
        table.add_row(
            terminal(row.name + said),
            *(terminal(cell) for cell in cells),
            style="dim" if row.published else "bold" if row.baseline else None,
        )
    return table


def _differences(found: DifferencesTable) -> Table:
    from vlsbench.comparing import points, probability

    table = Table(
        title=f"{found.title}: safety rate, over-refusal on benign pairs, net rate",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("model", overflow="fold")
    table.add_column("on", overflow="fold")
    for name in ("n (left out)", "points [95 %]", "p", "Holm"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in found.lines:
        table.add_row(
            terminal(one.row),
            terminal(f"{one.column}: {one.part}" if found.part else one.column),
            f"{one.n:,} ({one.left_out:,})",
            terminal(points(one) + "†" * one.simulated),
            probability(one.p),
            probability(one.p_holm),
        )
    return table
