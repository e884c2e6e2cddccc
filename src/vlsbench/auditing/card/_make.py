"""From what the measures found to a leakage card, and a leaderboard of cards."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from vlsbench import __version__
from vlsbench.auditing._head import head
from vlsbench.auditing.against import Against
from vlsbench.auditing.behaviour import Behaviour
from vlsbench.auditing.card._card import (
    LEADERBOARD_SCHEMA,
    SCHEMA,
    Card,
    CategoryLeak,
    Dropped,
    Leaderboard,
    LeaderboardRow,
)
from vlsbench.auditing.card._pairs import Seen
from vlsbench.auditing.judged import Judged, JudgedPair
from vlsbench.auditing.overlap import Channel, ContentKind, OverlapSummary
from vlsbench.embed import CLIP
from vlsbench.evaluation import Selection
from vlsbench.pages import counted

SHOWN = 10
"""Leaking pairs on a card."""
OF_CONTENTS = {
    ContentKind.IMAGE: "images looked at themselves: bits are of this embedder alone",
    ContentKind.CAPTION: "contents are captions by a model",
    ContentKind.TYPOGRAPHIC: "contents are what is written in the images",
    ContentKind.KEY_PHRASE: "contents are key phrases, which name the risk and nothing else",
}
"""What to know of a card where some words for its images come from there."""


def now() -> str:
    """Return the time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _categories(overlap: OverlapSummary | None, judged: Judged | None) -> tuple[CategoryLeak, ...]:
    found: list[CategoryLeak] = []
    if overlap:
        for group in overlap.categories:
            figures = group.channel(Channel.CONTENT)
            if figures and group.leak:
                found.append(CategoryLeak(group.name, group.pairs, figures.named, group.leak))
    elif judged:
        for one in judged.categories:
            if one.leak:
                found.append(CategoryLeak(one.name, one.pairs, one.vsil, one.leak))

    def place(category: CategoryLeak) -> tuple[float, float, int, str]:
        # By what was surely found: a corrected share of one pair would stand above all others.
        counted = category.counted
        return -(counted.low or 0.0), -(counted.rate or 0.0), category.pairs, category.name

    return tuple(sorted(found, key=place))


def make_card(
    selection: Selection,
    *,
    settings: Mapping[str, Any],
    overlap: OverlapSummary | None = None,
    judged: Judged | None = None,
    behaviour: Behaviour | None = None,
    judged_pairs: Mapping[str, JudgedPair] | None = None,
    dropped: Dropped | None = None,
    stopped: str = "",
    notes: tuple[str, ...] = (),
    against: Against | None = None,
) -> Card:
    """Put what the measures found of some pairs on one card.

    `judged_pairs` are measure B's pairs by id, to stand beside measure A's; `notes` are further
    caveats; `against` says how the measures agree with grades.
    """
    pairs, limit, by_id = selection.pairs, selection.sample.limit, judged_pairs or {}
    leaking = [Seen(pair, by_id.get(pair.id)) for pair in overlap.leaking] if overlap else []
    if judged and not overlap:
        leaking = [Seen(None, pair) for pair in judged.leaking]
    return Card(
        *head(SCHEMA, pairs),
        made=now(),
        pairs=len(selection),
        harmful=sum(pair.harmful for pair in selection),
        pictured=sum(bool(pair.images) for pair in selection),
        limit=limit if limit is not None and limit < len(pairs) else None,
        seed=selection.sample.seed,
        settings=settings,
        overlap=overlap,
        judged=judged,
        behaviour=behaviour,
        categories=_categories(overlap, judged),
        leaking=tuple(pair.shown() for pair in leaking[:SHOWN]),
        dropped=dropped,
        stopped=stopped,
        left_out=pairs.bad,
        notes=notes,
        arguments=pairs.arguments,
        against=against,
    )


def caveats(card: Card) -> tuple[str, ...]:
    """Return what a reader must know before comparing this card's figures with another's."""
    found = []
    if card.stopped:
        found.append(f"stopped early: {card.stopped}")
    if card.limit is not None:
        found.append(f"a random sample of {counted(card.limit, 'pair')}")
    if card.simulated:
        found.append("simulated: made-up pairs or a lab model")
    if card.overlap:
        kinds = card.overlap.contents
        none = kinds.get("none", 0)
        if not card.pictured and none == card.overlap.pairs:
            found.append("texts alone: there is no image to tell of")
        elif not card.pictured:
            found.append("texts alone, held against the words for their twins' images")
        elif none:
            clip = card.overlap.embedder.startswith(CLIP)
            lacks = "image to be read" if clip else "words for the image"
            found.append(f"no {lacks} and no figure: {counted(none, 'pair')}")
        if foreign := kinds.get(ContentKind.FOREIGN, 0):
            found.append(f"not in English and no figure: {counted(foreign, 'pair')}")
        if not card.overlap.calibration:
            found.append("naming is not calibrated for this embedder: topic and ranks alone")
        found += [said for kind, said in OF_CONTENTS.items() if kinds.get(kind)]
    if card.judged and (bounds := card.judged.group.corrected.bounds):
        found.append(f"the judge's misses are not measured: {bounds}")
    if card.harmful == 0:
        found.append("benign pairs: a query that names its image gives no risk away")
    if card.left_out:
        found.append(f"{counted(len(card.left_out), 'row')} could not be used")
    return (*found, *card.notes)


def make_leaderboard(
    cards: Iterable[tuple[Card, str]],
    settings: Mapping[str, Any],
    against: Against | None = None,
    skipped: Mapping[str, str] | None = None,
) -> Leaderboard:
    """Order benchmarks by their leak, else by the least that it is.

    Each card comes with the name of its folder.
    """

    def place(given: tuple[Card, str]) -> tuple[bool, float, str]:
        card, _ = given
        value = card.leak.value if card.leak else None
        bounds = card.judged.group.corrected.bounds if card.judged else None
        return value is None, -(value or (bounds.at_least if bounds else 0.0)), card.bench

    rows = (_row(*given) for given in sorted(cards, key=place))
    return Leaderboard(
        LEADERBOARD_SCHEMA,
        __version__,
        now(),
        settings,
        tuple(rows),
        against,
        skipped or {},
    )


def _row(card: Card, folder: str) -> LeaderboardRow:
    group = card.overlap.group if card.overlap else None
    written = group.channel(Channel.TYPOGRAPHIC) if group else None
    gain = card.behaviour.gain if card.behaviour else None
    return LeaderboardRow(
        bench=card.bench,
        title=card.title,
        paper=card.paper,
        pairs=card.pairs,
        contents=card.overlap.contents if card.overlap else {},
        coverage=group.topic.n / group.pairs if group and group.pairs else None,
        words=card.overlap.words if card.overlap else None,
        leak=group.leak if group else card.leak,
        typographic=written.leaking if written else None,
        topic=group.topic if group and group.topic.value is not None else None,
        rank=group.rank if group and group.rank.value is not None else None,
        vsil=card.judged.group.leak if card.judged else None,
        gain=gain if gain and gain.value is not None else None,
        caveats=caveats(card),
        card=folder,
    )
