"""Measure A: what the queries of a benchmark tell of its pictures, from text embeddings.

No model is asked and no judgement is made; docs/overlap.md says what that can and cannot show.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing._calibration import Calibration, check_fits, shipped_for
from vlsbench.auditing._embed import (
    CachedEmbedder,
    Embedder,
    Vectors,
    default_cache,
    open_embedder,
)
from vlsbench.auditing._measure import (
    Background,
    Numbers,
    Question,
    naming_features,
    topic_bits,
)
from vlsbench.auditing._overlap_summary import Tally
from vlsbench.auditing._overlap_types import (
    Channel,
    ContentKind,
    OverlapPair,
    OverlapSummary,
    Reading,
    TellingWord,
)
from vlsbench.auditing._phrases import phrases, without, words
from vlsbench.pairs import Pair, PairSet

CHUNK = 1024
"""Pairs that are in memory at a time."""
POOL = 2048
"""Pictures of the set that a rank is taken among: all of a smaller set, else a sample."""
SHOWN = 10
"""Most leaking pairs in a summary."""
TIE = 1e-5
"""Similarities closer than this are equal: vectors are kept in half precision."""

Look = Callable[[Pair], str]


@dataclass(frozen=True, slots=True)
class Content:
    """What a picture shows, in words, and who says so."""

    kind: ContentKind
    text: str


def content_of(pair: Pair, caption: Look | None = None, text: Look | None = None) -> Content | None:
    """Return what a pair's picture shows: as the benchmark says, else a caption, else its text.

    Args:
        pair: Any pair.
        caption: Looks a caption up; see `vlsbench.auditing.captions`.
        text: Looks up the text that stands in the pictures; see `vlsbench.auditing.texts`.
    """
    said = (
        (ContentKind.DESCRIPTION, pair.description),
        # MM-SafetyBench: what was moved from the question into the picture.
        (ContentKind.KEY_PHRASE, str(pair.meta.get("Key Phrase", ""))),
        (ContentKind.CAPTION, caption(pair) if caption else ""),
        (ContentKind.TYPOGRAPHIC, text(pair) if text else ""),
        # FigStep: the sentence that its pictures show.
        (ContentKind.TYPOGRAPHIC, str(pair.meta.get("instruction", "")) if pair.images else ""),
    )
    return next((Content(kind, words) for kind, words in said if words.strip()), None)


def _number(cluster: str) -> int:
    """Name a cluster by 63 bits, which cost less than its text."""
    digest = hashlib.blake2b(cluster.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True)
class _Pool:
    """A sample of the set's pictures: those with the smallest hashes, so no order matters."""

    numbers: NDArray[np.int64]
    vectors: Vectors
    images: int
    """Distinct pictures in the whole set."""

    def ranks(self, queries: Vectors, contents: Vectors, clusters: Sequence[int]) -> Numbers:
        """Return the share of the set's pictures that fit each query as well as its own."""
        own = np.einsum("nd,nd->n", queries, contents)[:, None]
        others = queries @ self.vectors.T
        different = self.numbers[None, :] != np.array(clusters, dtype=np.int64)[:, None]
        better = ((others > own + TIE) & different).sum(axis=1)
        equal = ((np.abs(others - own) <= TIE) & different).sum(axis=1)
        seen = np.maximum(1, different.sum(axis=1))
        share = (better + equal / 2) / seen
        ranks: Numbers = (1 + share * (self.images - 1)) / self.images
        return ranks


def _pool(contents: Iterable[tuple[int, str]], embedder: Embedder) -> _Pool:
    smallest: list[tuple[int, str]] = []
    held: set[int] = set()
    images: set[int] = set()
    for number, text in contents:
        images.add(number)
        if number in held:
            continue
        if len(smallest) < POOL:
            heapq.heappush(smallest, (-number, text))
            held.add(number)
        elif -smallest[0][0] > number:
            gone, _ = heapq.heapreplace(smallest, (-number, text))
            held.discard(-gone)
            held.add(number)
    smallest.sort()
    numbers = np.array([-number for number, _ in smallest], dtype=np.int64)
    return _Pool(numbers, embedder.embed([text for _, text in smallest]), len(images))


