"""From runs and audits to one page, index.html, part by part, and what it leads to."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from urllib.parse import quote

from vlsbench.auditing import CARD_JSON, Audit, Card, caveats, finding, read_card
from vlsbench.comparing import (
    Compared,
    OpenRun,
    Run,
    compare_opened,
    difference_tables,
    figures_table,
    named_runs,
    open_runs,
)
from vlsbench.config import option, settings
from vlsbench.engine import find_run
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import (
    LOG,
    PAIRS,
    REPORT,
    CalibratedRate,
    Calibration,
    calibration_note,
    find_calibration,
    unfinished,
)
from vlsbench.files import file_sha256, output_folder
from vlsbench.pages import Cell, Document, Section, Table, cells, lacking_figures, two
from vlsbench.reporting._figures import draw_all
from vlsbench.text import counted, file_name

PERCENT = "Percent of scored pairs with 95 % intervals clustered by image."
CARD_PAGE = "card.html"
GALLERY = (
    "Content warning: pairs and replies may be harmful or disturbing. Images stay blurred until "
    "you reveal them, one at a time. Each page is as its run wrote it; rates that were corrected "
    "later are in the summary."
)


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
        [*_sections_of(opened, cards, compared, drawn.values(), folder)],
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


def _sections_of(
    runs: Sequence[OpenRun],
    cards: Mapping[Path, Card],
    compared: Compared | None,
    drawn: Iterable[Section],
    folder: Path,
) -> Iterator[Section]:
    """Yield all sections, the first of each part with the part's name; copy what they link to."""
    parts: Mapping[str, Iterable[Section]] = {
        "Summary": _summary(runs),
        "Categories": _categories(runs),
        "Leakage": _leakage(cards, folder),
        "Calibration": _calibration(runs),
        "Comparison": _comparison(compared),
        "Gallery": _gallery(runs, folder),
        "Provenance": _provenance(runs, cards.values()),
        "Figures": drawn,
    }
    for part, sections in parts.items():
        for number, section in enumerate(sections):
            yield section if number else replace(section, part=part)


def _copied(source: Path, folder: Path, place: str, name: str) -> str:
    """Copy a page into the report, and return its address; empty where there is none."""
    if not source.is_file():
        return ""
    to = folder / f"{place}-{file_name(name, 'page')}.html"
    to.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, to)
    return quote(to.relative_to(folder).as_posix())


def _title(run: OpenRun) -> str:
    summary = run.summary
    stopped = ", stopped" * (not summary.complete)
    return f"{run.marked}: {summary.bench}, {summary.view} view, judged by {summary.judge}{stopped}"


def _summary(runs: Iterable[OpenRun]) -> Iterator[Section]:
    rows = []
    for run in runs:
        summary, groups = run.summary, run.summary.groups
        calibration, why = find_calibration(run.folder, summary)
        known = calibration.rates if calibration else ()
        whole = {(rate.pairs, rate.name): rate.corrected for rate in known if rate.group == "all"}
        rated = {one.harmful: one.safety if one.harmful else one.refusal for one in groups}
        unscored = sum(sum(group.unscored.values()) for group in groups)
        detail = [f"judged by {summary.judge}"]
        detail += [summary.rubric.said] if summary.rubric.identity else []
        detail += [why or "calibrated"]
        detail += [] if summary.complete else [f"stopped, {summary.still_open} open"]
        rates = whole.get(("both", "net")), whole.get(("harmful", "safety")), summary.net
        lost = f"{unscored:,} of {sum(group.pairs for group in groups):,}"
        numbers = cells(*rates, rated.get(True), rated.get(False), lost)
        rows.append([Cell(run.marked, details=detail), *cells(*run.place), *numbers])
    names = ["run", "benchmark", "view", "net, corrected", "safety, corrected"]
    names += ["net", "safety", "over-refusal", "unscored"]
    said = "Net: safe on harmful pairs less declined on benign ones. Corrected: by people."
    if rows:
        yield Section("Runs", table=Table(names, rows, 3, caption=f"{PERCENT} {said}"))


def _categories(runs: Sequence[OpenRun]) -> Iterator[Section]:
    """Yield the rates by category, a column for each run of one benchmark and view."""
    for place, harmful in product(dict.fromkeys(run.place for run in runs), (True, False)):
        some = [run for run in runs if run.place == place]
        rows: dict[tuple[bool, str], list[Cell]] = {}
        for number, run in enumerate(some):
            groups = [(True, one) for one in run.summary.groups]
            groups += [(False, one) for one in run.summary.categories]
            for whole, one in groups:
                if one.harmful is harmful:
                    rate = one.safety if harmful else one.refusal
                    empty = cells(one.name or "(none)", *[None] * len(some))
                    # A category may be called as all pairs together are: "all".
                    row = rows.setdefault((whole, one.name), empty)
                    n = [f"n {rate.n:,} of {one.pairs:,}"]
                    row[1 + number] = cells(rate)[0]._replace(details=n)
        if rows:
            what = "Safety rate of harmful" if harmful else "Over-refusal of benign"
            names = ["category", *(run.name for run in some)]
            table = Table(names, list(rows.values()), caption=PERCENT)
            yield Section(f"{what} pairs: {place[0]}, {place[1]} view", table=table)


