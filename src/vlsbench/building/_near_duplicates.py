"""Barrier *near_duplicates*: of pairs that are too much alike the first, by id, is kept.

Alike are pairs whose queries and whose images are both alike; two questions about one image, or
one question about two, are two pairs. Compared with survivors alone, in the order of the ids, so
that what survives does not depend on scheduling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlsbench.building._items import Item
from vlsbench.building._kept import picture_of
from vlsbench.building._recipe import NearDuplicates
from vlsbench.embed import HASH_BITS, Bits, VectorIndex, difference_hash, differing, normalised

NAME = "near_duplicates"
CHUNK = 256
"""Queries embedded at a time."""
NEIGHBOURS = 16
"""Survivors looked at closely; few can lie so near each other without being duplicates."""

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vector]


class _Survivors:
    """Pairs that were kept, found by query and image together."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._least = settings.similarity or 0.0
        self._bits = settings.bits
        self._kept: list[tuple[str, Bits, Vector | None]] = []
        self._by_words: dict[str, list[int]] = {}
        self._by_meaning = VectorIndex("cos")

    def twin(self, query: str, vector: Vector | None, bits: Bits) -> str | None:
        """Return the id of the first survivor that is alike."""
        if vector is None:
            places = self._by_words.get(normalised(query), [])
        else:
            found = self._by_meaning.nearest(_joint(vector, bits), NEIGHBOURS)
            places = sorted(place for place, _ in found)
        for place in places:
            name, other_bits, other = self._kept[place]
            meant = vector is None or other is None or float(vector @ other) >= self._least
            if meant and differing(bits, other_bits) <= self._bits:
                return name
        return None

    def add(self, name: str, query: str, vector: Vector | None, bits: Bits) -> None:
        """Take a survivor in."""
        if vector is None:
            self._by_words.setdefault(normalised(query), []).append(len(self._kept))
        else:
            self._by_meaning.add(_joint(vector, bits)[np.newaxis])
        self._kept.append((name, bits.astype(np.int8), vector))


def _joint(vector: Vector, bits: Bits) -> Vector:
    """Put query and image into one vector: its cosine is the mean of the two similarities."""
    return np.concatenate([vector, bits / np.float32(np.sqrt(HASH_BITS))])


def embedded(
    items: Iterable[tuple[str, Item]], embed: Embed | None
) -> Iterator[tuple[str, Item, Vector | None]]:
    """Give every pair the vector of its query; None where nothing embeds."""
    walk = iter(items)
    while chunk := list(islice(walk, CHUNK)):
        vectors = embed([item.query for _, item in chunk]) if embed else [None] * len(chunk)
        for (name, item), vector in zip(chunk, vectors, strict=True):
            yield name, item, vector


def near_duplicates(
    items: Iterable[tuple[str, Item]],
    settings: NearDuplicates,
    embed: Embed | None,
    run: Path,
) -> Iterator[tuple[str, str | None]]:
    """Say of each pair which earlier survivor it is too much like.

    Args:
        items: Id and pair, in the order of the ids.
        settings: What counts as alike.
        embed: Texts → unit vectors, shape (n, d); None compares normalised texts.
        run: The folder with the images.

    Yields:
        Id, and the id of the survivor that it repeats; None where it survives itself.
    """
    survivors = _Survivors(settings)
    for name, item, vector in embedded(items, embed):
        bits = difference_hash(picture_of(run, item.image).data)
        twin = survivors.twin(item.query, vector, bits)
        if twin is None:
            survivors.add(name, item.query, vector, bits)
        yield name, twin
