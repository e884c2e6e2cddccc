"""What stands for an image, and the sample of a set's images that ranks are taken among."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap._figures import ContentKind
from vlsbench.auditing.overlap.measure import Numbers
from vlsbench.embed import Vectors
from vlsbench.pairs import Image, Pair

POOL = 2048
"""Images of the set that a rank is taken among: all of a smaller set, else a sample."""
TIE = 1e-5
"""Similarities closer than this are equal: vectors are kept in half precision."""

Look = Callable[[Pair], str]


@dataclass(frozen=True, slots=True)
class Content:
    """What an image shows, in words, and who says so; or the image itself."""

    kind: ContentKind
    text: str = ""
    images: tuple[Image, ...] = ()


Embed = Callable[[Sequence[Content]], tuple[Vectors, NDArray[np.bool_]]]
"""Gives contents' vectors, shape (n, d), and which of them could be had, shape (n,)."""


def content_of(pair: Pair, caption: Look | None = None, text: Look | None = None) -> Content | None:
    """Return what a pair's image shows: as the benchmark says, else a caption, else its text.

    `caption` and `text` look up a caption, and what is written in the images.
    """
    said = (
        (ContentKind.DESCRIPTION, pair.description),
        # MM-SafetyBench: what was moved from the question into the image.
        (ContentKind.KEY_PHRASE, str(pair.meta.get("Key Phrase", ""))),
        (ContentKind.CAPTION, caption(pair) if caption else ""),
        (ContentKind.TYPOGRAPHIC, text(pair) if text else ""),
        # FigStep: the sentence that its images show.
        (ContentKind.TYPOGRAPHIC, str(pair.meta.get("instruction", "")) if pair.images else ""),
    )
    return next((Content(kind, words) for kind, words in said if words.strip()), None)


def _number_of(cluster: str) -> int:
    """Name a cluster by 63 bits."""
    digest = hashlib.blake2b(cluster.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


@dataclass(frozen=True)
class Pool:
    """A sample of the set's images: those with the smallest hashes, so no order matters."""

    numbers: NDArray[np.int64]
    vectors: Vectors
    images: int
    """Distinct images in the whole set."""

    @classmethod
    def of(cls, contents: Iterable[tuple[str, Content]], embed: Embed) -> Pool:
        """Draw the sample from all contents of a set, each with its cluster."""
        images: dict[int, Content] = {}
        for cluster, content in contents:
            images.setdefault(_number_of(cluster), content)
        drawn = sorted(images)[:POOL]
        vectors, known = embed([images[number] for number in drawn])
        return cls(np.array(drawn, dtype=np.int64)[known], vectors[known], len(images))

    def ranks(self, queries: Vectors, contents: Vectors, clusters: Sequence[str]) -> Numbers:
        """Return the share of the set's images that fit each query as well as its own."""
        own = np.einsum("nd,nd->n", queries, contents)[:, None]
        others = queries @ self.vectors.T
        numbers = np.array([_number_of(cluster) for cluster in clusters], dtype=np.int64)
        different = self.numbers[None, :] != numbers[:, None]
        better = ((others > own + TIE) & different).sum(axis=1)
        equal = ((np.abs(others - own) <= TIE) & different).sum(axis=1)
        seen = np.maximum(1, different.sum(axis=1))
        share = (better + equal / 2) / seen
        return np.asarray((1 + share * (self.images - 1)) / self.images)
