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

from vlsbench.building._alike import HASH_BITS, Bits, difference_hash, differing, normalised
from vlsbench.building._items import Item
from vlsbench.building._kept import picture_of
from vlsbench.building._recipe import NearDuplicates

NAME = "near_duplicates"
CHUNK = 256
"""Queries embedded at a time."""
NEIGHBOURS = 16
"""Survivors looked at closely; few can lie so near each other without being duplicates."""

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class _Survivors:
    """Who survived so far, by query and picture together."""

    def __init__(self, settings: NearDuplicates) -> None:
        self._settings = settings
        self._ids: list[str] = []
        self._hashes: list[Bits] = []
        self._vectors: list[NDArray[np.float32] | None] = []
        self._indices: dict[str, Any] = {}
        """One for all where queries have vectors, else one for each query."""

    def twin(self, query: str, vector: NDArray[np.float32] | None, bits: Bits) -> str | None:
        """Return the id of the first survivor that is alike."""
        index = self._indices.get(query if vector is None else "")
        if index is None:
            return None
        found = index.search(_joint(vector, bits), NEIGHBOURS)
        for place in sorted(int(key) for key in found.keys):
            other = self._vectors[place]
            near = vector is None or other is None or float(vector @ other) >= self._least
            if near and differing(bits, self._hashes[place]) <= self._settings.bits:
                return self._ids[place]
        return None

    @property
    def _least(self) -> float:
        return self._settings.similarity or 0.0

    def add(self, name: str, query: str, vector: NDArray[np.float32] | None, bits: Bits) -> None:
        """Take a survivor in."""
        from usearch.index import Index

        joint = _joint(vector, bits)
        key = query if vector is None else ""
        if key not in self._indices:
            self._indices[key] = Index(ndim=len(joint), metric="cos", dtype="f32")
        self._indices[key].add(len(self._ids), joint, threads=1)
        self._ids.append(name)
        self._hashes.append(bits)
        self._vectors.append(vector)


def _joint(vector: NDArray[np.float32] | None, bits: Bits) -> NDArray[np.float32]:
    """Put query and picture into one vector: its cosine is the mean of the two similarities."""
    scaled = bits / np.float32(np.sqrt(HASH_BITS))
    return scaled if vector is None else np.concatenate([vector, scaled])


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
    survivors = _Survivors(settings)
    walk = iter(items)
    while chunk := list(islice(walk, CHUNK)):
        vectors: Iterable[NDArray[np.float32] | None] = [None] * len(chunk)
        if embed is not None:
            vectors = embed([item.query for _, item in chunk])
        for (name, item), vector in zip(chunk, vectors, strict=True):
            query = normalised(item.query)
            bits = difference_hash(picture_of(run, item.image).data)
            twin = survivors.twin(query, vector, bits)
            if twin is None:
                survivors.add(name, query, vector, bits)
            yield name, twin
