"""Measure A's figures of a set: means, medians and shares with intervals, by category."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing._head import head
from vlsbench.auditing.overlap._figures import (
    FOREIGN,
    SCHEMA,
    Channel,
    ChannelFigures,
    Estimate,
    OverlapGroup,
    OverlapPair,
    OverlapSummary,
)
from vlsbench.auditing.overlap.calibration import NAMED, Calibration, leaking_share
from vlsbench.auditing.overlap.measure import Numbers
from vlsbench.embed import Clip, Embedder
from vlsbench.pairs import PairSet
from vlsbench.stats import Interval, clustered_rate, mean_interval, median_interval

METHOD_NOTE = (
    "Overlap compares words. It does not judge harm: a query that names a harmless thing in the "
    "image counts, and a risk that is told in words far from the description's does not."
)
UNCALIBRATED_NOTE = (
    "Naming is not calibrated for {embedder}: topic and ranks are all there is. "
    "scripts/fit_naming.py --embedder {embedder} --out FILE fits it, --calibration FILE uses it."
)
IMAGES_NOTE = (
    "{embedder} holds queries against the images themselves. It does not judge harm, its bits "
    "compare with no other embedder's, and it reads no more than the beginning of a long query. "
    "Read bits beside ranks: above 0 at a median rank of 50 %, they come from what all queries and "
    "all images of the set have in common. Naming is not calibrated for it: topic and ranks are "
    "all there is. Text in images and reasons are left to embedders of texts."
)
UNREAD_NOTE = "Images that cannot be read: {count:,}, such as {one}."


class Tally:
    """Gathers numbers of measured pairs; a few dozen bytes each."""

    def __init__(self) -> None:
        """Start empty."""
        self._clusters = array("q")
        self._categories = array("i")
        self._harmful = array("b")
        self._names: dict[str, int] = {}
        self._contents: Counter[str] = Counter()
        self._written: set[int] = set()
        self._numbers: Mapping[str, array[float]] = {
            name: array("d") for name in ("words", "topic", "rank", *Channel)
        }

    def add(self, pair: OverlapPair, cluster: int, *, written: bool, foreign: bool = False) -> None:
        """Count one measured pair: `cluster` is a number for its images, `written` whether they
        hold text, `foreign` whether it was left out for its language.
        """
        self._clusters.append(cluster)
        self._categories.append(self._names.setdefault(pair.category, len(self._names)))
        self._harmful.append(pair.harmful)
        self._contents[FOREIGN if foreign else pair.content_kind or "none"] += 1
        if written:
            self._written.add(cluster)
        content = pair.reading(Channel.CONTENT)
        values: dict[str, float | None] = {"topic": pair.topic, "rank": pair.rank}
        values["words"] = len(content.text.split()) if content else None
        values |= {reading.channel: reading.naming for reading in pair.readings}
        for name, column in self._numbers.items():
            value = values.get(name)
            column.append(np.nan if value is None else value)

    def summary(
        self,
        pairs: PairSet,
        embedder: Embedder,
        fitted: Calibration | None,
        *,
        leaking: tuple[OverlapPair, ...],
        looked_for_text: bool,
        unread: Collection[str] = (),
    ) -> OverlapSummary:
        """Work the figures out; `unread` names images that could not be read."""
        categories = np.array(self._categories)
        harmful = np.array(self._harmful, dtype=np.bool_)
        chosen = harmful if harmful.any() else ~harmful
        images = np.unique(np.array(self._clusters))
        words = self._of("words", chosen)[0]
        return OverlapSummary(
            *head(SCHEMA, pairs),
            embedder=embedder.name,
            embedder_digest=embedder.digest,
            calibration=fitted.digest if fitted else "",
            pairs=len(chosen),
            contents=dict(self._contents),
            with_text=clustered_rate([image in self._written for image in images], images)
            if looked_for_text
            else None,
            group=self._group("all", chosen, fitted),
            benign=self._group("benign", ~chosen, fitted) if (~chosen).any() else None,
            categories=tuple(
                self._group(name, here, fitted)
                for name, number in sorted(self._names.items())
                if (here := chosen & (categories == number)).any()
            ),
            leaking=leaking,
            words=float(np.median(words)) if len(words) else None,
            notes=tuple(_notes(embedder, fitted, unread)),
        )

    def _of(self, name: str, chosen: NDArray[np.bool_]) -> tuple[Numbers, NDArray[np.int64]]:
        """Return a number of those chosen pairs that have it, and their clusters."""
        values = np.array(self._numbers[name])
        kept = chosen & ~np.isnan(values)
        return values[kept], np.array(self._clusters)[kept]

    def _group(
        self, name: str, chosen: NDArray[np.bool_], fitted: Calibration | None
    ) -> OverlapGroup:
        return OverlapGroup(
            name=name,
            pairs=int(chosen.sum()),
            images=len(np.unique(np.array(self._clusters)[chosen])),
            topic=_estimate(np.mean, mean_interval, *self._of("topic", chosen)),
            rank=_estimate(np.median, median_interval, *self._of("rank", chosen)),
            channels=tuple(
                ChannelFigures(
                    channel=channel,
                    pairs=len(naming),
                    naming=_estimate(np.mean, _share_interval, naming, clusters),
                    named=clustered_rate(naming >= NAMED, clusters),
                    leaking=leaking_share(naming, clusters, fitted),
                )
                for channel in Channel
                for naming, clusters in [self._of(channel, chosen)]
                if fitted and len(naming)
            ),
        )


def _notes(
    embedder: Embedder, fitted: Calibration | None, unread: Collection[str]
) -> Iterator[str]:
    if isinstance(embedder, Clip):
        yield IMAGES_NOTE.format(embedder=embedder.name)
        if unread:
            yield UNREAD_NOTE.format(count=len(unread), one=min(unread))
        return
    yield METHOD_NOTE
    if not fitted:
        yield UNCALIBRATED_NOTE.format(embedder=embedder.name)


def _share_interval(values: Numbers, clusters: NDArray[np.int64]) -> Interval | None:
    found = mean_interval(values, clusters)
    return Interval(max(0.0, found.low), min(1.0, found.high)) if found else None


def _estimate(
    statistic: Callable[[Numbers], float],
    interval: Callable[[Numbers, NDArray[np.int64]], Interval | None],
    values: Numbers,
    clusters: NDArray[np.int64],
) -> Estimate:
    if not len(values):
        return Estimate(0, None, None, None)
    low, high = interval(values, clusters) or (None, None)
    return Estimate(len(values), float(statistic(values)), low, high)
