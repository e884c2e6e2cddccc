"""The documented shape of measure A: what the queries of a benchmark tell of its images.

docs/overlap.md says how every figure is made and what it assumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vlsbench.auditing._head import Estimate, Head, MeasuredPair
from vlsbench.stats import Rate

SCHEMA = "vlsbench.overlap/1"


class Channel(StrEnum):
    """What of a pair the query is held against."""

    CONTENT = "content"
    """What the image shows: the benchmark's description, its key phrase, or a caption."""
    REASON = "reason"
    """Why the pair is harmful; only on cards of version 0.1, for it repeats the query's words."""
    TYPOGRAPHIC = "typographic"
    """Text that stands in the image."""


class ContentKind(StrEnum):
    """Where an image's content comes from, as the query is held against it."""

    DESCRIPTION = "description"
    KEY_PHRASE = "key phrase"
    CAPTION = "caption"
    TYPOGRAPHIC = "text in the picture"
    """Nothing else says what the image shows, so what is written in it has to."""
    IMAGE = "the picture itself"
    """The embedder sees images and needs no words for them."""
    FOREIGN = "not in English"
    """The query or the content is in a language that the embedder does not know: nothing is
    measured."""


@dataclass(frozen=True, slots=True)
class TellingWord:
    """A word of a query and what the pair's topic loses when it is left out."""

    text: str
    start: int
    """Of the word in the query, in characters."""
    end: int
    bits: float
    """Topic of the whole query minus topic without this word."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One channel of one pair."""

    channel: Channel
    text: str
    naming: float
    """Probability that some phrase of the query names what `text` says, in [0, 1]."""
    phrase: str
    """The phrase of the query that comes closest to naming it."""
    start: int
    """Of the phrase in the query, in characters."""
    end: int


@dataclass(frozen=True, slots=True)
class OverlapPair(MeasuredPair):
    """What one query tells of its image."""

    content_kind: ContentKind | None
    """None where nothing says what the image shows; nothing is measured then."""
    topic: float | None
    """Bits by which the query narrows down the image, against the fixed background."""
    rank: float | None
    """Share of the set's images that fit the query at least as well, in (0, 1]."""
    readings: tuple[Reading, ...] = ()
    words: tuple[TellingWord, ...] = ()
    """Words that carry the topic, the most telling first; filled in where asked for."""

    def reading(self, channel: Channel) -> Reading | None:
        """Return one channel's reading, None where the pair has nothing there."""
        return next((reading for reading in self.readings if reading.channel == channel), None)

    @property
    def naming(self) -> float | None:
        """The probability that the query names the image's content."""
        reading = self.reading(Channel.CONTENT)
        return reading.naming if reading else None


@dataclass(frozen=True, slots=True)
class ChannelFigures:
    """One channel of a group of pairs."""

    channel: Channel
    pairs: int
    """Pairs that have something in this channel."""
    naming: Estimate
    """Mean probability that the query names it."""
    named: Rate
    """Pairs at 0.5 or more."""
    leaking: Estimate
    """Share of naming pairs, corrected for the errors of the probabilities: the figure to quote."""


@dataclass(frozen=True, slots=True)
class OverlapGroup:
    """Figures of one set of pairs: all of them, or one category."""

    name: str
    """`all`, or the category."""
    pairs: int
    images: int
    """Distinct images: the clusters of the intervals."""
    topic: Estimate
    """Mean bits."""
    rank: Estimate
    """Median rank of the own image, as a share of the set's images; 0.5 is chance."""
    channels: tuple[ChannelFigures, ...]

    def channel(self, channel: Channel) -> ChannelFigures | None:
        """Return one channel's figures, None where no pair has it."""
        return next((figures for figures in self.channels if figures.channel == channel), None)

    @property
    def leak(self) -> Estimate | None:
        """The share of pairs whose query names the image's content; None where none is known."""
        figures = self.channel(Channel.CONTENT)
        return figures.leaking if figures and figures.leaking.value is not None else None


@dataclass(frozen=True, slots=True)
class OverlapSummary(Head):
    """All of measure A for one benchmark."""

    embedder: str
    embedder_digest: str
    calibration: str
    """Digest of the fitted numbers that turn similarities into probabilities; empty where there
    are none for this embedder, and nothing is said about naming."""
    pairs: int
    contents: Mapping[str, int]
    """Where the contents come from (`ContentKind`, or `none`) → pairs."""
    with_text: Rate | None
    """Distinct images that hold text; None where no text was looked for."""
    group: OverlapGroup
    """The harmful pairs; all pairs of a set that has no harmful ones."""
    categories: tuple[OverlapGroup, ...]
    """Of the same pairs."""
    leaking: tuple[OverlapPair, ...]
    """Those of them most likely to leak by their content channel, with their telling words."""
    notes: tuple[str, ...] = ()
    """Caveats to be shown beside the figures."""
    words: float | None = None
    """Median words of the contents of those pairs; None where there are none."""
    benign: OverlapGroup | None = None
    """The benign pairs of a set that has harmful ones too: never mixed with them."""
