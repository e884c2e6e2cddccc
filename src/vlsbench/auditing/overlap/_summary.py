"""Measure A's figures of a set: means, medians and shares with intervals, by category."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing._head import Estimate, head
from vlsbench.auditing.overlap._figures import (
    SCHEMA,
    Channel,
    ChannelFigures,
    OverlapGroup,
    OverlapPair,
    OverlapSummary,
)
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

Clusters = NDArray[np.intp]
METHOD_NOTE = (
    "Overlap compares words. It does not judge harm: a query that names a harmless thing in the "
    "image counts, and a risk that is told in words far from the description's does not."
)
UNCALIBRATED_NOTE = (
    "scripts/fit_naming.py --embedder {embedder} --out FILE fits naming for it, --calibration FILE "
    "uses it."
)
IMAGES_NOTE = (
    "{embedder} holds queries against the images themselves. It does not judge harm, its bits "
    "compare with no other embedder's, and it reads no more than the beginning of a long query. "
    "Read bits beside ranks: above 0 at a median rank of 50 %, they come from what all queries and "
    "all images of the set have in common. Text in images is left to embedders of texts."
)
UNREAD_NOTE = "Images that cannot be read: {count:,}, such as {one}."


def summarize(
    pairs: PairSet,
    measured: Sequence[OverlapPair],
    embedder: Embedder,
    fitted: Calibration | None,
    *,
    leaking: tuple[OverlapPair, ...],
    with_text: Rate | None,
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
        with_text=with_text,
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
            yield UNREAD_NOTE.format(count=len(unread), one=min(unread))
        return
    yield METHOD_NOTE
    if not fitted:
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
