"""What the page of a report shows, part by part."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from urllib.parse import quote

from vlsbench.auditing import Card, caveats, finding
from vlsbench.comparing import Compared, OpenRun, compared_sections
from vlsbench.evaluation import (
    PAIRS,
    REPORT,
    CalibratedRate,
    Calibration,
    Estimate,
    calibration_note,
    find_calibration,
)
from vlsbench.files import file_sha256
from vlsbench.pages import Cell, Section, Table, cells, two
from vlsbench.reporting._material import Material, command_of
from vlsbench.stats import Rate
from vlsbench.text import counted, file_name

HEADLINE = ("net", "safety", "over-refusal", "unscored")
PERCENT = "Percent of scored pairs with 95 % intervals clustered by image."
CARD_PAGE = "card.html"
GALLERY = (
    "Content warning: pairs and replies may be harmful or disturbing. Images stay blurred until "
    "you reveal them, one at a time. Each page is as its run wrote it; rates that were corrected "
    "later are in the summary."
)


def sections_of(
    material: Material, compared: Compared | None, drawn: Iterable[Section], folder: Path
) -> Iterator[Section]:
    """Yield all sections, the first of each part with the part's name; copy what they link to."""
    reports = {
        str(run.folder): href
        for number, run in enumerate(material.runs, 1)
        if (href := _copied(run.folder / REPORT, folder, f"runs/{number}", run.name))
    }
    parts: Mapping[str, Iterable[Section]] = {
        "Summary": _summary(material.runs, reports),
        "Categories": _categories(material.runs),
        "Views": _views(material.runs),
        "Leakage": _leakage(material.cards, folder),
        "Calibration": _calibration(material.runs),
        "Comparison": compared_sections(compared, reports) if compared else (),
        "Gallery": _gallery(material.runs, reports),
        "Provenance": _provenance(material),
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
    name = run.name + " †" * run.simulated
    stopped = ", stopped" * (not summary.complete)
    return f"{name}: {summary.bench}, {summary.view} view, judged by {summary.judge}{stopped}"


def _headline(run: OpenRun) -> Sequence[Rate | Estimate | str | None]:
    """Return net rate, safety rate, over-refusal and what is unscored."""
    groups = run.summary.groups
    rates = {group.harmful: group.safety if group.harmful else group.refusal for group in groups}
    unscored = sum(sum(group.unscored.values()) for group in groups)
    lost = f"{unscored:,} of {sum(group.pairs for group in groups):,}"
    return run.summary.net, rates.get(True), rates.get(False), lost


def _summary(runs: Iterable[OpenRun], reports: Mapping[str, str]) -> Iterator[Section]:
    rows = []
    for run in runs:
        summary = run.summary
        calibration, why = find_calibration(run.folder, summary)
        rates = calibration.rates if calibration else ()
        whole = {(rate.pairs, rate.name): rate.corrected for rate in rates if rate.group == "all"}
        corrected = (whole.get(("both", "net")), whole.get(("harmful", "safety")))
        detail = [summary.bench, f"{summary.view} view", f"judged by {summary.judge}"]
        detail += [summary.rubric.said] if summary.rubric.identity else []
        detail += [why or "calibrated"]
        detail += [] if summary.complete else [f"stopped, {summary.still_open} open"]
        name = run.name + " †" * run.simulated
        first = Cell(name, None, detail, reports.get(str(run.folder), ""))
        rows.append([first, *cells(*corrected, *_headline(run))])
    if rows:
        names = ["run", "net, corrected", "safety, corrected", *HEADLINE]
        said = "Net: safe on harmful pairs less declined on benign ones. Corrected: by people."
        yield Section("Runs", table=Table(names, rows, caption=f"{PERCENT} {said}"))


def _categories(runs: Sequence[OpenRun]) -> Iterator[Section]:
    """Yield the rates by category, a column for each run of one benchmark and view."""
    for (bench, view), harmful in product(dict.fromkeys(run.place for run in runs), (True, False)):
        columns = []
        for run in runs:
            # A category may be called as all pairs together are: "all".
            found = {
                (number, one.name): one
                for number, some in enumerate((run.summary.groups, run.summary.categories))
                for one in some
                if one.harmful is harmful
            }
            if found and run.place == (bench, view):
                columns.append((run.name, found))
        names = dict.fromkeys(key for _, found in columns for key in found)
        rows = []
        for key in names:
            row = cells(key[1] or "(none)")
            for _, found in columns:
                group = found.get(key)
                rate = (group.safety if harmful else group.refusal) if group else None
                n = [f"n {rate.n:,} of {group.pairs:,}"] if group and rate else []
                row += [cell._replace(details=n) for cell in cells(rate)]
            rows.append(row)
        if rows:
            what = "Safety rate of harmful" if harmful else "Over-refusal of benign"
            table = Table(["category", *(name for name, _ in columns)], rows, caption=PERCENT)
            yield Section(f"{what} pairs: {bench}, {view} view", table=table)


def _views(runs: Iterable[OpenRun]) -> Iterator[Section]:
    views: dict[tuple[str, str], list[OpenRun]] = {}
    for run in runs:
        views.setdefault((run.name, run.summary.bench), []).append(run)
    for (name, bench), some in views.items():
        if len(some) > 1:
            rows = [cells(run.summary.view, *_headline(run)) for run in some]
            yield Section(
                f"{name} on {bench}", table=Table(["view", *HEADLINE], rows, caption=PERCENT)
            )


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
            (label, *(f"{n:,.0f}" for n in row), f"{100 * sum(row) / total:.1f} %")
            for label, row in zip(one.labels, one.confusion, strict=True)
        ]
        rows.append(("share", *(f"{100 * n / total:.1f} %" for n in columns), ""))
        yield Section(
            f"{found.judge} (columns) and people (rows): replies to {one.pairs} pairs, weighted",
            [f"Same label {one.raw.percent} %, kappa {two(one.kappa)}, alpha {two(one.alpha)}"],
            Table(["people", *one.labels, "share"], [cells(*row) for row in rows]),
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


def _gallery(runs: Iterable[OpenRun], reports: Mapping[str, str]) -> Iterator[Section]:
    there = [(_title(run), href) for run in runs if (href := reports.get(str(run.folder)))]
    rows = [[Cell(title, href=f"{href}#pairs")] for title, href in there]
    if rows:
        yield Section("Queries, replies and verdicts", [GALLERY], Table(["run"], rows))


def _provenance(material: Material) -> Iterator[Section]:
    for run in material.runs:
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
            "make it again": command_of(summary),
        }
        identity = json.dumps(summary.identity, indent=2, sort_keys=True, ensure_ascii=False)
        yield Section(_title(run), facts=facts, code=identity)
    for card in material.cards.values():
        facts = {"made": card.made, "vlsbench": card.vlsbench, "set": card.arguments or card.bench}
        settings = json.dumps(card.settings, indent=2, ensure_ascii=False)
        yield Section(f"Audit of {card.bench}", facts=facts, code=settings)
