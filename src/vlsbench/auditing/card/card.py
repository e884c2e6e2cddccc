"""A leakage card, and the leaderboard of several: their documented shape, and how they are made.

`card.json` is `dataclasses.asdict` of `Card`, `leaderboard.json` that of `Leaderboard`;
docs/audit.md describes them for readers of the files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.auditing.against import Against
from vlsbench.auditing.behaviour.figures import Behaviour, Difference
from vlsbench.auditing.card.pairs import Dropped, LeakingPair, Seen
from vlsbench.auditing.head import Estimate, Head, head
from vlsbench.auditing.judged.figures import Judged, JudgedPair
from vlsbench.auditing.overlap.figures import Channel, ContentKind, OverlapSummary
from vlsbench.embed import CLIP
from vlsbench.errors import BadRow
from vlsbench.evaluation import Selection
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate
from vlsbench.text import counted

SCHEMA = "vlsbench.card/1"
LEADERBOARD_SCHEMA = "vlsbench.league/1"
CARD_JSON = "card.json"
SHOWN = 10
"""Leaking pairs on a card."""
OF_CONTENTS = {
    ContentKind.IMAGE: "images looked at themselves: bits are of this embedder alone",
    ContentKind.CAPTION: "contents are captions by a model",
    ContentKind.TYPOGRAPHIC: "contents are what is written in the images",
    ContentKind.KEY_PHRASE: "contents are key phrases, which name the risk and nothing else",
}
"""What to know of a card where some words for its images come from there."""


class Measure(StrEnum):
    """The three questions of an audit."""

    OVERLAP = "overlap"
    """Does the query tell what is in the image?"""
    JUDGED = "judged"
    """Is the text harmful on its own?"""
    BEHAVIOUR = "behaviour"
    """Does hiding the image change what a model does?"""


@dataclass(frozen=True, slots=True)
class CategoryLeak:
    """One category in the order of its leak."""

    name: str
    pairs: int
    counted: Rate
    """Pairs found to leak before any correction: what categories are ordered by."""
    leak: Estimate
    """Corrected. Where a category has few pairs its assumptions show more than its data, so that
    categories' shares need not average to the whole's."""


@dataclass(frozen=True, slots=True)
class Card(Head):
    """All that an audit found of one benchmark."""

    made: str
    """ISO 8601, UTC."""
    pairs: int
    harmful: int
    """Pairs that are no benign controls."""
    pictured: int
    """Pairs that have an image."""
    limit: int | None
    """Size of the random sample, where not all pairs were audited."""
    seed: int
    settings: Mapping[str, Any]
    """What decides the figures: embedder, captioner, judge, controls, model."""
    overlap: OverlapSummary | None
    judged: Judged | None
    behaviour: Behaviour | None
    categories: tuple[CategoryLeak, ...]
    """The most leaking first, by the leading measure."""
    leaking: tuple[LeakingPair, ...]
    """The ten most leaking pairs."""
    dropped: Dropped | None
    stopped: str
    """Why a measure ended early; empty where none did."""
    left_out: tuple[BadRow, ...]
    """Rows that could not be used."""
    notes: tuple[str, ...] = ()
    arguments: str = ""
    """How a command line names the set; empty on cards of version 0.1."""
    against: Against | None = None
    """Measures held against the grades of the set, where that was asked for."""

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measures that were run."""
        return tuple(measure for measure in Measure if getattr(self, measure) is not None)

    @property
    def leak(self) -> Estimate | None:
        """The share of leaking pairs by the leading measure; None where none could be had."""
        by_overlap = self.overlap.group.leak if self.overlap else None
        return by_overlap or (self.judged.group.leak if self.judged else None)

    @property
    def unmeasured(self) -> tuple[Measure, ...]:
        """The measures that were run and give no figure of any pair."""
        groups = (self.overlap.group, self.overlap.benign) if self.overlap else ()
        judged = (self.judged.group, self.judged.benign) if self.judged else ()
        views = self.behaviour.views if self.behaviour else ()
        figures = {
            Measure.OVERLAP: (group.topic.n for group in groups if group),
            Measure.JUDGED: (part.harmful.n for one in judged if one for part in one.parts),
            Measure.BEHAVIOUR: (view.safety.n for view in views),
        }
        return tuple(measure for measure in self.measures if not any(figures[measure]))

    @property
    def simulated(self) -> bool:
        """Whether the pairs are of the lab, or a model of it took part."""
        measured = (found.simulated for found in (self.judged, self.behaviour) if found)
        return is_simulated(self.bench) or any(measured)


@dataclass(frozen=True, slots=True)
class LeaderboardRow:
    """One benchmark in the leaderboard."""

    bench: str
    pairs: int
    contents: Mapping[str, int]
    """Where the words for the images come from → pairs."""
    leak: Estimate | None
    """Of the content channel, or by the judge where that alone was run."""
    typographic: Estimate | None
    """Share of pairs whose query names what is written in the image."""
    topic: Estimate | None
    """Mean bits."""
    rank: Estimate | None
    """Median rank of the own image, as a share of the set's."""
    vsil: Estimate | None
    """Corrected VSIL rate, where a judge was asked."""
    gain: Difference | None
    """Cross-modal gain, where a model was asked."""
    caveats: tuple[str, ...]
    card: str
    """Folder of the card beside the table."""
    coverage: float | None = None
    """Share of the pairs that measure A could be taken of."""
    words: float | None = None
    """Median words of what their images show."""


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """Several benchmarks, the most leaking first; those without a figure come last."""

    schema: str
    vlsbench: str
    made: str
    """ISO 8601, UTC."""
    settings: Mapping[str, Any]
    rows: tuple[LeaderboardRow, ...]
    against: Against | None = None
    """All sets' pairs together, held against their grades, where that was asked for."""


def read_card(path: Path) -> Card:
    """Read a `card.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, Card, schema=SCHEMA, foreign=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _categories(overlap: OverlapSummary | None, judged: Judged | None) -> tuple[CategoryLeak, ...]:
    found = list[CategoryLeak]()
    for group in overlap.categories if overlap else ():
        figures = group.channel(Channel.CONTENT)
        if figures and group.leak:
            found.append(CategoryLeak(group.name, group.pairs, figures.named, group.leak))
    for one in judged.categories if judged and not overlap else ():
        if one.leak:
            found.append(CategoryLeak(one.name, one.pairs, one.vsil, one.leak))
    # By what was surely found: a corrected share of one pair would stand above all others.
    found.sort(key=lambda one: (-(one.counted.low or 0.0), -(one.counted.rate or 0.0), one.pairs))
    return tuple(found)


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
        made=_now(),
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
    cards: Iterable[tuple[Card, str]], settings: Mapping[str, Any], against: Against | None = None
) -> Leaderboard:
    """Order benchmarks by their leak, else by the least that it is.

    Each card comes with the name of its folder.
    """

    def place(given: tuple[Card, str]) -> tuple[bool, float, str]:
        card, _ = given
        value = card.leak.value if card.leak else None
        bounds = card.judged.group.corrected.bounds if card.judged else None
        return value is None, -(value or (bounds.at_least if bounds else 0.0)), card.bench

    rows = tuple(_row(*given) for given in sorted(cards, key=place))
    return Leaderboard(LEADERBOARD_SCHEMA, __version__, _now(), settings, rows, against)


def _row(card: Card, folder: str) -> LeaderboardRow:
    group = card.overlap.group if card.overlap else None
    written = group.channel(Channel.TYPOGRAPHIC) if group else None
    gain = card.behaviour.gain if card.behaviour else None
    return LeaderboardRow(
        bench=card.bench,
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
