"""A guard's figures as sections of tables: its page and the terminal show the same ones."""

from __future__ import annotations

from collections.abc import Iterator

from vlsbench.guarding._figures import GuardSummary
from vlsbench.judge import GUARDS
from vlsbench.pages import Document, Section, Table, cells, without_address
from vlsbench.text import counted

CAPTION = "Percent of pairs with a verdict; 95 % intervals clustered by image and by query."


def guard_sections(found: GuardSummary) -> Iterator[Section]:
    """Return detection and false alarms, joint-only misses, and both by category."""
    names = ["flags", "harmful", "detected", "benign", "false alarms", "gap"]
    rows = [
        cells(
            way.name, way.detection.n, way.detection, way.false_alarms.n, way.false_alarms, way.gap
        )
        for way in found.ways
    ]
    yield Section(
        f"{found.bench} · {without_address(found.judge)} as {found.form}, by the {found.verdict}",
        [*_said(found)],
        Table(names, rows, caption=f"{CAPTION} Gap: detection less false alarms, in points."),
    )
    if len(found.categories) > 1:
        names = ["category", "n", "detected", "joint-only", "missed of these"]
        missed = [one.joint.missed if one.joint else None for one in found.categories]
        rows = [
            cells(one.name, one.detection.n, one.detection, lost and lost.n, lost)
            for one, lost in zip(found.categories, missed, strict=True)
        ]
        yield Section("By category", table=Table(names, rows, caption=CAPTION, bar="detected"))


def _said(found: GuardSummary) -> Iterator[str]:
    if (joint := found.joint) and found.harmful:
        missed, alone = cells(joint.missed, joint.alone_safe)
        yield (
            f"Joint-only misses: {missed.text} % of the {joint.missed.n:,} harmful pairs whose "
            f"text and image it holds safe alone ({alone.text} % of {joint.alone_safe.n:,})."
        )
    if area := found.auroc:
        yield (
            f"AUROC of its scores: {area.value:.3f} [{area.low:.3f}, {area.high:.3f}]: how often a "
            "harmful pair scores above a benign one."
        )
    for reason, pairs in found.unscored.items():
        yield f"{counted(pairs, 'pair')} without a verdict: {reason.replace('_', ' ')}."


def guard_page(found: GuardSummary) -> Document:
    """Return the page: the same, the first misses, and how the guard was asked."""
    sections = [*guard_sections(found)]
    if found.misses:
        rows = [cells(pair.id, pair.category, pair.query[:700]) for pair in found.misses]
        said = f"The first {len(rows):,}; pairs.jsonl has every pair. Texts may be disturbing."
        table = Table(["pair", "category", "query"], rows, 3)
        sections.append(Section("Joint-only misses", [said], table, folded=True))
    facts = {"Form": found.form, "Calls": f"{found.calls:,} and {found.reused:,} reused"}
    links = {}
    if form := GUARDS.get(found.form):
        facts |= {"Models": form.models, "Licence of the guard": form.licence}
        links["the form is described here"] = form.page
    sections.append(Section("How it was asked", facts=facts, links=links))
    return Document(
        without_address(found.judge) + " †" * found.simulated,
        sections,
        subtitle=f"on {found.bench}",
        eyebrow="vlsbench · guard",
        notes=found.notes,
        simulated=found.simulated,
    )
