"""Measure A: what the queries of a benchmark tell of its images, from embeddings.

No model is asked and no judgement is made; docs/overlap.md says what that can and cannot show.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap._calibration import Calibration, check_fits, shipped_for
from vlsbench.auditing.overlap._contents import Content, Look, Pool, content_of, number_of
from vlsbench.auditing.overlap._embed_pictures import Pictures, refuse_words
from vlsbench.auditing.overlap._figures import (
    Channel,
    ContentKind,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
)
from vlsbench.auditing.overlap._measure import (
    Background,
    Nothing,
    Reader,
    topic_bits,
)
from vlsbench.auditing.overlap._naming import read_probabilities
from vlsbench.auditing.overlap._phrases import Phrase, without, words
from vlsbench.auditing.overlap._summary import Tally
from vlsbench.embed._clip import Clip
from vlsbench.embed._text import (
    MINILM,
    CachedEmbedder,
    Embedder,
    Vectors,
    default_cache,
    open_embedder,
)
from vlsbench.language import SHORT, may_be_english
from vlsbench.pairs import Image, Pair, PairSet

CHUNK = 1024
"""Pairs that are in memory at a time."""
SHOWN = 10
"""Most leaking pairs in a summary."""


@dataclass(frozen=True, slots=True)
class _Item:
    pair: Pair
    cluster: int
    content: Content | None
    channels: tuple[tuple[Channel, str], ...]
    foreign: bool = False
    """Whether the query or what is said of its image is in a language that the embedder does not
    know: nothing is measured."""

    @property
    def written(self) -> bool:
        """Whether text was found in its images."""
        return any(channel is Channel.TYPOGRAPHIC for channel, _ in self.channels)


def _item(pair: Pair, caption: Look | None, text: Look | None) -> _Item:
    content = content_of(pair, caption, text)
    written = text(pair) if text else ""
    channels = (
        (Channel.CONTENT, content.text if content else ""),
        (Channel.TYPOGRAPHIC, written),
    )
    kept = tuple((channel, said) for channel, said in channels if said.strip())
    return _Item(pair, number_of(pair.cluster), content, kept)


def _foreign(item: _Item) -> bool:
    """Tell whether the query or its content is not in English; a few words do not tell."""
    content = item.content.text if item.content else ""
    sentence = content if len(content.split()) > SHORT else ""
    return not (may_be_english(item.pair.query) and may_be_english(sentence))


def _item_foreign(pair: Pair) -> _Item:
    return _Item(pair, number_of(pair.cluster), None, (), foreign=True)


def _item_seen(pair: Pair) -> _Item:
    content = Content(ContentKind.PICTURE, images=pair.images) if pair.images else None
    return _Item(pair, number_of(pair.cluster), content, ())


class _Measurer:
    """Measures pairs a chunk at a time."""

    def __init__(
        self,
        embedder: CachedEmbedder,
        calibration: Calibration | None,
        pictures: Pictures | None,
    ) -> None:
        """Take what turns texts and images into vectors.

        Args:
            embedder: Of queries, and of the words for images.
            calibration: Without it nothing is said about naming.
            images: Of the images themselves, where the embedder sees them.
        """
        if calibration:
            check_fits(calibration, embedder)
        self.embedder = embedder
        self.calibration = calibration
        self.pictures = pictures
        self.background: Background | Nothing = (
            pictures.background if pictures else Background.of(embedder)
        )

    def vectors(self, contents: Sequence[Content]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return contents' vectors, shape (n, d), and which could be had, shape (n,)."""
        if self.pictures:
            return self.pictures.embed([content.images for content in contents])
        texts = self.embedder.embed([content.text for content in contents])
        return texts, np.ones(len(contents), np.bool_)

    def measure(self, items: Sequence[_Item], pool: Pool) -> Iterator[OverlapPair]:
        contents = [(place, item.content) for place, item in enumerate(items) if item.content]
        vectors, known = self.vectors([content for _, content in contents])
        had = {
            place: (content, vector)
            for (place, content), vector, there in zip(contents, vectors, known, strict=True)
            if there
        }
        topics = self._topics(items, {place: vector for place, (_, vector) in had.items()}, pool)
        readings = self._readings(items)
        for place, item in enumerate(items):
            topic, rank = topics.get(place, (None, None))
            yield OverlapPair(
                id=item.pair.id,
                category=item.pair.category,
                subcategory=item.pair.subcategory,
                harmful=item.pair.harmful,
                cluster=item.pair.cluster,
                query=item.pair.query,
                content_kind=had[place][0].kind if place in had else None,
                topic=topic,
                rank=rank,
                readings=tuple(readings[place]),
            )

    def _topics(
        self, items: Sequence[_Item], contents: Mapping[int, Vectors], pool: Pool
    ) -> Mapping[int, tuple[float, float]]:
        """Return topic and rank by place; an empty query tells nothing: 0 bits, the middle rank."""
        asked = [place for place in contents if words(items[place].pair.query)]
        found = dict.fromkeys(contents, (0.0, 0.5))
        if asked:
            queries = self.embedder.embed([items[place].pair.query for place in asked])
            shown = np.stack([contents[place] for place in asked])
            bits = topic_bits(queries, shown, self.background)
            shares = pool.ranks(queries, shown, [items[place].cluster for place in asked])
            for place, bit, share in zip(asked, bits, shares, strict=True):
                found[place] = float(bit), float(share)
        return found

    def _readings(self, items: Sequence[_Item]) -> Sequence[Sequence[Reading]]:
        """Say how likely each query names what is said in each of its pair's channels."""
        background = self.background
        if not self.calibration or not isinstance(background, Background):
            return [()] * len(items)
        asked = [(item.pair.query, said) for item in items for _, said in item.channels]
        rows, closest = Reader(self.embedder, background).features(asked)
        named = iter(zip(read_probabilities(self.calibration, asked, rows), closest, strict=True))
        return [
            [
                _reading(item.pair.query, channel, said, *next(named))
                for channel, said in item.channels
            ]
            for item in items
        ]

    def telling(self, pair: OverlapPair, content: Content | None) -> tuple[TellingWord, ...]:
        """Leave out one word of the query at a time and see what the topic loses."""
        found = words(pair.query)
        if content is None or not found:
            return ()
        shown, known = self.vectors([content])
        if not known[0]:
            return ()
        shorter = [without(pair.query, word) for word in found]
        vectors = self.embedder.embed([pair.query, *shorter])
        bits = topic_bits(vectors, np.broadcast_to(shown, vectors.shape), self.background)
        told = [
            TellingWord(word.text, word.start, word.end, float(bits[0] - left))
            for word, left in zip(found, bits[1:], strict=True)
        ]
        return tuple(sorted(told, key=lambda word: -word.bits))


