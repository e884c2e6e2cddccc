"""Compare runs on the same pairs: differences with intervals, tests, and one table of all."""

from __future__ import annotations

from vlsbench.cli._config import command
from vlsbench.cli._print import print_json, say
from vlsbench.cli._tables import print_table
from vlsbench.comparing import CompareConfig
from vlsbench.config import values_of
from vlsbench.pages import lacking_figures


@command(CompareConfig)
def compare(config: CompareConfig, *, as_json: bool) -> None:
    """Compare runs on the same pairs: differences with intervals, tests, and one table of all.

    The first run is the baseline. Columns are benchmarks, as in the paper's table 2; differences
    are paired, clustered and tested over images, corrected by Holm. Runs with benign pairs (eval
    --controls) have a net rate.

    **Examples**

    - `vlsbench compare runs/A runs/B`

    - `vlsbench compare Vanilla=runs/A Vanilla=runs/B T-SFT=runs/C T-SFT=runs/D --out compared`

    - `vlsbench compare runs/A runs/B --ability scores.csv --published llava-v1.5-7b`
    """
    from vlsbench.comparing import compare, difference_tables, figures_table, write_compared

    settings = {**values_of(config), "out": None}
    compared = compare(**settings)
    files = write_compared(compared, config.out) if config.out else ()
    if as_json:
        print_json(compared)
        return
    print_table(figures_table(compared), "All figures")
    for section in difference_tables(compared):
        if section.table and not section.folded:
            print_table(section.table, section.title)
    say(*compared.notes, style="yellow")
    if files:
        say(f"Files: {config.out}/ {', '.join(file.name for file in files)}")
        if lacking := lacking_figures():
            say(lacking, style="dim")
        say(f"Next: open {files[0]}", style="dim")
    else:
        say(
            "Next: the same command with --out FOLDER writes a page, CSV and the figure",
            style="dim",
        )
