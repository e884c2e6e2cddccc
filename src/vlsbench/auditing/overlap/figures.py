"""Measure A in figures: means, medians and shares with intervals, and how they are made.

docs/overlap.md says how every figure is made and what it assumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.head import Estimate, Head, MeasuredPair, head
from vlsbench.auditing.overlap.calibration import NAMED, Calibration, leaking_share
from vlsbench.auditing.overlap.measure import Numbers
from vlsbench.embed import Clip, Embedder
from vlsbench.pairs import PairSet
from vlsbench.stats import (
    Interval,
    Rate,
    bounded_interval,
    clustered_rate,
    mean_interval,
    median_interval,
    numbered,
)

SCHEMA = "vlsbench.overlap/1"
Clusters = NDArray[np.intp]
UNCALIBRATED_NOTE = (
    "scripts/fit_naming.py --embedder {embedder} --out FILE fits naming for it, --calibration FILE "
    "uses it."
)
IMAGES_NOTE = (
    "{embedder} holds queries against the images themselves, of a long query no more than the "
    "beginning. Read its bits beside the ranks: above 0 at a median rank of 50 %, they come from "
    "what all queries and all images of the set have in common."
)


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


def summarize(
    pairs: PairSet,
    measured: Sequence[OverlapPair],
    embedder: Embedder,
    fitted: Calibration | None,
    *,
    leaking: tuple[OverlapPair, ...],
    unread: Collection[str] = (),
) -> OverlapSummary:
    """Work a set's figures out; `unread` names images that could not be read."""
    harmful = [pair for pair in measured if pair.harmful]
    benign = [pair for pair in measured if not pair.harmful]
    chosen = harmful or benign
    contents = filter(None, (pair.reading(Channel.CONTENT) for pair in chosen))
    words = [len(content.text.split()) for content in contents]
    return OverlapSummary(
        *head(SCHEMA, pairs),
        embedder=embedder.name,
        embedder_digest=embedder.digest,
        calibration=fitted.digest if fitted else "",
        pairs=len(measured),
        contents=dict(Counter(str(pair.content_kind or "none") for pair in measured)),
        group=_group("all", chosen, fitted),
        benign=_group("benign", benign, fitted) if harmful and benign else None,
        categories=tuple(
            _group(name, [pair for pair in chosen if pair.category == name], fitted)
            for name in sorted({pair.category for pair in chosen})
        ),
        leaking=leaking,
        words=float(np.median(words)) if words else None,
        notes=tuple(_notes(embedder, fitted, unread)),
    )


def _group(name: str, pairs: Sequence[OverlapPair], fitted: Calibration | None) -> OverlapGroup:
    topics = [(pair.topic, pair.cluster) for pair in pairs if pair.topic is not None]
    ranks = [(pair.rank, pair.cluster) for pair in pairs if pair.rank is not None]
    return OverlapGroup(
        name=name,
        pairs=len(pairs),
        images=len({pair.cluster for pair in pairs}),
        topic=_estimate(np.mean, mean_interval, *_columns(topics)),
        rank=_estimate(np.median, median_interval, *_columns(ranks)),
        channels=tuple(_channels(pairs, fitted)) if fitted else (),
    )


def _channels(pairs: Sequence[OverlapPair], fitted: Calibration) -> Iterator[ChannelFigures]:
    for channel in Channel:
        known = [(said.naming, pair.cluster) for pair in pairs if (said := pair.reading(channel))]
        if known:
            found, clusters = _columns(known)
            yield ChannelFigures(
                channel=channel,
                pairs=len(known),
                naming=_estimate(np.mean, bounded_interval, found, clusters),
                named=clustered_rate(found >= NAMED, clusters),
                leaking=leaking_share(found, clusters, fitted),
            )


def _columns(known: Sequence[tuple[float, str]]) -> tuple[Numbers, Clusters]:
    return np.array([one for one, _ in known]), numbered(cluster for _, cluster in known)


def _notes(
    embedder: Embedder, fitted: Calibration | None, unread: Collection[str]
) -> Iterator[str]:
    if isinstance(embedder, Clip):
        yield IMAGES_NOTE.format(embedder=embedder.name)
        if unread:
            yield f"Images that cannot be read: {len(unread):,}, such as {min(unread)}."
    elif not fitted:
        yield UNCALIBRATED_NOTE.format(embedder=embedder.name)


def _estimate(
    statistic: Callable[[Numbers], float],
    interval: Callable[[Numbers, Clusters], Interval | None],
    values: Numbers,
    clusters: Clusters,
) -> Estimate:
    if not len(values):
        return Estimate(0, None, None, None)
    return Estimate.of(len(values), float(statistic(values)), interval(values, clusters))
