"""From what the measures found to a leakage card, and a leaderboard of cards."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
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
    LeakingPair,
    Mark,
    as_estimate,
    leak_by_judge,
    leak_by_overlap,
)
from vlsbench.auditing.judged import Judged, JudgedPair
from vlsbench.auditing.overlap import FOREIGN, Channel, ContentKind, OverlapPair, OverlapSummary
from vlsbench.embed import CLIP
from vlsbench.evaluation import Selection
from vlsbench.judge import Part
from vlsbench.pages import counted

SHOWN = 10
"""Leaking pairs on a card."""
WORDS = 5
"""Telling words marked in one query at most."""
TELLING_BITS = 0.25
"""A word that carries less is not marked: leaving any word out changes a sentence a little."""
FEW = 30
"""Pairs below which a share is worth a caveat."""
OF_CONTENTS = {
    ContentKind.IMAGE: "images looked at themselves: bits are of this embedder alone",
    ContentKind.CAPTION: "contents are captions by a model",
    ContentKind.TYPOGRAPHIC: "contents are what is written in the images",
    ContentKind.KEY_PHRASE: "contents are key phrases, which name the risk and nothing else",
}
"""What to know of a card where some words for its images come from there."""
BLURRED = re.compile(
    r"sex|erotic|porn|nud(e|ity)|adult|self.?harm|suicid|self.?injur|disordered|violen|weapon"
    r"|abus|gore|graphic|terror|hate|racis|racial|ethnic|xenophob|discriminat|traffick|child",
    re.IGNORECASE,
)
"""Categories whose texts are blurred until they are wanted: sexual content, self-harm, violence,
hatred, and whatever concerns children."""


def now() -> str:
    """Return the time, ISO 8601 in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def marks(pair: OverlapPair) -> tuple[Mark, ...]:
    """Return the phrase of a query that comes closest to naming its content, and telling words.

    They stand in order and without overlap.
    """
    reading = pair.reading(Channel.CONTENT)
    phrase = (reading.start, reading.end) if reading else (0, 0)
    words = [word for word in pair.words if word.bits >= TELLING_BITS][:WORDS]
    edges = sorted({*phrase, *(word.start for word in words), *(word.end for word in words)})
    found = []
    for start, end in pairwise(edges):
        names = phrase[0] <= start and end <= phrase[1]
        bits = next((w.bits for w in words if w.start <= start and end <= w.end), None)
        if names or bits is not None:
            found.append(Mark(start, end, names, bits))
    return tuple(found)


def wants_blur(category: str, subcategory: str) -> bool:
    """Tell whether texts of a category are blurred until they are wanted."""
    return bool(BLURRED.search(f"{category} {subcategory}"))


def _leaking(overlap: OverlapPair | None, judged: JudgedPair | None) -> LeakingPair:
    """Put together what is shown of a pair that measure A or B found."""
    pair = overlap or judged
    assert pair, "some measure saw the pair"
    reading = overlap.reading(Channel.CONTENT) if overlap else None
    said = (found for found in (judged.findings if judged else ()) if found.part is Part.TEXT)
    return LeakingPair(
        id=pair.id,
        category=pair.category,
        subcategory=pair.subcategory,
        query=pair.query,
        marks=marks(overlap) if overlap else (),
        naming=overlap.naming if overlap else None,
        text_harmful=judged.harmful_by(Part.TEXT) if judged else None,
        content=reading.text if reading else "",
        content_kind=str(overlap.content_kind or "") if overlap else "",
        said=next((one.explanation for one in said if one.harmful is not None), ""),
        blurred=wants_blur(pair.category, pair.subcategory),
    )


def _categories(overlap: OverlapSummary | None, judged: Judged | None) -> tuple[CategoryLeak, ...]:
    found: list[CategoryLeak] = []
    if overlap:
        for group in overlap.categories:
            figures = group.channel(Channel.CONTENT)
            if figures and figures.leaking.value is not None:
                found.append(CategoryLeak(group.name, group.pairs, figures.named, figures.leaking))
    elif judged:
        for one in judged.categories:
            if one.corrected.value is not None:
                leak = as_estimate(one.corrected, one.vsil.n)
                found.append(CategoryLeak(one.name, one.pairs, one.vsil, leak))

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
    leaking: tuple[LeakingPair, ...] = ()
    if overlap:
        leaking = tuple(_leaking(pair, by_id.get(pair.id)) for pair in overlap.leaking[:SHOWN])
    elif judged:
        leaking = tuple(_leaking(None, pair) for pair in judged.leaking[:SHOWN])
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
        leaking=leaking,
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
        if none == card.overlap.pairs and not card.pictured:
            found.append("texts alone: there is no image to tell of")
        elif none and card.overlap.embedder.startswith(CLIP):
            found.append(f"no image, or none to be read, and no figure: {counted(none, 'pair')}")
        elif not card.pictured:
            found.append("texts alone, held against the words for their twins' images")
        elif none == card.overlap.pairs:
            found.append("nothing says what the images show")
        elif none:
            found.append(f"no words for the image and no figure: {counted(none, 'pair')}")
        if foreign := kinds.get(FOREIGN, 0):
            found.append(f"not in English and no figure: {counted(foreign, 'pair')}")
        if not card.overlap.calibration:
            found.append("naming is not calibrated for this embedder: topic and ranks alone")
        found += [said for kind, said in OF_CONTENTS.items() if kinds.get(kind)]
    if card.judged and (bounds := card.judged.group.corrected.bounds):
        found.append(f"the judge's misses are not measured: {bounds}")
    if card.harmful == 0:
        found.append("benign pairs: a query that names its image gives no risk away")
    if card.leak and card.leak.n < FEW and card.leak.n != card.limit:
        found.append(f"only {counted(card.leak.n, 'pair')}")
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
        leak=leak_by_overlap(card.overlap) if card.overlap else leak_by_judge(card.judged),
        typographic=written.leaking if written else None,
        topic=group.topic if group and group.topic.value is not None else None,
        rank=group.rank if group and group.rank.value is not None else None,
        vsil=leak_by_judge(card.judged),
        gain=as_estimate(gain, gain.n) if gain and gain.value is not None else None,
        caveats=caveats(card),
        card=folder,
    )
