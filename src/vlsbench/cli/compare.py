"""`vlsbench compare`: what a method bought, pair by pair, beside abilities and published rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from vlsbench.cli._config import command
from vlsbench.cli._print import Listing, print_json, say
from vlsbench.comparing import CompareConfig
from vlsbench.config import values_of
from vlsbench.pages import lacking_figures

if TYPE_CHECKING:
    from vlsbench.comparing import Column, Compared, DifferencesTable

ACROSS = 4
"""Columns of the table that fit a terminal; more go into a further block."""
NUMBERS = ("n", "left out", "difference", "p", "p, Holm")
"""What of a difference fits a terminal."""


def _compare(config: CompareConfig, *, as_json: bool) -> None:
    """Compare runs on the same pairs: differences with intervals, tests, and one table of all.

    Columns are benchmarks, as in the paper's table 2; differences are paired, clustered and tested
    over images, corrected by Holm. Runs with benign pairs (eval --controls) have a net rate.

    **Examples**

    - `vlsbench compare runs/A runs/B`

    - `vlsbench compare Vanilla=runs/A Vanilla=runs/B T-SFT=runs/C T-SFT=runs/D --out compared`

    - `vlsbench compare runs/A runs/B --ability runs/mme_results.json --published llava-v1.5-7b`

    Exit codes: 0 done, 1 something must be changed, 2 wrong usage.
    """
    from vlsbench.comparing import compare, write_compared

    settings = {**values_of(config), "out": None}
    compared = compare(**settings)
    files = write_compared(compared, config.out) if config.out else ()
    if as_json:
        print_json(compared)
        return
    _show(compared)
    if files:
        say(f"Files: {config.out}/ {', '.join(file.name for file in files)}")
        if lacking := lacking_figures():
            say(lacking, style="dim")
        say(f"Next: open {files[0]}", style="dim")
    else:
        say(
            "Next: the same command with --out FOLDER writes a page, LaTeX, CSV and the figure, "
            "with categories, refusal and warning",
            style="dim",
        )


compare = command(CompareConfig, _compare, quiet=False)


def _show(compared: Compared) -> None:
    from vlsbench.comparing import difference_tables, legend

    console = Console()
    for start in range(0, len(compared.columns), ACROSS):
        console.print(_figures(compared, compared.columns[start : start + ACROSS]))
    say(" ".join(["95 % intervals clustered by image.", *legend(compared)]), style="dim")
    for table in difference_tables(compared):
        if not table.folded:
            console.print(_differences(table))
            say(table.caption, style="dim")
    say(*compared.notes, style="yellow")


def _figures(compared: Compared, columns: Sequence[Column]) -> Listing:
    from vlsbench.comparing import heading, written

    table = Listing(["model"], [heading(column) for column in columns], "All figures")
    for row in compared.rows:
        found = [row.cells.get(column.key) for column in columns]
        if not any(found):
            continue
        cells = [written(cell, column) for cell, column in zip(found, columns, strict=True)]
        said = " (published)" * row.published + " (baseline)" * row.baseline
        style = "dim" if row.published else "bold" if row.baseline else ""
        table.line(row.name + said, *cells, style=style)
    return table


def _differences(found: DifferencesTable) -> Listing:
    # Each measure has a column of its own name, so that it need not be said again.
    texts = [name for name in list(found.cells[0])[: found.texts] if name != "measure"]
    title = f"{found.title}: safety rate, over-refusal on benign pairs, net rate"
    table = Listing(texts, NUMBERS, title)
    for cells in found.cells:
        table.line(*(cells[name] for name in (*texts, *NUMBERS)))
    return table
