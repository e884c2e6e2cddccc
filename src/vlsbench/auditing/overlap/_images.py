"""Pairs' images to vectors: read a few at a time, and remembered by what is in their files."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap.background import QUESTIONS, empty_images
from vlsbench.auditing.overlap.measure import Nothing
from vlsbench.embed import CachedEmbedder, Clip, Vectors
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Image, ImageError

BATCH = 32
"""Images whose files are in memory at a time, and of one pass through the model."""
THREADS = 4
"""That read and decode: no more images than that are in memory at full size."""

Given = TypeVar("Given")
Made = TypeVar("Made")


class ImageVectors:
    """Gives the vectors of pairs' images, and keeps account of those that cannot be read."""

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

    def embed(self, shown: Sequence[Sequence[Image]]) -> tuple[Vectors, NDArray[np.bool_]]:
        """Return a vector for what each pair shows: of several images, their mean direction.

        Shape (pairs, d), and which pairs' images could all be read, shape (pairs,).
        """
        distinct = {image.ref: image for images in shown for image in images}
        rows = self._rows(distinct.values())
        vectors = np.zeros((len(shown), len(self.background.image)), np.float32)
        whole = np.zeros(len(shown), np.bool_)
        for place, images in enumerate(shown):
            if images and all(image.ref in rows for image in images):
                total = np.sum([rows[image.ref] for image in images], axis=0, dtype=np.float32)
                vectors[place] = total / np.linalg.norm(total)
                whole[place] = True
        return vectors, whole

    def _rows(self, images: Iterable[Image]) -> dict[str, Vectors]:
        """Return a vector, shape (d,), for every image that can be read, by its name."""
        wanted = list(images)
        found: dict[str, Vectors] = {}
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(wanted), BATCH):
                found.update(self._batch(wanted[start : start + BATCH], pool))
        return found

    def _batch(self, images: Sequence[Image], pool: ThreadPoolExecutor) -> dict[str, Vectors]:
        read = self._try(lambda image: image.read(), {image.ref: image for image in images}, pool)
        keys = {ref: self._key(image.sha256) for ref, image in read.items()}
        known = self._cached.known(keys.values())
        new = {ref: image for ref, image in read.items() if keys[ref] not in known}
        pixels = self._try(self._clip.pixels, new, pool)
        if pixels:
            made = self._clip.embed_pixels(list(pixels.values()))
            known |= self._cached.keep([keys[ref] for ref in pixels], made)
        return {ref: known[key] for ref, key in keys.items() if key in known}

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


def refuse_words(embedder: str, **given: object) -> None:
    """Raise `VlsbenchError` where an option is given that only embedders of texts can use."""
    if useless := [f"--{name}" for name, value in given.items() if value]:
        raise VlsbenchError(
            f"{embedder} looks at the images themselves and measures topic and ranks: "
            f"{' and '.join(useless)} cannot help it; leave it out, or take an embedder of texts"
        )
