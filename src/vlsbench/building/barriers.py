"""The barriers: what of the pairs that passed the filters goes into the set.

*near_duplicates*: of pairs that are too much alike the first is kept. *contamination*: pairs whose
query or image stands in another benchmark. *quota*: a sub-category or category is full.

A barrier needs to know what survived before a pair, so it walks all pairs in the order of their
ids. Its decisions follow from what is on record alone; they are made anew by every invocation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vlsbench.building._drawing import image_of
from vlsbench.building._items import Item
from vlsbench.building._recipe import Contamination, NearDuplicates, Quota, Recipe
from vlsbench.embed import (
    HASH_BITS,
    Bits,
    ImageIndex,
    TextIndex,
    VectorIndex,
    difference_hash,
    differing,
    normalised,
)
from vlsbench.engine import Ledger, Outcome
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import PairSet

PREFIX = "select/"
"""Before a pair's id: the ledger's record of what the barriers decided about it."""
TWIN = "/twin-"
"""In the id of a twin."""
RELEASE = "release"
"""Stage of a pair that no barrier dropped."""
CHUNK = 256
"""Queries embedded at a time."""
NEIGHBOURS = 16
"""Survivors looked at closely; few can lie so near each other without being duplicates."""

Vector = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vector]
"""Texts → unit vectors, shape (n, d); where there is none, normalised texts are compared."""
Items = Iterable[tuple[str, Item]]
"""Id and pair, in the order of the ids."""


def _embedded(items: Items, embed: Embed | None) -> Iterator[tuple[str, Item, Vector | None]]:
    walk = iter(items)
    while chunk := list(islice(walk, CHUNK)):
        vectors = embed([item.query for _, item in chunk]) if embed else [None] * len(chunk)
        for (name, item), vector in zip(chunk, vectors, strict=True):
            yield name, item, vector


def near_duplicates(
    items: Items, settings: NearDuplicates, embed: Embed | None, run: Path
) -> Iterator[tuple[str, str | None]]:
    """Say of each pair which earlier survivor it repeats; None where it survives itself.

    Alike are pairs whose queries and whose images are both alike; two questions about one image,
    or one question about two, are two pairs.
    """
    kept: list[tuple[str, Bits, Vector | None]] = []
    by_words: dict[str, list[int]] = {}
    by_meaning = VectorIndex()
    least = settings.similarity or 0.0
    for name, item, vector in _embedded(items, embed):
        bits = difference_hash(image_of(run, item.image).data)
        if vector is None:
            places = by_words.setdefault(normalised(item.query), [])
        else:
            # Query and image in one vector: its cosine is the mean of the two similarities.
            joint = np.concatenate([vector, bits / np.float32(np.sqrt(HASH_BITS))])
            places = sorted(place for place, _ in by_meaning.nearest(joint, NEIGHBOURS))
        for twin, other_bits, other in (kept[place] for place in places):
            meant = vector is None or other is None or float(vector @ other) >= least
            if meant and differing(bits, other_bits) <= settings.bits:
                yield name, twin
                break
        else:
            if vector is None:
                places.append(len(kept))
            else:
                by_meaning.add(joint[np.newaxis])
            kept.append((name, bits.astype(np.int8), vector))
            yield name, None


def contaminated(
    items: Items, settings: Contamination, others: Sequence[PairSet], embed: Embed | None, run: Path
) -> Iterator[tuple[str, str | None]]:
    """Say of each pair which benchmark holds its query or image; None where none does."""
    known: list[tuple[str, TextIndex, ImageIndex]] = []
    for pairs in others:
        texts, images = TextIndex(cosine=settings.similarity or 0), ImageIndex(settings.bits)
        known.append((pairs.name, texts, images))
        walk = iter(pairs)
        while chunk := list(islice(walk, CHUNK)):
            queries = [pair.query for pair in chunk]
            texts.add(queries, embed(queries) if embed else None)
            for image in (image for pair in chunk for image in pair.images):
                # An image that cannot be read is like none of ours.
                with suppress(OSError, VlsbenchError):
                    if settings.bits >= 0:
                        images.add(image.read())
    for name, item, vector in _embedded(items, embed if known else None):
        read = partial(_bytes_of, run, item.image)
        found = (
            other
            for other, texts, images in known
            if texts.find(item.query, vector) or images.find(item.image, read) is not None
        )
        yield name, next(found, None)


def _bytes_of(run: Path, sha256: str) -> bytes:
    return image_of(run, sha256).data


def over_quota(items: Items, settings: Quota) -> Iterator[tuple[str, str | None]]:
    """Say of each pair which quota is full (`subcategory`, `category`); None where it is kept."""
    kept: Counter[tuple[str, ...]] = Counter()
    for name, item in items:
        cell, category = (item.category, item.subcategory), (item.category,)
        why = None
        if settings.per_subcategory is not None and kept[cell] >= settings.per_subcategory:
            why = "subcategory"
        elif settings.per_category is not None and kept[category] >= settings.per_category:
            why = "category"
        else:
            kept.update((cell, category))
        yield name, why


def kept_items(ledger: Ledger, *, twins: bool) -> Iterator[tuple[str, Item]]:
    """Walk what passed all stages, in the order of the ids."""
    for outcome in ledger.outcomes():
        name = outcome.record
        kept = outcome.kind == "keep" and not name.startswith(PREFIX)
        if kept and (TWIN in name) == twins:
            yield name, Item.read(outcome.value)


def decide(
    recipe: Recipe,
    ledger: Ledger,
    others: Sequence[PairSet],
    embed: Embed | None,
    *,
    among: set[str] | None = None,
) -> dict[str, Outcome]:
    """Take the pairs, or the twins of those `among` them, through the barriers: id → decision.

    A decision without a reason lets the pair into the set; of a duplicate, the value's `detail` is
    the pair that it repeats. Twins repeat each other alone: neither quota nor contamination of
    their queries says anything new about them.
    """
    run, near, against = ledger.folder, recipe.near_duplicates, recipe.contamination
    decisions: dict[str, Outcome] = {}

    def left() -> Items:
        for name, item in kept_items(ledger, twins=among is not None):
            if name not in decisions and (among is None or item.twin_of in among):
                yield name, item

    def decided(stage: str, walk: Iterable[tuple[str, str | None]]) -> None:
        # Not within the walk: `left` looks at what is decided.
        for name, why in [(name, why) for name, why in walk if why]:
            reason, detail = ("duplicate", why) if stage == "near_duplicates" else (why, "")
            value = {"pair": name, "detail": detail}
            decisions[name] = Outcome(PREFIX + name, stage, "drop", reason, value)

    if near is not None:
        by_meaning = embed if near.similarity is not None else None
        decided("near_duplicates", near_duplicates(left(), near, by_meaning, run))
    if among is None:
        by_meaning = embed if against.similarity is not None else None
        decided("contamination", contaminated(left(), against, others, by_meaning, run))
        decided("quota", over_quota(left(), recipe.quota))
    for name in [name for name, _ in left()]:
        value = {"pair": name, "detail": ""}
        decisions[name] = Outcome(PREFIX + name, RELEASE, "keep", "", value)
    return decisions
