"""What stands for an image, in words or as it is, and the sample of images that ranks are among."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import compress
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap.background import QUESTIONS, empty_images
from vlsbench.auditing.overlap.figures import ContentKind
from vlsbench.auditing.overlap.measure import Nothing, Numbers
from vlsbench.embed import CachedEmbedder, Clip, Vectors
from vlsbench.pairs import Image, ImageError, Pair

POOL = 2048
"""Images of the set that a rank is taken among: all of a smaller set, else a sample."""
TIE = 1e-5
"""Similarities closer than this are equal: vectors are kept in half precision."""
BATCH = 32
"""Images whose files are in memory at a time, and of one pass through the model."""
THREADS = 4
"""That read and decode: no more images than that are in memory at full size."""

Look = Callable[[Pair], str]
Given = TypeVar("Given")
Made = TypeVar("Made")


class Content(NamedTuple):
    """What an image shows, in words, and who says so; or the image itself."""

    kind: ContentKind
    text: str = ""
    images: tuple[Image, ...] = ()


Embed = Callable[[Sequence[Content]], tuple[Vectors, Sequence[bool]]]
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
        vectors, had = embed([images[number] for number in drawn])
        known = np.array(had, np.bool_)
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


class ImageVectors:
    """Gives the vectors of pairs' images, remembered by what is in their files."""

    def __init__(self, clip: Clip, cached: CachedEmbedder) -> None:
        """Take the model, and the same model behind a cache."""
        self._clip, self._cached = clip, cached
        self.unread: set[str] = set()
        """Names (`Image.ref`) of images that cannot be read."""
        empty = self._rows(empty_images())
        self.background = Nothing(
            image=np.stack(list(empty.values())).mean(axis=0, dtype=np.float32),
            question=cached.embed(QUESTIONS).mean(axis=0),
            scale=clip.scale,
        )

    def embed(self, contents: Sequence[Content]) -> tuple[Vectors, Sequence[bool]]:
        """Return a vector for each content: of several images, their mean direction.

        Shape (contents, d), and of which all images could be read, shape (contents,).
        """
        rows = self._rows(image for content in contents for image in content.images)
        vectors = np.zeros((len(contents), len(self.background.image)), np.float32)
        whole = [all(image.ref in rows for image in content.images) for content in contents]
        for vector, content in compress(zip(vectors, contents, strict=True), whole):
            shown = [rows[image.ref] for image in content.images]
            total = np.sum(shown, axis=0, dtype=np.float32)
            vector[:] = total / np.linalg.norm(total)
        return vectors, whole

    def _rows(self, images: Iterable[Image]) -> dict[str, Vectors]:
        """Return a vector, shape (d,), for every image that can be read, by its name."""
        wanted = list({image.ref: image for image in images}.items())
        found: dict[str, Vectors] = {}
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(wanted), BATCH):
                batch = dict(wanted[start : start + BATCH])
                read = self._try(lambda image: image.read(), batch, pool)
                keys = {ref: self._key(image.sha256) for ref, image in read.items()}
                known = self._cached.known(keys.values())
                new = {ref: image for ref, image in read.items() if keys[ref] not in known}
                if pixels := self._try(self._clip.pixels, new, pool):
                    made = self._clip.embed_pixels(list(pixels.values()))
                    known |= self._cached.keep([keys[ref] for ref in pixels], made)
                found |= {ref: known[key] for ref, key in keys.items() if key in known}
        return found

    def _key(self, sha256: str) -> bytes:
        return hashlib.sha256(f"{self._clip.digest}/picture\0{sha256}".encode()).digest()[:16]

    def _try(
        self, make: Callable[[Given], Made], given: dict[str, Given], pool: ThreadPoolExecutor
    ) -> dict[str, Made]:
        """Make something of each image; those of which it cannot be made are left out."""

        def one(ref: str) -> Made | None:
            try:
                return make(given[ref])
            except ImageError:
                self.unread.add(ref)
                return None

        made = zip(given, pool.map(one, given), strict=True)
        return {ref: found for ref, found in made if found is not None}
