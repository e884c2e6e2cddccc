"""The documented shape of a leakage card, and of the leaderboard of several.

`card.json` is `dataclasses.asdict` of `Card`, `leaderboard.json` that of `Leaderboard`;
docs/audit.md describes them for readers of the files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from vlsbench.auditing._head import Estimate, Head
from vlsbench.auditing.against import Against
from vlsbench.auditing.behaviour import Behaviour, Difference
from vlsbench.auditing.judged import Judged
from vlsbench.auditing.overlap import OverlapSummary
from vlsbench.errors import BadRow
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate

SCHEMA = "vlsbench.card/1"
LEADERBOARD_SCHEMA = "vlsbench.league/1"
CARD_JSON = "card.json"
LEADERBOARD_JSON = "leaderboard.json"


class Measure(StrEnum):
    """The three questions of an audit."""

    OVERLAP = "overlap"
    """Does the query tell what is in the image?"""
    JUDGED = "judged"
    """Is the text harmful on its own?"""
    BEHAVIOUR = "behaviour"
    """Does hiding the image change what a model does?"""


@dataclass(frozen=True, slots=True)
class Mark:
    """A part of a query that tells of its image; start and end in characters."""

    start: int
    end: int
    names: bool
    """It is (part of) the phrase that comes closest to naming the content."""
    bits: float | None
    """Topic that is lost without this word; None where that is not known."""


@dataclass(frozen=True, slots=True)
class LeakingPair:
    """One of the pairs that leak most."""

    id: str
    category: str
    subcategory: str
    query: str
    marks: tuple[Mark, ...]
    """In order, none overlapping another."""
    naming: float | None
    """Probability that the query names the image's content; None where that was not measured."""
    text_harmful: bool | None
    """Whether a judge holds the text harmful by itself; None where none was asked or it is
    unscored."""
    content: str
    """What the image shows, in the words that the query was held against."""
    content_kind: str
    """Where those words come from; empty where only a judge's label counts."""
    said: str
    """The judge's words on the text alone; empty where no judge was asked."""
    blurred: bool
    """Its category asks for its texts to be blurred until they are wanted."""


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
class Dropped:
    """What `--drop-leaking` left out."""

    threshold: float
    file: str
    """Name of the list beside the card."""
    dropped: int
    kept: int
    unmeasured: int
    """Pairs without a score, which are kept."""


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
    title: str
    paper: str
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
    skipped: Mapping[str, str] = field(default_factory=dict)
    """Benchmarks that were left out of `--all` → why."""


def read_card(path: Path) -> Card:
    """Read a `card.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, Card, schema=SCHEMA)


def read_leaderboard(path: Path) -> Leaderboard:
    """Read a `leaderboard.json` back. Raises `SchemaError`, as `read_card` does."""
    return read_json(path, Leaderboard, schema=LEADERBOARD_SCHEMA)
