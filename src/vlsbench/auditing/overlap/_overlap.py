"""Measure A: what the queries of a benchmark tell of its images, from embeddings.

No model is asked and no judgement is made; docs/overlap.md says what that can and cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import nlargest
from itertools import islice
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing._head import facts
from vlsbench.auditing.overlap._contents import Content, Look, Pool, content_of
from vlsbench.auditing.overlap._figures import (
    Channel,
    ContentKind,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
    summarize,
)
from vlsbench.auditing.overlap._images import ImageVectors, refuse_words
from vlsbench.auditing.overlap.calibration import Calibration, check_fits, shipped
from vlsbench.auditing.overlap.measure import Numbers, Reader, topic_bits
from vlsbench.auditing.overlap.phrases import without, words
from vlsbench.embed import (
    MINILM,
    CachedEmbedder,
    Clip,
    Embedder,
    Vectors,
    default_cache,
    open_embedder,
)
from vlsbench.language import SHORT, may_be_english
from vlsbench.pairs import Pair, PairSet
from vlsbench.stats import clustered_rate

CHUNK = 1024
"""Pairs that are in memory at a time."""
SHOWN = 10
"""Most leaking pairs in a summary."""


@dataclass(frozen=True, slots=True)
class _Item:
    """A pair with what its query is held against."""

    pair: Pair
    content: Content | None = None
    written: str = ""
    """What stands in its images."""
    foreign: bool = False

    @property
    def channels(self) -> Mapping[Channel, str]:
        """The words that naming is looked for in."""
        said = self.content.text if self.content else ""
        found = {Channel.CONTENT: said, Channel.TYPOGRAPHIC: self.written}
        return {channel: text for channel, text in found.items() if text.strip()}


def _item(pair: Pair, caption: Look | None, text: Look | None, *, english: bool) -> _Item:
    content = content_of(pair, caption, text)
    # A few words do not tell their language.
    said = content.text if content and len(content.text.split()) > SHORT else ""
    if english and not (may_be_english(pair.query) and may_be_english(said)):
        return _Item(pair, foreign=True)
    return _Item(pair, content, text(pair) if text else "")


def _probabilities(
    calibration: Calibration, asked: Sequence[tuple[str, str]], features: Numbers
) -> list[float]:
    """Return the probabilities of naming: 0 for a query without words."""
    found = calibration.probability(features)
    return [
        float(one) if words(query) else 0.0 for (query, _), one in zip(asked, found, strict=True)
    ]


class _Measurer:
    """Measures pairs a chunk at a time."""

    def __init__(
        self, embedder: CachedEmbedder, fitted: Calibration | None, images: ImageVectors | None
    ) -> None:
        """Take what turns texts and images into vectors; naming is read where it is fitted."""
        self._embedder, self._fitted, self._images = embedder, fitted, images
        self._reader = None if images else Reader(embedder)

    def vectors(self, contents: Sequence[Content]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return contents' vectors, shape (n, d), and which could be had, shape (n,)."""
        if self._images:
            return self._images.embed([content.images for content in contents])
        texts = self._embedder.embed([content.text for content in contents])
        return texts, np.ones(len(contents), np.bool_)

    def measure(self, items: Sequence[_Item], pool: Pool) -> Iterator[OverlapPair]:
        contents = {place: item.content for place, item in enumerate(items) if item.content}
        vectors, known = self.vectors([*contents.values()])
        had = {place: vectors[row] for row, place in enumerate(contents) if known[row]}
        topics = self._topics(items, had, pool)
        readings = self._readings(items)
        for place, item in enumerate(items):
            topic, rank = topics.get(place, (None, None))
            kind = contents[place].kind if place in had else None
            yield OverlapPair(
                *facts(item.pair),
                content_kind=ContentKind.FOREIGN if item.foreign else kind,
                topic=topic,
                rank=rank,
                readings=tuple(readings[place]),
            )

    def _bits(self, queries: Vectors, contents: Vectors) -> Numbers:
        source = self._images or self._reader
        assert source, "images or texts are embedded"
        return topic_bits(queries, contents, source.background)

    def _topics(
        self, items: Sequence[_Item], contents: Mapping[int, Vectors], pool: Pool
    ) -> Mapping[int, tuple[float, float]]:
        """Return topic and rank by place; an empty query tells nothing: 0 bits, the middle rank."""
        asked = [place for place in contents if words(items[place].pair.query)]
        found = dict.fromkeys(contents, (0.0, 0.5))
        if asked:
            queries = self._embedder.embed([items[place].pair.query for place in asked])
            shown = np.stack([contents[place] for place in asked])
            bits = self._bits(queries, shown)
            shares = pool.ranks(queries, shown, [items[place].pair.cluster for place in asked])
            for place, bit, share in zip(asked, bits, shares, strict=True):
                found[place] = float(bit), float(share)
        return found

    def _readings(self, items: Sequence[_Item]) -> Sequence[Sequence[Reading]]:
        """Say how likely each query names what is said in each of its pair's channels."""
        if not self._reader or not self._fitted:
            return [()] * len(items)
        asked = [(item.pair.query, said) for item in items for said in item.channels.values()]
        rows, closest = self._reader.features(asked)
        named = iter(zip(_probabilities(self._fitted, asked, rows), closest, strict=True))

        def reading(query: str, channel: Channel, said: str) -> Reading:
            naming, phrase = next(named)
            start, end = (phrase.start, phrase.end) if phrase else (0, 0)
            return Reading(channel, said, naming, query[start:end], start, end)

        return [
            [reading(item.pair.query, *channel) for channel in item.channels.items()]
            for item in items
        ]

    def telling(self, pair: OverlapPair) -> OverlapPair:
        """Leave out one word of the query at a time and see what the topic loses."""
        found, read = words(pair.query), pair.reading(Channel.CONTENT)
        if not found or not read:
            return pair
        shorter = [without(pair.query, word) for word in found]
        queries = self._embedder.embed([pair.query, *shorter])
        shown = np.broadcast_to(self._embedder.embed([read.text]), queries.shape)
        bits = self._bits(queries, shown)
        told = [
            TellingWord(word.text, word.start, word.end, float(bits[0] - left))
            for word, left in zip(found, bits[1:], strict=True)
        ]
        return replace(pair, words=tuple(sorted(told, key=lambda word: -word.bits)))