def _leakage(cards: Mapping[Path, Card], folder: Path) -> Iterator[Section]:
    for number, (home, card) in enumerate(cards.items(), 1):
        href = _copied(home / CARD_PAGE, folder, f"cards/{number}", card.bench)
        links = {"The leakage card, with its most leaking pairs and their telling words": href}
        stopped = f"Stopped: {card.stopped}. " if card.stopped else ""
        title = card.bench + " †" * card.simulated
        yield Section(title, [stopped + finding(card), *caveats(card)], links=links if href else {})


def calibration_sections(found: Calibration, title: str) -> Iterator[Section]:
    """Yield what people's labels say of a run's judge: the rates three ways, and agreement."""
    by_models = f", {found.model_labels:,} of them by a model" if found.model_labels else ""
    texts = [f"{found.labelled:,} labels{by_models}, by {', '.join(found.annotators)}."]
    if people := found.people:
        texts.append(
            f"People among themselves: same label {100 * people.raw:.1f} %, alpha "
            f"{two(people.alpha)} [{two(people.low)}, {two(people.high)}], of "
            f"{counted(people.replies, 'reply')} with several labels."
        )
    yield Section(title, texts, rates_table(found.rates))
    for one in found.agreement:
        columns = [sum(column) for column in zip(*one.confusion, strict=True)]
        total = sum(columns)
        rows = [
            cells(label, *(f"{n:,.0f}" for n in row), f"{100 * sum(row) / total:.1f} %")
            for label, row in zip(one.labels, one.confusion, strict=True)
        ]
        rows.append(cells("share", *(f"{100 * n / total:.1f} %" for n in columns), ""))
        yield Section(
            f"{found.judge} (columns) and people (rows): replies to {one.pairs} pairs, weighted",
            [f"Same label {one.raw.percent} %, kappa {two(one.kappa)}, alpha {two(one.alpha)}"],
            Table(["people", *one.labels, "share"], rows),
        )


def rates_table(rates: Iterable[CalibratedRate]) -> Table:
    """Return rates by the judge, by people, and corrected."""
    names = ["pairs", "rate", "replies", "labels", "judge", "people", "corrected", "halving"]
    rows = [
        cells(
            *(f"{one.group} ({one.pairs})", one.name, one.replies, one.labelled),
            *(one.judge, one.human, one.corrected, one.more),
        )
        for one in rates
    ]
    said = "Percent with 95 % intervals; halving: further labels for half the corrected interval."
    return Table(names, rows, 2, said)


def _calibration(runs: Iterable[OpenRun]) -> Iterator[Section]:
    for run in runs:
        found, _ = find_calibration(run.folder, run.summary)
        if found:
            first, *more = calibration_sections(found, _title(run))
            yield replace(first, texts=[*first.texts, *found.notes])
            yield from more
        else:
            yield Section(_title(run), [calibration_note(run.folder, run.summary)])


def _comparison(compared: Compared | None) -> Iterator[Section]:
    if compared:
        yield Section("All figures", table=figures_table(compared))
        yield from difference_tables(compared)


def _gallery(runs: Iterable[OpenRun], folder: Path) -> Iterator[Section]:
    links = {}
    for number, run in enumerate(runs, 1):
        if href := _copied(run.folder / REPORT, folder, f"runs/{number}", run.name):
            links[_title(run)] = f"{href}#pairs"
    if links:
        yield Section("Queries, replies and verdicts", [GALLERY], links=links)


def _provenance(runs: Iterable[OpenRun], cards: Iterable[Card]) -> Iterator[Section]:
    for run in runs:
        summary = run.summary
        served = {name for one in summary.spend if one.role == "target" for name in one.served}
        facts = {
            "run": summary.run,
            "vlsbench": summary.vlsbench,
            "benchmark": f"{summary.bench} ({summary.title}, {summary.licence or 'no licence'})",
            "data digest": f"{summary.identity.get('data')} {summary.identity.get('content', '')}",
            "model": summary.model,
            "served as": ", ".join(sorted(served)) or "not told",
            "started, finished": f"{summary.started}, {summary.finished}",
            "SHA-256 of pairs.parquet": file_sha256(run.folder / PAIRS),
        }
        asked = {"settings": summary.settings, "identity": summary.identity}
        code = json.dumps(asked, indent=2, sort_keys=True, ensure_ascii=False)
        yield Section(_title(run), facts=facts, code=code)
    for card in cards:
        facts = {"made": card.made, "vlsbench": card.vlsbench, "set": card.arguments or card.bench}
        settings = json.dumps(card.settings, indent=2, ensure_ascii=False)
        yield Section(f"Audit of {card.bench}", facts=facts, code=settings)
