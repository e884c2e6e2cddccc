"""Barrier *near_duplicates*: of pairs that are too much alike the first, by id, is kept.

Alike are pairs whose queries and whose pictures are both alike; two questions about one picture,
or one question about two, are two pairs. Compared with survivors alone, in the order of the ids,
so that what survives does not depend on scheduling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlsbench.building._items import Item
from vlsbench.building._kept import picture_of
from vlsbench.building._recipe import NearDuplicates
from vlsbench.embed._alike import HASH_BITS, Bits, difference_hash, differing, normalised

NAME = "near_duplicates"
CHUNK = 256
"""Queries embedded at a time."""
NEIGHBOURS = 16
"""Survivors looked at closely; few can lie so near each other without being duplicates."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class _ByWords:
    """Survivors by their queries' words: those with the same words are compared one by one."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._bits = settings.bits
        self._known: dict[str, list[tuple[int, str]]] = {}

    def twin(self, query: str, bits: Bits) -> str | None:
        """Return the id of the first survivor that is alike."""
        number = _number(bits)
        return next(
            (
                name
                for other, name in self._known.get(query, ())
                if (number ^ other).bit_count() <= self._bits
            ),
            None,
        )

    def add(self, name: str, query: str, bits: Bits) -> None:
        """Take a survivor in."""
        self._known.setdefault(query, []).append((_number(bits), name))


class _ByMeaning:
    """Survivors by the meaning of their queries, and picture, together."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._bits = settings.bits
        self._least = settings.similarity or 0.0
        self._ids: list[str] = []
        self._hashes: list[Bits] = []
        self._vectors: list[NDArray[np.float32]] = []
        self._index: Any = None

    def twin(self, vector: NDArray[np.float32], bits: Bits) -> str | None:
        """Return the id of the first survivor that is alike."""
        if self._index is None:
            return None
        found = self._index.search(_joint(vector, bits), NEIGHBOURS)
        for place in sorted(int(key) for key in found.keys):
            near = float(vector @ self._vectors[place]) >= self._least
            if near and differing(bits, self._hashes[place]) <= self._bits:
                return self._ids[place]
        return None

    def add(self, name: str, vector: NDArray[np.float32], bits: Bits) -> None:
        """Take a survivor in."""
        joint = _joint(vector, bits)
        if self._index is None:
            from usearch.index import Index

            self._index = Index(ndim=len(joint), metric="cos", dtype="f32")
        self._index.add(len(self._ids), joint, threads=1)
        self._ids.append(name)
        self._hashes.append(bits)
        self._vectors.append(vector)


def _number(bits: Bits) -> int:
    return int.from_bytes(np.packbits(bits > 0).tobytes())


def _joint(vector: NDArray[np.float32], bits: Bits) -> NDArray[np.float32]:
    """Put query and picture into one vector: its cosine is the mean of the two similarities."""
    return np.concatenate([vector, bits / np.float32(np.sqrt(HASH_BITS))])


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
        run: The folder with the pictures.

    Yields:
        Id, and the id of the survivor that it repeats; None where it survives itself.
    """
    by_words, by_meaning = _ByWords(settings), _ByMeaning(settings)
    walk = iter(items)
    while chunk := list(islice(walk, CHUNK)):
        vectors: Iterable[NDArray[np.float32] | None] = [None] * len(chunk)
        if embed is not None:
            vectors = embed([item.query for _, item in chunk])
        for (name, item), vector in zip(chunk, vectors, strict=True):
            bits = difference_hash(picture_of(run, item.image).data)
            if vector is None:
                query = normalised(item.query)
                twin = by_words.twin(query, bits)
                if twin is None:
                    by_words.add(name, query, bits)
            else:
                twin = by_meaning.twin(vector, bits)
                if twin is None:
                    by_meaning.add(name, vector, bits)
            yield name, twin