def overlap(
    pairs: PairSet,
    *,
    embedder: Embedder | str = "minilm",
    cache: Path | None = None,
    calibration: Calibration | None = None,
    caption: Look | None = None,
    text: Look | None = None,
    each: Callable[[OverlapPair], None] = lambda pair: None,
) -> OverlapSummary:
    """Measure how much the queries of a benchmark tell of its images.

    Walks the set twice and holds a bounded number of vectors; of a pair its texts and figures stay.
    Time is linear. Vectors are kept on disk, so a second audit needs no model.

    Args:
        pairs: An opened benchmark; pairs of which nothing says what they show, and with MiniLM
            those whose query is not in English, are counted and left out of every figure.
        embedder: An embedder, `minilm`, `NAME@http://host:port/v1`, or `clip/PATH` or
            `clip/ORG/NAME`, which looks at the images themselves.
        cache: File that vectors are kept in; by default one in the user's cache.
        calibration: Numbers fitted for this embedder; by default those shipped, for MiniLM. For
            another embedder without any, topic and ranks are all that is measured.
        caption: Looks up what an image shows, for pairs without a description.
        text: Looks up the text that stands in an image.
        each: Is given every pair as it is measured, in the order of the set.

    Raises:
        MissingExtra: A model is needed and its libraries are not installed.
        VlsbenchError: The embedder cannot be used, has no use for what was given, or the numbers
            given were fitted for another.
    """
    opened = open_embedder(embedder)
    if isinstance(opened, Clip):
        refuse_words(opened.name, calibration=calibration, captioner=caption, ocr=text)
    fitted = calibration or (shipped() if shipped().embedder_digest == opened.digest else None)
    if fitted:
        check_fits(fitted, opened)

    def items() -> Iterator[_Item]:
        for pair in pairs:
            if images:
                seen = Content(ContentKind.IMAGE, images=pair.images) if pair.images else None
                yield _Item(pair, seen)
            else:
                yield _item(pair, caption, text, english=opened.name == MINILM)

    with CachedEmbedder(opened, cache or default_cache()) as cached:
        images = ImageVectors(opened, cached) if isinstance(opened, Clip) else None
        measurer = _Measurer(cached, fitted, images)
        contents = ((item.pair.cluster, item.content) for item in items() if item.content)
        pool = Pool.of(contents, measurer.vectors)
        measured: list[OverlapPair] = []
        written: dict[str, bool] = {}
        walked = items()
        while chunk := list(islice(walked, CHUNK)):
            for item, found in zip(chunk, measurer.measure(chunk, pool), strict=True):
                each(found)
                measured.append(found)
                has_text = bool(item.written.strip())
                written[found.cluster] = written.get(found.cluster, False) or has_text
        named = (pair for pair in measured if pair.harmful and pair.naming is not None)
        top = nlargest(SHOWN, named, key=lambda pair: pair.naming or 0.0)
        return summarize(
            pairs,
            measured,
            opened,
            fitted,
            leaking=tuple(map(measurer.telling, top)),
            with_text=clustered_rate([*written.values()], [*written]) if text else None,
            unread=images.unread if images else (),
        )


class Naming:
    """Scores queries that are being written. Belongs to the thread that made it."""

    def __init__(
        self,
        embedder: Embedder | str = "minilm",
        *,
        cache: Path | None = None,
    ) -> None:
        """Open the embedder and its cache; arguments and errors are those of `overlap`."""
        opened = open_embedder(embedder)
        check_fits(shipped(), opened)
        self._cached = CachedEmbedder(opened, cache or default_cache())
        self._reader = Reader(self._cached)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cached.__exit__()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors, shape (texts, d)."""
        return self._cached.embed(texts)

    def score(self, asked: Sequence[tuple[str, str]]) -> list[float]:
        """Return for each query and content the probability that the query names the content.

        Many at once cost less than one by one.
        """
        if not asked:
            return []
        rows, _ = self._reader.features(asked)
        return _probabilities(shipped(), asked, rows)