@dataclass(frozen=True, slots=True)
class _Item:
    pair: Pair
    cluster: int
    content: Content | None
    channels: tuple[tuple[Channel, str], ...]


def _item(pair: Pair, caption: Look | None, text: Look | None) -> _Item:
    content = content_of(pair, caption, text)
    written = text(pair) if text else ""
    channels = (
        (Channel.CONTENT, content.text if content else ""),
        (Channel.REASON, pair.reason),
        (Channel.TYPOGRAPHIC, written),
    )
    kept = tuple((channel, said) for channel, said in channels if said.strip())
    return _Item(pair, _number(pair.cluster), content, kept)


class _Measurer:
    """Measures pairs a chunk at a time."""

    def __init__(self, embedder: Embedder, calibration: Calibration | None) -> None:
        """Without a calibration nothing is said about naming."""
        if calibration:
            check_fits(calibration, embedder)
        self.embedder = embedder
        self.calibration = calibration
        self.background = Background.of(embedder)

    def measure(self, items: Sequence[_Item], pool: _Pool) -> Iterator[OverlapPair]:
        found = [phrases(item.pair.query) for item in items]
        texts: dict[str, int] = {}
        for item, spans in zip(items, found, strict=True):
            for text in (
                item.pair.query,
                *(said for _, said in item.channels),
                *(span.text for span in spans),
            ):
                texts.setdefault(text, len(texts))
        vectors = self.embedder.embed(list(texts))
        topics, ranks = self._topics(items, texts, vectors, pool)
        rows: list[Numbers] = []
        closest: list[int | None] = []
        for item, spans in zip(items, found, strict=True):
            query = item.pair.query
            question = Question(
                query, vectors[texts[query]], spans, vectors[[texts[span.text] for span in spans]]
            )
            for _, said in item.channels:
                row, place = naming_features(question, said, vectors[texts[said]], self.background)
                rows.append(row)
                closest.append(place)
        named = self.calibration.probability(np.array(rows)) if self.calibration and rows else ()
        naming = iter(zip(named, closest, strict=True) if self.calibration else ())
        for item, spans, topic, rank in zip(items, found, topics, ranks, strict=True):
            readings = []
            for channel, said in item.channels if self.calibration else ():
                probability, place = next(naming)
                readings.append(_reading(item.pair.query, channel, said, probability, spans, place))
            yield OverlapPair(
                id=item.pair.id,
                category=item.pair.category,
                subcategory=item.pair.subcategory,
                harmful=item.pair.harmful,
                cluster=item.pair.cluster,
                query=item.pair.query,
                content_kind=item.content.kind if item.content else None,
                topic=topic,
                rank=rank,
                readings=tuple(readings),
            )

    def _topics(
        self, items: Sequence[_Item], texts: dict[str, int], vectors: Vectors, pool: _Pool
    ) -> tuple[list[float | None], list[float | None]]:
        """Return topic and rank; an empty query tells nothing: 0 bits, and the middle rank."""
        topics: list[float | None] = [None] * len(items)
        ranks: list[float | None] = [None] * len(items)
        asked = []
        for place, item in enumerate(items):
            if item.content and words(item.pair.query):
                asked.append(place)
            elif item.content:
                topics[place], ranks[place] = 0.0, 0.5
        if not asked:
            return topics, ranks
        queries = vectors[[texts[items[place].pair.query] for place in asked]]
        contents = vectors[[texts[c.text] for p in asked if (c := items[p].content)]]
        bits = topic_bits(queries, contents, self.background)
        shares = pool.ranks(queries, contents, [items[place].cluster for place in asked])
        for place, bit, share in zip(asked, bits, shares, strict=True):
            topics[place], ranks[place] = float(bit), float(share)
        return topics, ranks

    def telling(self, pair: OverlapPair) -> tuple[TellingWord, ...]:
        """Leave out one word of the query at a time and see what the topic loses."""
        reading = pair.reading(Channel.CONTENT)
        found = words(pair.query)
        if reading is None or not found:
            return ()
        shorter = [without(pair.query, word) for word in found]
        vectors = self.embedder.embed([pair.query, *shorter, reading.text])
        contents = np.broadcast_to(vectors[-1], vectors[:-1].shape)
        bits = topic_bits(vectors[:-1], contents, self.background)
        told = [
            TellingWord(word.text, word.start, word.end, float(bits[0] - left))
            for word, left in zip(found, bits[1:], strict=True)
        ]
        return tuple(sorted(told, key=lambda word: -word.bits))


