"""Near-duplicates: what makes two texts or two images alike, and where something like it stands.

The barriers of a build and the look at training data search with the same parts. Vectors and
hashes are searched by `usearch`; runs of words are counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlsbench.pairs import ImageData, decode

HASH_SIDE = 8
HASH_BITS = HASH_SIDE * HASH_SIDE
RUN = 3
"""Words of a run that two texts can share."""

Bits = NDArray[np.float32]
"""Shape (64,), each -1 or 1."""


def normalised(text: str) -> str:
    """Return a text without case, punctuation and spacing."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def difference_hash(data: bytes) -> Bits:
    """Return the 64-bit difference hash of an image.

    Grey, 9 by 8 pixels; a bit says whether a pixel is brighter than its left neighbour. Source:
    N. Krawetz, "Kind of Like That", hackerfactor.com, 2013.
    """
    from PIL import Image

    whole = decode(data, "to compare").convert("L")
    small = whole.resize((HASH_SIDE + 1, HASH_SIDE), Image.Resampling.LANCZOS)
    grey = np.asarray(small, dtype=np.int16)
    bits: Bits = np.where(grey[:, 1:] > grey[:, :-1], 1, -1).astype(np.float32).ravel()
    return bits


def differing(one: Bits, other: Bits) -> int:
    """Count the bits in which two hashes differ."""
    return round((HASH_BITS - float(one @ other)) / 2)


@dataclass(frozen=True, slots=True)
class Near:
    """The nearest of what was added."""

    place: int
    """Its number, in the order of adding."""
    similarity: float
    """1 where they are the same."""


class VectorIndex:
    """Vectors by cosine, numbered in the order of adding."""

    def __init__(self) -> None:
        """Begin with none."""
        self._index: Any = None

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Add vectors, shape (n, d)."""
        if self._index is None:
            from usearch.index import Index

            self._index = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
        first = len(self._index)
        self._index.add(np.arange(first, first + len(vectors)), vectors, threads=1)

    def nearest(self, vector: NDArray[np.float32], count: int = 1) -> list[tuple[int, float]]:
        """Return the places and distances of the nearest vectors, nearest first."""
        if self._index is None:
            return []
        found = self._index.search(vector, count)
        return [(int(k), float(d)) for k, d in zip(found.keys, found.distances, strict=True)]


class TextIndex:
    """Texts that can be found by the same words, by meaning, and by shared runs of words."""

    def __init__(self, *, cosine: float | None = None, jaccard: float | None = None) -> None:
        """Choose what counts as near besides the same words.

        Args:
            cosine: Least cosine of two embeddings; None compares none.
            jaccard: Least Jaccard similarity of the runs of three words (shingles; Broder 1997);
                None compares none.
        """
        self._cosine = cosine
        self._jaccard = jaccard
        self._count = 0
        self._places: dict[str, int] = {}
        self._vectors = VectorIndex()
        self._runs: dict[str, list[int]] = {}
        self._runs_of: dict[int, int] = {}

    def add(self, texts: Sequence[str], vectors: NDArray[np.float32] | None = None) -> None:
        """Add texts, with their unit vectors where they are to be found by meaning."""
        for place, text in enumerate(texts, self._count):
            words = normalised(text)
            if words and words not in self._places:
                self._places[words] = place
                runs = _runs(words) if self._jaccard is not None else ()
                self._runs_of[place] = len(runs)
                for run in runs:
                    self._runs.setdefault(run, []).append(place)
        self._count += len(texts)
        if vectors is not None and self._cosine is not None:
            self._vectors.add(vectors)

    def find(self, text: str, vector: NDArray[np.float32] | None = None) -> Near | None:
        """Return the nearest text that counts as near; None where none does."""
        words = normalised(text)
        if words in self._places:
            return Near(self._places[words], 1.0)
        if vector is not None and self._cosine is not None:
            for place, distance in self._vectors.nearest(vector):
                if 1 - distance >= self._cosine:
                    return Near(place, 1 - distance)
        if not words or self._jaccard is None:
            return None
        runs = _runs(words)
        shared = Counter(place for run in runs for place in self._runs.get(run, ()))
        near = (
            Near(place, both / (len(runs) + self._runs_of[place] - both))
            for place, both in shared.items()
        )
        best = max(near, key=lambda one: (one.similarity, one.place), default=None)
        return best if best and best.similarity >= self._jaccard else None


class ImageIndex:
    """Images that can be found by the same bytes, and by difference hash."""

    def __init__(self, bits: int = -1) -> None:
        """Choose the largest difference of two hashes; -1 compares bytes alone."""
        self._bits = bits
        self._places: dict[str, int] = {}
        self._hashes = VectorIndex()

    def __len__(self) -> int:
        return len(self._places)

    def add(self, image: ImageData, place: int = 0) -> None:
        """Add an image, with a number of the caller's.

        Raises:
            ImageError: It cannot be decoded, where hashes are compared.
        """
        if image.sha256 not in self._places:
            if self._bits >= 0:
                self._hashes.add(difference_hash(image.data)[np.newaxis])
            self._places[image.sha256] = place

    def find(self, sha256: str, data: Callable[[], bytes] = bytes) -> int | None:
        """Return the number of an image that is like this one; None where none is.

        Args:
            sha256: Digest of its bytes.
            data: Reads its bytes; called only where hashes are compared.
        """
        if sha256 in self._places or self._bits < 0 or not self._places:
            return self._places.get(sha256)
        for at, distance in self._hashes.nearest(difference_hash(data())):
            # The cosine of two hashes is 1 less the share of bits in which they differ, twice.
            if round(distance * HASH_BITS / 2) <= self._bits:
                return next(islice(self._places.values(), at, None))
        return None


def _runs(words: str) -> frozenset[str]:
    """Return the runs of three words; a shorter text is one run."""
    split = words.split()
    count = max(1, len(split) - RUN + 1)
    return frozenset(" ".join(split[at : at + RUN]) for at in range(count))
