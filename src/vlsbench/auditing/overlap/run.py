"""Measure A: what the queries of a benchmark tell of its images, from embeddings.

No model is asked and no judgement is made; docs/overlap.md says what that can and cannot show.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from heapq import nlargest
from itertools import islice
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np

from vlsbench.auditing.head import facts
from vlsbench.auditing.overlap.calibration import Calibration, check_fits, shipped
from vlsbench.auditing.overlap.contents import Content, ImageVectors, Look, Pool, content_of
from vlsbench.auditing.overlap.figures import (
    Channel,
    ContentKind,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
    summarize,
)
from vlsbench.auditing.overlap.measure import Numbers, Reader, topic_bits, without, words
from vlsbench.embed import (
    MINILM,
    CachedEmbedder,
    Clip,
    Embedder,
    Vectors,
    default_cache,
    open_embedder,
)
from vlsbench.errors import VlsbenchError
from vlsbench.language import SHORT, may_be_english
from vlsbench.pairs import Pair, PairSet

CHUNK = 1024
"""Pairs that are in memory at a time."""
SHOWN = 10
"""Most leaking pairs in a summary."""


class _Item(NamedTuple):
    """A pair with what its query is held against."""

    pair: Pair
    content: Content | None = None
    written: str = ""
    """What stands in its images."""
    foreign: bool = False

    def channels(self) -> list[tuple[Channel, str]]:
        """Return the words that naming is looked for in."""
        said = self.content.text if self.content else ""
        found = (Channel.CONTENT, said), (Channel.TYPOGRAPHIC, self.written)
        return [(channel, text) for channel, text in found if text.strip()]


def refuse_words(embedder: str, **given: object) -> None:
    """Raise `VlsbenchError` where an option is given that only embedders of texts can use."""
    if useless := [f"--{name}" for name, value in given.items() if value]:
        raise VlsbenchError(
            f"{embedder} looks at the images themselves and measures topic and ranks: "
            f"{' and '.join(useless)} cannot help it; leave it out, or take an embedder of texts"
        )


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
        self._reader = Reader(embedder)

    def vectors(self, contents: Sequence[Content]) -> tuple[Vectors, Sequence[bool]]:
        """Return contents' vectors, shape (n, d), and which could be had, shape (n,)."""
        if self._images:
            return self._images.embed(contents)
        return self._embedder.embed([one.text for one in contents]), [True] * len(contents)

    def _bits(self, queries: Vectors, contents: Vectors) -> Numbers:
        return topic_bits(queries, contents, (self._images or self._reader).background)

    def measure(self, items: Sequence[_Item], pool: Pool) -> Iterator[OverlapPair]:
        contents = {place: item.content for place, item in enumerate(items) if item.content}
        vectors, known = self.vectors([*contents.values()])
        had = {place: vectors[row] for row, place in enumerate(contents) if known[row]}
        # An empty query tells nothing: 0 bits, the middle rank.
        topics = dict.fromkeys(had, (0.0, 0.5))
        if asked := [place for place in had if words(items[place].pair.query)]:
            queries = self._embedder.embed([items[place].pair.query for place in asked])
            shown = np.stack([had[place] for place in asked])
            bits = self._bits(queries, shown)
            ranks = pool.ranks(queries, shown, [items[place].pair.cluster for place in asked])
            topics |= zip(asked, zip(bits.tolist(), ranks.tolist(), strict=True), strict=True)
        readings = self._readings(items) if self._fitted else iter(())
        for place, item in enumerate(items):
            topic, rank = topics.get(place, (None, None))
            kind = contents[place].kind if place in had else None
            yield OverlapPair(
                *facts(item.pair),
                content_kind=ContentKind.FOREIGN if item.foreign else kind,
                topic=topic,
                rank=rank,
                readings=tuple(islice(readings, len(item.channels()))),
            )

    def _readings(self, items: Sequence[_Item]) -> Iterator[Reading]:
        """Say how likely each query names what is said in each of its pair's channels."""
        assert self._fitted, "naming is calibrated"
        asked = [(item.pair.query, *channel) for item in items for channel in item.channels()]
        texts = [(query, said) for query, _, said in asked]
        rows, closest = self._reader.features(texts)
        named = _probabilities(self._fitted, texts, rows)
        for (query, channel, said), naming, phrase in zip(asked, named, closest, strict=True):
            start, end = (phrase.start, phrase.end) if phrase else (0, 0)
            yield Reading(channel, said, naming, query[start:end], start, end)

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

    def item(pair: Pair) -> _Item:
        if images:
            seen = Content(ContentKind.IMAGE, images=pair.images) if pair.images else None
            return _Item(pair, seen)
        content = content_of(pair, caption, text)
        # A few words do not tell their language.
        said = content.text if content and len(content.text.split()) > SHORT else ""
        if opened.name == MINILM and not (may_be_english(pair.query) and may_be_english(said)):
            return _Item(pair, foreign=True)
        return _Item(pair, content, text(pair) if text else "")

    with CachedEmbedder(opened, cache or default_cache()) as cached:
        images = ImageVectors(opened, cached) if isinstance(opened, Clip) else None
        measurer = _Measurer(cached, fitted, images)
        contents = ((one.pair.cluster, one.content) for one in map(item, pairs) if one.content)
        pool = Pool.of(contents, measurer.vectors)
        measured: list[OverlapPair] = []
        walked = map(item, pairs)
        while chunk := list(islice(walked, CHUNK)):
            for found in measurer.measure(chunk, pool):
                each(found)
                measured.append(found)
        named = (pair for pair in measured if pair.harmful and pair.naming is not None)
        top = nlargest(SHOWN, named, key=lambda pair: pair.naming or 0.0)
        return summarize(
            pairs,
            measured,
            opened,
            fitted,
            leaking=tuple(map(measurer.telling, top)),
            unread=images.unread if images else (),
        )


class Naming:
    """Scores queries that are being written. Belongs to the thread that made it."""

    def __init__(self, embedder: Embedder | str = "minilm", *, cache: Path | None = None) -> None:
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
