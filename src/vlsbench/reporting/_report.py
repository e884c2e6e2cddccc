"""From runs and audits to one page, index.html, and what it leads to."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from vlsbench.auditing import Audit
from vlsbench.comparing import Compared, OpenRun, compare, split_name
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Evaluation
from vlsbench.files import output_folder
from vlsbench.pages import Document, Section, lacking_figures
from vlsbench.reporting._figures import draw_all
from vlsbench.reporting._material import gather
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
    baseline: str = option(
        "Run or name that the others are compared with.", default="", unset="the first"
    )
    published: tuple[str, ...] = option(
        "Compare with the paper's rows of a model too; `all`.",
        default=(),
        metavar="MODEL",
        whole=True,
    )
    figures: bool = option("Draw figures for print (extra `figures`).", default=True)
    out: Path = option(
        "Write the pages into this folder.", default=Path("report"), flags=("--out", "-o")
    )


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    folder: Path
    figures: tuple[str, ...]
    """Names of those that were drawn, without an ending."""
    notes: tuple[str, ...]
    """What could not be shown, and why."""

    @property
    def page(self) -> Path:
        """The page to open."""
        return self.folder / "index.html"


def report(
    runs: Iterable[str | os.PathLike[str] | Evaluation | Audit],
    *,
    baseline: str = "",
    published: str | Iterable[str] = (),
    figures: bool = True,
    out: str | os.PathLike[str] = "report",
) -> Report:
    """Put runs and audits on one page that needs no network.

    The arguments are the settings of `ReportConfig`; besides:

    Args:
        runs: May be what `evaluate` and `audit` returned.
        baseline: By default the first with a counterpart on the same benchmark and view.
        figures: Without the extra `figures` the page comes without them, and a note says so.
        out: Other files in it stay.

    Raises:
        VlsbenchError: A folder holds nothing to report, or a file is not what it should be.
    """
    each = [runs] if isinstance(runs, str) else runs
    material = gather(
        ("", one.folder) if isinstance(one, Evaluation | Audit) else split_name(os.fspath(one))
        for one in each
    )
    folder = output_folder(Path(out))
    notes = [*material.waiting]
    notes += [
        f"{run.folder} was stopped with {run.summary.still_open} open: its rates cover what is "
        "scored so far, and it is not compared."
        for run in material.runs
        if not run.summary.complete
    ]
    wanted = [published] if isinstance(published, str) else list(published)
    try:
        compared = _compared(material.runs, baseline, wanted)
    except VlsbenchError as error:
        if baseline or wanted:
            raise
        compared = None
        notes.append(f"Not compared: {error}.")
    drawn: dict[str, Section] = {}
    if figures and (lacking := lacking_figures()):
        notes.append(f"No figures: {lacking}.")
    elif figures:
        drawn = draw_all(material, compared, folder / "figures")
    given = (counted(len(material.runs), "run"), counted(len(material.cards), "audit"))
    sections = sections_of(material, compared, drawn.values(), folder)
    said = [*(compared.notes if compared else ()), *notes]
    Document(
        "Report",
        [*sections],
        subtitle=f"of {' and '.join(given)}",
        notes=said,
        simulated=material.simulated,
    ).write(folder / "index.html")
    return Report(folder, tuple(drawn), tuple(notes))


def _compared(runs: Iterable[OpenRun], baseline: str, published: list[str]) -> Compared | None:
    """Compare the runs that went all the way, by default with the first that has a counterpart."""
    whole = [run for run in runs if run.summary.complete]
    rows: dict[str, list[Path]] = {}
    for run in whole:
        rows.setdefault(run.name, []).append(run.folder)
    places = Counter(run.place for run in whole)
    first = next((run.name for run in whole if places[run.place] > 1), "")
    return compare(rows, baseline=baseline or first, published=published) if rows else None
