"""From runs and audits to one page, index.html, and what it leads to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vlsbench.auditing import CARD_JSON, Audit, Card, read_card
from vlsbench.comparing import OpenRun, Run, compare_opened, named_runs, open_runs
from vlsbench.config import option, settings
from vlsbench.engine import find_run
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import LOG, PAIRS, unfinished
from vlsbench.files import output_folder
from vlsbench.pages import Document, Section, lacking_figures
from vlsbench.reporting._figures import draw_all
from vlsbench.reporting._sections import sections_of
from vlsbench.text import counted


@settings()
class ReportConfig:
    """The settings of `vlsbench report`, and the keys of its configuration file."""

    runs: tuple[str, ...] = option(
        "Folders of runs (or NAME=FOLDER) and audits, or folders that hold some.",
        metavar="RUN|AUDIT",
        argument=True,
        whole=True,
    )
    figures: bool = option("Draw figures for print (extra `figures`).", default=True)
    out: Path = option(
        "Write the pages into this folder.", default=Path("report"), flags=("--out", "-o")
    )


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    page: Path
    """The page to open."""
    figures: tuple[str, ...]
    """Names of those that were drawn, without an ending."""
    notes: tuple[str, ...]
    """What could not be shown, and why."""


def report(
    runs: str | Iterable[Run | Audit],
    *,
    figures: bool = True,
    out: str | os.PathLike[str] = "report",
) -> Report:
    """Put runs and audits on one page that needs no network.

    The arguments are the settings of `ReportConfig`; besides:

    Args:
        runs: May be what `evaluate` and `audit` returned. Runs are compared with the first that
            has a counterpart on the same benchmark and view.
        figures: Without the extra `figures` the page comes without them, and a note says so.
        out: Other files in it stay.

    Raises:
        VlsbenchError: A folder holds nothing to report, or a file is not what it should be.
    """
    opened, cards, notes = _gathered([runs] if isinstance(runs, str) else runs)
    folder = output_folder(Path(out))
    whole = [run for run in opened if run.summary.complete]
    notes += [
        f"{run.folder} was stopped with {run.summary.still_open} open: its rates cover what is "
        "scored so far, and it is not compared."
        for run in opened
        if run not in whole
    ]
    places = Counter(run.place for run in whole)
    whole.sort(key=lambda run: places[run.place] == 1)
    try:
        compared = compare_opened(whole) if whole else None
    except VlsbenchError as error:
        compared = None
        notes.append(f"Not compared: {error}.")
    drawn: dict[str, Section] = {}
    if figures and (lacking := lacking_figures()):
        notes.append(f"No figures: {lacking}.")
    elif figures:
        drawn = draw_all(opened, cards.values(), compared, folder / "figures")
    Document(
        "Report",
        [*sections_of(opened, cards, compared, drawn.values(), folder)],
        subtitle=f"of {counted(len(opened), 'run')} and {counted(len(cards), 'audit')}",
        notes=[*(compared.notes if compared else ()), *notes],
        simulated=any([run.simulated for run in opened] + [c.simulated for c in cards.values()]),
    ).write(folder / "index.html")
    return Report(folder / "index.html", tuple(drawn), tuple(notes))


def _gathered(
    given: Iterable[Run | Audit],
) -> tuple[list[OpenRun], Mapping[Path, Card], list[str]]:
    """Open all runs and cards (by the audit's folder) there are, and note what is unfinished."""
    runs: list[tuple[str, Path]] = []
    cards: dict[Path, Card] = {}
    notes: list[str] = []
    for name, named in named_runs(one.folder if isinstance(one, Audit) else one for one in given):
        folder = named if named.suffix == LOG else find_run(named)
        inside = [folder] if _shown(folder) else sorted(folder.iterdir())
        if not (found := [one for one in inside if _shown(one)]):
            raise VlsbenchError(
                f"no run or audit found in {folder}: give their folders; `vlsbench runs list` "
                "shows runs, and `vlsbench runs show` a build, which has no page"
            )
        for one in found:
            if (one / CARD_JSON).is_file():
                cards[one.resolve()] = read_card(one / CARD_JSON)
            elif one.suffix == LOG and (said := unfinished(one)):
                notes.append(said)
            else:
                runs.append((name, one))
    if not runs and not cards and not notes:
        raise VlsbenchError("give at least one folder, as in `vlsbench report runs/A`")
    return open_runs(runs, stopped=True), cards, notes


def _shown(path: Path) -> bool:
    """Tell whether a path is an audit, a run or a log of one."""
    return path.suffix == LOG or any((path / file).is_file() for file in (CARD_JSON, PAIRS))
