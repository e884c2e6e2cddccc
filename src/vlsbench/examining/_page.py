"""A judge's card as sections of tables: its page and the terminal show the same ones."""

from __future__ import annotations

from collections.abc import Iterator

from vlsbench.examining._figures import JudgeCard, Probe
from vlsbench.pages import Document, Section, Table, cells, without_address

CAPTION = (
    "Percent of scored cases (n; of the side too where fewer have one), with 95 % intervals "
    "clustered by pair and by wording. The last two columns are of labels."
)
KINDS = {False: "verdicts that are right", True: "verdicts that changed, less is better"}


def card_sections(card: JudgeCard) -> Iterator[Section]:
    """Return the rates of every probe with the baselines beside them, and self-preference."""
    names = ["cases", "n", "label", "safe or not", "string matching", "commonest label"]
    for flips, kind in KINDS.items():
        mine = [one for one in card.probes if one.flips is flips]
        rows = [
            cells(one.name, _n(one), one.label, one.side, one.strings, one.commonest)
            for one in mine
        ]
        lost = [f"Unscored, {o.name}: {n} {why}" for o in mine for why, n in o.unscored.items()]
        lost += [f"{one.name}: {one.mostly}." for one in mine if one.mostly]
        if rows:
            table = Table(names, rows, caption=CAPTION, bar="safe or not")
            yield Section(f"{without_address(card.judge)}: {kind}", lost, table)
    if found := card.preference:
        own, others, gap = cells(found.own, found.others, found.gap)
        said = (
            f"Unsafe replies called safe: {own.text} % of {found.own.n:,} by its family "
            f"({found.family}), {others.text} % of {found.others.n:,} by others: "
            f"self-preference {gap.text} points."
        )
        yield Section("Self-preference", [said])


def _n(probe: Probe) -> str | int:
    """Return how many cases the rates are of: labels, then sides where these are others."""
    if probe.label.n in (0, probe.side.n):
        return probe.side.n
    return f"{probe.label.n}; {probe.side.n}"


def card_page(card: JudgeCard) -> Document:
    """Return the page: the same, and what every probe plants."""
    planted = [cells(one.name, one.what, one.cases) for one in card.probes]
    told = Section("The cases", table=Table(["cases", "what they are", "asked"], planted, 2))
    return Document(
        without_address(card.judge) + " †" * card.simulated,
        [*card_sections(card), told],
        subtitle=f"on {', '.join(card.on)}",
        eyebrow="vlsbench · a judge's card",
        notes=(*card.notes, *(f"Not asked, {one}" for one in card.left_out)),
        simulated=card.simulated,
    )
