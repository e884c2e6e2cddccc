"""Barrier *contamination*: pairs whose query or image stands in another benchmark.

Drops name the benchmark: `contaminated:figstep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from vlsbench.building._items import Item
from vlsbench.building._kept import picture_of
from vlsbench.building._near_duplicates import CHUNK, Embed, Vector, embedded
from vlsbench.building._recipe import Contamination
from vlsbench.embed import ImageIndex, TextIndex
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import PairSet

NAME = "contamination"


class _Other:
    """The queries and images of one benchmark."""

    def __init__(self, pairs: PairSet, settings: Contamination, embed: Embed | None) -> None:
        self.name = pairs.name
        self._queries = TextIndex(cosine=settings.similarity or 0)
        self._images = ImageIndex(settings.bits) if settings.bits >= 0 else None
        walk = iter(pairs)
        while chunk := list(islice(walk, CHUNK)):
            queries = [pair.query for pair in chunk]
            self._queries.add(queries, embed(queries) if embed else None)
            for image in (image for pair in chunk for image in pair.images):
                # An image that cannot be read is like none of ours.
                with suppress(OSError, VlsbenchError):
                    if self._images is not None:
                        self._images.add(image.read())

    def holds(self, item: Item, vector: Vector | None, run: Path) -> bool:
        """Tell whether the query or the image stands here too."""
        if self._queries.find(item.query, vector):
            return True
        if self._images is None:
            return False
        return self._images.find(item.image, lambda: picture_of(run, item.image).data) is not None


def contaminated(
    items: Iterable[tuple[str, Item]],
    settings: Contamination,
    others: Sequence[PairSet],
    embed: Embed | None,
    run: Path,
) -> Iterator[tuple[str, str | None]]:
    """Say of each pair which benchmark holds its query or image.

    Args:
        items: Id and pair, in the order of the ids.
        settings: What counts as the same.
        others: The opened benchmarks.
        embed: Texts → unit vectors, shape (n, d); None compares normalised texts.
        run: The folder with the images.

    Yields:
        Id, and the benchmark's name; None where none holds it.
    """
    known = [_Other(pairs, settings, embed) for pairs in others]
    for name, item, vector in embedded(items, embed if known else None):
        yield name, next((o.name for o in known if o.holds(item, vector, run)), None)
