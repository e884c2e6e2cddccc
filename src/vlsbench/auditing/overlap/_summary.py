"""Measure A's figures of a set: means, medians and shares with intervals, by category."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from vlsbench import __version__
from vlsbench.auditing.overlap._calibration import NAMED, Calibration, leaking_share
from vlsbench.auditing.overlap._figures import (
    FOREIGN,
    SCHEMA,
    Channel,
    ChannelFigures,
    ContentKind,
    Estimate,
    OverlapGroup,
    OverlapPair,
    OverlapSummary,
)
from vlsbench.auditing.overlap._measure import Numbers
from vlsbench.embed._clip import Clip
from vlsbench.embed._text import MINILM, Embedder
from vlsbench.pages import counted
from vlsbench.pairs import PairSet
from vlsbench.stats import Interval, Rate, clustered_interval, mean_interval, median_interval

ALL = "all"
BENIGN = "benign"
NO_CONTENT = "none"

METHOD_NOTE = (
    "Overlap compares words. It does not judge harm: a query that names a harmless thing in the "
    "image counts, and a risk that is told in words far from the description's does not."
)
ENGLISH_NOTE = "MiniLM and the calibration know English; read nothing from other languages."
CONTENT_NOTES = {
    ContentKind.CAPTION: "Contents are captions of a model where the benchmark has no "
    "description: what the captioner misses cannot be named.",
    ContentKind.TYPOGRAPHIC: "Where nothing says what an image shows, the text in it stands for "
    "its content.",
}
UNCALIBRATED_NOTE = (
    "Naming is not calibrated for {embedder}: topic and ranks are all there is. "
    "scripts/fit_naming.py --embedder {embedder} --out FILE fits it, --calibration FILE uses it."
)
FOREIGN_NOTE = (
    "In no figure, because the query or the description is not English: {count}. MiniLM and "
    "the calibration know nothing else; a multilingual embedder needs a calibration of its own "
    "(--embedder, --calibration)."
)
NONE_NOTE = "In no figure, because nothing says what the image shows: {count}."
PICTURES_NOTE = (
    "{embedder} holds queries against the images themselves. It does not judge harm, its bits "
    "compare with no other embedder's, and it reads no more than the beginning of a long query. "
    "Read bits beside ranks: above 0 at a median rank of 50 %, they come from what all queries and "
    "all images of the set have in common. Naming is not calibrated for it: topic and ranks are "
    "all there is. Text in images and reasons are left to embedders of texts."
)
UNREAD_NOTE = "Images that cannot be read: {count:,}, such as {one}."
NO_PICTURE_NOTE = "In no figure, because there is no image, or none to be read: {count}."


@dataclass
class _Column:
    """Numbers of some of the pairs: which, and what."""

    places: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))

    def add(self, place: int, value: float) -> None:
        self.places.append(place)
        self.values.append(value)

    def of(self, chosen: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Numbers]:
        places = np.frombuffer(self.places, np.int64) if self.places else np.empty(0, np.int64)
        values = np.frombuffer(self.values) if self.values else np.empty(0)
        kept = chosen[places]
        return places[kept], values[kept]


class Tally:
    """Gathers numbers of measured pairs; a few dozen bytes each."""

    def __init__(self, calibration: Calibration | None, *, looked_for_text: bool) -> None:
        """Start empty.

        Args:
            calibration: That the probabilities came from; None where there are none.
            looked_for_text: Whether text in images was looked for at all.
        """
        self._calibration = calibration
        self._looked_for_text = looked_for_text
        self._clusters = array("q")
        self._categories = array("i")
        self._harmful = array("b")
        self._names: dict[str, int] = {}
        self._contents: Counter[str] = Counter()
        self._written = array("q")
        self._words = _Column()
        self._topic = _Column()
        self._rank = _Column()
        self._naming: Mapping[Channel, _Column] = {channel: _Column() for channel in Channel}

    def add(self, pair: OverlapPair, cluster: int, *, written: bool, foreign: bool = False) -> None:
        """Count one pair.

        Args:
            pair: As it was measured.
            cluster: A number for its images.
            written: Whether text was found in them.
            foreign: Whether it was left out for its query's language.
        """
        place = len(self._clusters)
        self._clusters.append(cluster)
        self._categories.append(self._names.setdefault(pair.category, len(self._names)))
        self._harmful.append(pair.harmful)
        self._contents[FOREIGN if foreign else pair.content_kind or NO_CONTENT] += 1
        if pair.topic is not None and pair.rank is not None:
            self._topic.add(place, pair.topic)
            self._rank.add(place, pair.rank)
        if content := pair.reading(Channel.CONTENT):
            self._words.add(place, len(content.text.split()))
        if written:
            self._written.append(cluster)
        for reading in pair.readings:
            self._naming[reading.channel].add(place, reading.naming)

    def summary(
        self,
        pairs: PairSet,
        embedder: Embedder,
        leaking: tuple[OverlapPair, ...],
        *,
        unread: Collection[str] = (),
    ) -> OverlapSummary:
        """Work the figures out.

        Args:
            pairs: The set that was measured.
            embedder: That it was measured with.
            leaking: The pairs to show.
            unread: Names of images that could not be read.
        """
        clusters = np.array(self._clusters, dtype=np.int64)
        categories = np.array(self._categories, dtype=np.int64)
        harmful = np.array(self._harmful, dtype=np.bool_)
        chosen = harmful if harmful.any() else ~harmful
        return OverlapSummary(
            schema=SCHEMA,
            vlsbench=__version__,
            bench=pairs.name,
            title=pairs.title,
            paper=pairs.paper,
            licence=pairs.licence,
            embedder=embedder.name,
            embedder_digest=embedder.digest,
            calibration=self._calibration.digest if self._calibration else "",
            pairs=len(clusters),
            contents=dict(self._contents),
            with_text=self._with_text(clusters) if self._looked_for_text else None,
            group=self._group(ALL, chosen, clusters),
            benign=self._group(BENIGN, ~chosen, clusters) if (~chosen).any() else None,
            categories=tuple(
                self._group(name, here, clusters)
                for name, number in sorted(self._names.items())
                if (here := chosen & (categories == number)).any()
            ),
            leaking=leaking,
            words=float(np.median(words)) if len(words := self._words.of(chosen)[1]) else None,
            notes=self._notes(embedder, unread),
        )

    def _group(
        self, name: str, chosen: NDArray[np.bool_], clusters: NDArray[np.int64]
    ) -> OverlapGroup:
        places, topic = self._topic.of(chosen)
        _, rank = self._rank.of(chosen)
        return OverlapGroup(
            name=name,
            pairs=int(chosen.sum()),
            images=len(np.unique(clusters[chosen])),
            topic=_estimate(topic, float(topic.mean()), mean_interval(topic, clusters[places]))
            if len(topic)
            else NOTHING,
            rank=_estimate(rank, float(np.median(rank)), median_interval(rank, clusters[places]))
            if len(rank)
            else NOTHING,
            channels=tuple(
                self._channel(channel, *found, clusters, fitted)
                for channel in Channel
                if (fitted := self._calibration)
                and len((found := self._naming[channel].of(chosen))[0])
            ),
        )

    def _channel(
        self,
        channel: Channel,
        places: NDArray[np.int64],
        naming: Numbers,
        clusters: NDArray[np.int64],
        calibration: Calibration,
    ) -> ChannelFigures:
        own = clusters[places]
        mean = mean_interval(naming, own)
        if mean:
            mean = Interval(max(0.0, mean.low), min(1.0, mean.high))
        return ChannelFigures(
            channel=channel,
            pairs=len(naming),
            naming=_estimate(naming, float(naming.mean()), mean),
            named=_rate(naming >= NAMED, own),
            leaking=leaking_share(naming, own, calibration),
        )

    def _with_text(self, clusters: NDArray[np.int64]) -> Rate:
        images = np.unique(clusters)
        return _rate(np.isin(images, np.array(self._written, dtype=np.int64)), images)

    def _notes(self, embedder: Embedder, unread: Collection[str]) -> tuple[str, ...]:
        missing, foreign = self._contents[NO_CONTENT], self._contents[FOREIGN]
        lost, abroad = counted(missing, "pair"), counted(foreign, "pair")
        if isinstance(embedder, Clip):
            notes = [PICTURES_NOTE.format(embedder=embedder.name)]
            if unread:
                notes.append(UNREAD_NOTE.format(count=len(unread), one=min(unread)))
            return (*notes, NO_PICTURE_NOTE.format(count=lost)) if missing else tuple(notes)
        notes = [METHOD_NOTE]
        if embedder.name == MINILM:
            notes.append(FOREIGN_NOTE.format(count=abroad) if foreign else ENGLISH_NOTE)
        if not self._calibration:
            notes.append(UNCALIBRATED_NOTE.format(embedder=embedder.name))
        notes += [note for kind, note in CONTENT_NOTES.items() if self._contents[kind]]
        if missing:
            notes.append(NONE_NOTE.format(count=lost))
        return tuple(notes)


NOTHING = Estimate(0, None, None, None)


def _estimate(values: Numbers, value: float, interval: Interval | None) -> Estimate:
    low, high = interval or (None, None)
    return Estimate(len(values), value, low, high)


def _rate(hits: NDArray[np.bool_], clusters: NDArray[np.int64]) -> Rate:
    low, high = clustered_interval(hits, clusters) or (None, None)
    n = len(hits)
    return Rate(int(hits.sum()), n, float(hits.mean()) if n else None, low, high)