def _reading(
    query: str,
    channel: Channel,
    said: str,
    probability: float,
    spans: Sequence[tuple[str, int, int]],
    place: int | None,
) -> Reading:
    if not words(query):
        probability = 0.0
    if place is None:
        return Reading(channel, said, float(probability), "", 0, 0)
    _, start, end = spans[place]
    return Reading(channel, said, float(probability), query[start:end], start, end)


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
    """Measure how much the queries of a benchmark tell of its pictures.

    Walks the set twice and holds a bounded number of pairs, so that sets of any size can be
    measured; time is linear. Vectors are kept, so a second audit needs no model.

    Args:
        pairs: An opened benchmark; pairs of which nothing says what they show are counted, and
            left out of every figure.
        embedder: An embedder, `minilm`, or `NAME@http://host:port/v1`.
        cache: File that vectors are kept in; by default one in the user's cache.
        calibration: Numbers fitted for this embedder; by default those shipped, for MiniLM. For
            another embedder without any, topic and ranks are all that is measured.
        caption: Looks up what a picture shows, for pairs without a description.
        text: Looks up the text that stands in a picture.
        each: Is given every pair as it is measured, in the order of the set.

    Raises:
        MissingExtra: MiniLM is needed and its libraries are not installed.
        VlsbenchError: The embedder cannot be used, or the numbers given were fitted for another.
    """
    opened = open_embedder(embedder) if isinstance(embedder, str) else embedder
    calibration = calibration or shipped_for(opened)
    with CachedEmbedder(opened, cache or default_cache()) as cached:
        measurer = _Measurer(cached, calibration)

        def items() -> Iterator[_Item]:
            return (_item(pair, caption, text) for pair in pairs)

        pool = _pool(((i.cluster, i.content.text) for i in items() if i.content), cached)
        tally = Tally(calibration, looked_for_text=text is not None)
        top: list[tuple[float, int, OverlapPair]] = []
        for number, (item, found) in enumerate(_measured(items(), measurer, pool)):
            each(found)
            tally.add(found, item.cluster)
            if found.naming is not None:
                entry = (found.naming, -number, found)
                (heapq.heappush if len(top) < SHOWN else heapq.heappushpop)(top, entry)
        leaking = tuple(
            replace(found, words=measurer.telling(found))
            for _, _, found in sorted(top, key=lambda entry: (-entry[0], -entry[1]))
        )
    return tally.summary(pairs, opened, leaking)


def _measured(
    items: Iterator[_Item], measurer: _Measurer, pool: _Pool
) -> Iterator[tuple[_Item, OverlapPair]]:
    while chunk := list(islice(items, CHUNK)):
        yield from zip(chunk, measurer.measure(chunk, pool), strict=True)


def telling_words(
    pairs: Iterable[OverlapPair],
    *,
    embedder: Embedder | str = "minilm",
    cache: Path | None = None,
    calibration: Calibration | None = None,
) -> Iterator[OverlapPair]:
    """Yield measured pairs with the words of their queries that carry the topic (drop-one).

    Args:
        pairs: As `overlap` gave them to `each`.
        embedder: As for `overlap`.
        cache: As for `overlap`.
        calibration: As for `overlap`.
    """
    opened = open_embedder(embedder) if isinstance(embedder, str) else embedder
    with CachedEmbedder(opened, cache or default_cache()) as cached:
        measurer = _Measurer(cached, calibration or shipped_for(opened))
        for pair in pairs:
            yield replace(pair, words=measurer.telling(pair))
