"""From runs, audits and builds to linked pages: index.html and what it leads to."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

from vlsbench import __version__
from vlsbench.auditing import Card, caveats, finding
from vlsbench.auditing.card import share
from vlsbench.comparing import Compared, OpenRun, compare, split_name, write_compared
from vlsbench.config import Option
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import PAIRS, REPORT, Calibration, Group, find_calibration
from vlsbench.files import file_sha256, output_folder
from vlsbench.pages import ENDINGS, embedded, lacking_figures, write_page
from vlsbench.reporting._figures import Drawn, draw_all, labels_of
from vlsbench.reporting._material import Material, command_of, gather, served_by
from vlsbench.text import file_name

PAGES = {
    "index": "Summary",
    "categories": "Categories",
    "views": "Views",
    "leakage": "Leakage",
    "calibration": "Calibration",
    "comparison": "Comparison",
    "gallery": "Gallery",
    "provenance": "Provenance",
    "figures": "Figures",
}
"""Page → its name, in the order of the links; those with nothing to show are not written."""
CARD_PAGE = "card.html"


@dataclass(frozen=True, kw_only=True)
class ReportConfig:
    """The settings of `vlsbench report`, and the keys of its configuration file."""

    runs: Annotated[
        tuple[str, ...],
        Option(
            "Folders of runs (or NAME=FOLDER), audits and builds, or folders that hold some.",
            metavar="RUN|AUDIT|BUILD",
            argument=True,
            whole=True,
        ),
    ]
    baseline: Annotated[
        str, Option("Run or name that the others are compared with.", unset="the first")
    ] = ""
    published: Annotated[
        tuple[str, ...],
        Option("Compare with the paper's rows of a model too; `all`.", metavar="MODEL", whole=True),
    ] = ()
    figures: Annotated[bool, Option("Draw figures for print (extra `figures`).")] = True
    out: Annotated[Path, Option("Write the pages into this folder.", flags=("--out", "-o"))] = Path(
        "report"
    )


@dataclass(frozen=True, slots=True)
class Report:
    """A report that was written."""

    folder: Path
    figures: tuple[Drawn, ...]
    notes: tuple[str, ...]
    """What could not be shown, and why."""

    @property
    def page(self) -> Path:
        """The page to open."""
        return self.folder / "index.html"


@dataclass(frozen=True, slots=True)
class RunShown:
    """A run with what the pages say of it."""

    run: OpenRun
    calibration: Calibration | None
    why: str
    """Why there is no calibration."""
    report: str
    """Address of the copy of its report, seen from the pages; empty where it has none."""
    command: str
    facts: Mapping[str, str]
    identity: str

    @property
    def harmful(self) -> Group | None:
        """All harmful pairs."""
        return next((group for group in self.run.summary.groups if group.harmful), None)

    @property
    def benign(self) -> Group | None:
        """All benign pairs."""
        return next((group for group in self.run.summary.groups if not group.harmful), None)


def report(
    runs: Iterable[str | os.PathLike[str]],
    *,
    baseline: str = "",
    published: str | Iterable[str] = (),
    figures: bool = True,
    out: str | os.PathLike[str] = "report",
) -> Report:
    """Put runs, audits and builds on one set of linked pages that need no network.

    Args:
        runs: Folders of runs (`PATH`, `NAME=PATH`), audits and builds, or folders that hold some;
            audits of a run's benchmark that lie beside it are found.
        baseline: The run or name that others are compared with; by default the first.
        published: Models whose rows of the paper are compared too, or `all`.
        figures: Draw figures as PNG, SVG and PDF; without the extra `figures` the pages come
            without them, and a note says so.
        out: The folder to fill; other files in it stay.

    Raises:
        VlsbenchError: A folder holds nothing to report, or a file is not what it should be.
    """
    material = gather(split_name(os.fspath(one)) for one in runs)
    folder = output_folder(Path(out))
    notes: list[str] = []
    shown = [_shown(run, folder, number) for number, run in enumerate(material.runs, 1)]
    wanted = [published] if isinstance(published, str) else list(published)
    compared = _compared(material.runs, baseline, wanted, notes)
    if compared:
        links = {str(one.run.folder): f"../{one.report}" for one in shown if one.report}
        write_compared(compared, folder / "compare", links)
    drawn: tuple[Drawn, ...] = ()
    if figures and (lacking := lacking_figures()):
        notes.append(f"No figures: {lacking}.")
    elif figures:
        drawn = tuple(draw_all(material, compared, folder / "figures"))
    _write(material, shown, compared, drawn, notes, folder)
    return Report(folder, drawn, tuple(notes))


def _compared(
    runs: Iterable[OpenRun], baseline: str, published: list[str], notes: list[str]
) -> Compared | None:
    """Compare the runs that went all the way; where that cannot be, a note says why."""
    rows: dict[str, list[Path]] = {}
    for run in runs:
        if run.summary.complete:
            rows.setdefault(run.name, []).append(run.folder)
        else:
            notes.append(f"{run.folder} was stopped and is not in the comparison.")
    try:
        return compare(rows, baseline=baseline, published=published) if rows else None
    except VlsbenchError as error:
        if baseline or published:
            raise
        notes.append(f"Not compared: {error}.")
        return None


def _copied(source: Path, folder: Path, name: str) -> str:
    """Copy a page into the report, and return its address from the pages; empty without one."""
    if not source.is_file():
        return ""
    to = folder / name
    to.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, to)
    return quote(name)


def _shown(run: OpenRun, folder: Path, number: int) -> RunShown:
    summary = run.summary
    calibration, why = find_calibration(run.folder, summary)
    page = f"runs/{number}-{file_name(run.name, 'run')}.html"
    digest = file_sha256(run.folder / PAIRS)
    return RunShown(
        run=run,
        calibration=calibration,
        why=why,
        report=_copied(run.folder / REPORT, folder, page),
        command=command_of(summary),
        facts={
            "run": summary.run,
            "vlsbench": summary.vlsbench,
            "benchmark": f"{summary.bench} ({summary.title}, {summary.licence or 'no licence'})",
            "data digest": f"{summary.identity.get('data')} {summary.identity.get('content', '')}",
            "model": summary.model,
            "served as": served_by(run.folder) or "not told",
            "judge": summary.judge,
            "started, finished": f"{summary.started}, {summary.finished}",
            "SHA-256 of pairs.parquet": digest,
        },
        identity=json.dumps(summary.identity, indent=2, sort_keys=True, ensure_ascii=False),
    )


def _write(
    material: Material,
    shown: list[RunShown],
    compared: Compared | None,
    drawn: tuple[Drawn, ...],
    notes: list[str],
    folder: Path,
) -> None:
    cards = list(_cards(material, folder))
    views: dict[tuple[str, str], list[RunShown]] = {}
    for one in shown:
        views.setdefault((one.run.name, one.run.summary.bench), []).append(one)
    views = {key: some for key, some in views.items() if len(some) > 1}
    has = {
        "index": True,
        "categories": shown,
        "views": views,
        "leakage": cards,
        "calibration": shown,
        "comparison": compared,
        "gallery": any(one.report for one in shown),
        "provenance": shown or cards or material.builds,
        "figures": drawn,
    }
    links = {page: f"{page}.html" for page in PAGES if has[page]}
    if compared:
        links["comparison"] = "compare/compare.html"
    context = {
        "material": material,
        "shown": shown,
        "views": views,
        "cards": cards,
        "drawn": [(one, embedded(folder / "figures" / f"{one.name}.svg")) for one in drawn],
        "endings": ENDINGS,
        "notes": notes,
        "links": links,
        "names": PAGES,
        "share": share,
        "labels_of": labels_of,
        "vlsbench": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    for page in links.keys() - {"comparison"}:
        write_page(folder / f"{page}.html", "reporting/report.html", {**context, "page": page})


def _cards(material: Material, folder: Path) -> Iterator[tuple[Card, str, str, Any]]:
    """Yield cards with the address of their page's copy, what they found, and caveats."""
    for number, (home, card) in enumerate(material.cards.items(), 1):
        name = f"cards/{number}-{file_name(card.bench, 'card')}.html"
        yield card, _copied(home / CARD_PAGE, folder, name), finding(card), caveats(card)