def _reading(
    query: str, channel: Channel, said: str, naming: float, phrase: Phrase | None
) -> Reading:
    start, end = (phrase.start, phrase.end) if phrase else (0, 0)
    return Reading(channel, said, naming, query[start:end], start, end)


def _said(pair: OverlapPair) -> Content | None:
    """Return the words that a pair's naming was read against."""
    reading = pair.reading(Channel.CONTENT)
    return Content(pair.content_kind, reading.text) if reading and pair.content_kind else None


@contextmanager
def _measuring(
    embedder: Embedder, cache: Path | None, calibration: Calibration | None
) -> Iterator[_Measurer]:
    with CachedEmbedder(embedder, cache or default_cache()) as cached:
        pictures = Pictures(embedder, cached) if isinstance(embedder, Clip) else None
        yield _Measurer(cached, calibration or shipped_for(embedder), pictures)


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

    Walks the set twice and holds a bounded number of pairs, so that sets of any size can be
    measured; time is linear. Vectors are kept, so a second audit needs no model.

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
    with _measuring(opened, cache, calibration) as measurer:
        pictures = measurer.pictures

        def items() -> Iterator[_Item]:
            for pair in pairs:
                if pictures:
                    yield _item_seen(pair)
                    continue
                item = _item(pair, caption, text)
                yield _item_foreign(pair) if opened.name == MINILM and _foreign(item) else item

        pool = Pool.of(((i.cluster, i.content) for i in items() if i.content), measurer.vectors)
        tally = Tally(measurer.calibration, looked_for_text=text is not None)
        top: list[tuple[float, int, OverlapPair]] = []
        for number, (item, found) in enumerate(_measured(items(), measurer, pool)):
            each(found)
            tally.add(found, item.cluster, written=item.written, foreign=item.foreign)
            if found.naming is not None and found.harmful:
                entry = (found.naming, -number, found)
                (heapq.heappush if len(top) < SHOWN else heapq.heappushpop)(top, entry)
        leaking = tuple(
            replace(found, words=measurer.telling(found, _said(found)))
            for _, _, found in sorted(top, key=lambda entry: (-entry[0], -entry[1]))
        )
        unread = pictures.unread if pictures else ()
    return tally.summary(pairs, opened, leaking, unread=unread)


def _measured(
    items: Iterator[_Item], measurer: _Measurer, pool: Pool
) -> Iterator[tuple[_Item, OverlapPair]]:
    while chunk := list(islice(items, CHUNK)):
        yield from zip(chunk, measurer.measure(chunk, pool), strict=True)


def telling_words(
    pairs: Iterable[OverlapPair],
    *,
    embedder: Embedder | str = "minilm",
    cache: Path | None = None,
    calibration: Calibration | None = None,
    images: Callable[[OverlapPair], Sequence[Image]] = lambda pair: (),
) -> Iterator[OverlapPair]:
    """Yield measured pairs with the words of their queries that carry the topic (drop-one).

    Args:
        pairs: As `overlap` gave them to `each`.
        embedder: As for `overlap`.
        cache: As for `overlap`.
        calibration: As for `overlap`.
        images: Looks up a pair's images, for an embedder that sees them.
    """
    opened = open_embedder(embedder)
    with _measuring(opened, cache, calibration) as measurer:
        for pair in pairs:
            seen = Content(ContentKind.PICTURE, images=tuple(images(pair)))
            yield replace(
                pair, words=measurer.telling(pair, seen if measurer.pictures else _said(pair))
            )
