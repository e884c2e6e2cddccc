"""Barrier *contamination*: pairs whose query or picture stands in another benchmark.

Drops name the benchmark: `contaminated:figstep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlsbench.building._items import Item
from vlsbench.building._kept import picture_of
from vlsbench.building._near_duplicates import CHUNK, Embed
from vlsbench.building._recipe import Contamination
from vlsbench.embed._alike import HASH_BITS, difference_hash, normalised
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import ImageError, PairSet

NAME = "contamination"


class _Other:
    """The queries and pictures of one benchmark."""

    def __init__(self, pairs: PairSet, settings: Contamination, embed: Embed | None) -> None:
        from usearch.index import Index

        self.name = pairs.name
        self._settings = settings
        self._queries: set[str] = set()
        self._digests: set[str] = set()
        self._meanings: Any = None
        self._pictures = Index(ndim=HASH_BITS, metric="hamming", dtype="b1")
        walk = iter(pairs)
        while chunk := list(islice(walk, CHUNK)):
            self._queries.update(normalised(pair.query) for pair in chunk)
            if embed is not None:
                vectors = embed([pair.query for pair in chunk])
                if self._meanings is None:
                    self._meanings = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
                first = len(self._meanings)
                self._meanings.add(np.arange(first, first + len(chunk)), vectors, threads=1)
            if settings.bits >= 0:
                for pair in chunk:
                    for image in pair.images:
                        self._add_picture(image)

    def _add_picture(self, image: Any) -> None:
        try:
            data = image.read()
            if data.sha256 in self._digests:
                return
            bits = difference_hash(data.data)
        except (ImageError, OSError, VlsbenchError):
            return  # a picture that cannot be read is like none of ours
        self._digests.add(data.sha256)
        self._pictures.add(len(self._pictures), _packed(bits), threads=1)

    def holds(self, item: Item, vector: NDArray[np.float32] | None, run: Path) -> bool:
        """Tell whether the query or the picture stands here too."""
        if normalised(item.query) in self._queries:
            return True
        if vector is not None and self._meanings is not None:
            found = self._meanings.search(vector, 1)
            # Cosine distance.
            if len(found) and 1 - float(found.distances[0]) >= (self._settings.similarity or 0):
                return True
        if self._settings.bits < 0 or not len(self._pictures):
            return False
        if item.image in self._digests:
            return True
        bits = difference_hash(picture_of(run, item.image).data)
        found = self._pictures.search(_packed(bits), 1)
        return bool(len(found)) and float(found.distances[0]) <= self._settings.bits


def _packed(bits: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.packbits(bits > 0)


def contaminated(
    items: Iterable[tuple[str, Item]],
    settings: Contamination,
    others: Sequence[PairSet],
    embed: Embed | None,
    run: Path,
) -> Iterator[tuple[str, str | None]]:
    """Say of each pair which benchmark holds its query or picture.

    Args:
        items: Id and pair, in the order of the ids.
        settings: What counts as the same.
        others: The opened benchmarks.
        embed: Texts → unit vectors, shape (n, d); None compares normalised texts.
        run: The folder with the pictures.

    Yields:
        Id, and the benchmark's name; None where none holds it.
    """
    known = [_Other(pairs, settings, embed) for pairs in others]
    walk = iter(items)
    while chunk := list(islice(walk, CHUNK)):
        vectors: Iterable[NDArray[np.float32] | None] = [None] * len(chunk)
        if embed is not None and known:
            vectors = embed([item.query for _, item in chunk])
        for (name, item), vector in zip(chunk, vectors, strict=True):
            yield name, next((o.name for o in known if o.holds(item, vector, run)), None)
