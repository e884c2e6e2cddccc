"""What a benchmark holds: counts, and the oddities a reader of results must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from vlsbench.errors import BadRow
from vlsbench.pairs._source import PairSet

EXAMPLES = 5
"""How many ids or images an oddity lists."""


@dataclass(frozen=True, slots=True)
class Oddity:
    """Something about a set that is unusual and not an error."""

    what: str
    count: int
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Description:
    """Statistics of an opened benchmark."""

    name: str
    pairs: int
    harmful: int
    benign: int
    images: int
    """Distinct ones."""
    images_missing: int
    """Distinct images that are absent, empty, cut off or no image."""
    categories: Mapping[str, Mapping[str, int]]
    """Category → sub-category → pairs."""
    described: int
    """Pairs whose image is described in words (the `caption` view needs it)."""
    oddities: tuple[Oddity, ...]
    bad: tuple[BadRow, ...]
    """Rows that cannot be read."""
    labels: Mapping[str, Mapping[str, int]]
    """Column of a pair's labels (`language`, `text_grade`, …) → value → pairs that have it."""


def describe(pairs: PairSet) -> Description:
    """Walk a benchmark once and count it.

    Keeps a hash for each pair and a count for each image, never a text, so that a set of any size
    that can be opened can be described. Looks at the ends of every image file.
    """
    categories: dict[str, Counter[str]] = {}
    images: set[str] = set()
    seen: set[int] = set()
    benign = described = 0
    odd: dict[str, list[str]] = {"empty queries": [], "images missing or broken": []}
    empty, absent = odd.values()
    twice = odd["pairs that repeat an earlier one (same query, same images)"] = []
    labels: dict[str, Counter[str]] = {}

    for pair in pairs:
        benign += not pair.harmful
        described += bool(pair.description)
        categories.setdefault(pair.category, Counter())[pair.subcategory] += 1
        for column, said in pair.labels.items():
            if said and column != "twin":
                labels.setdefault(column, Counter())[said] += 1
        if not pair.query.strip():
            empty.append(pair.id)
        whole = hash((pair.query, tuple(image.ref for image in pair.images)))
        if whole in seen:
            twice.append(pair.id)
        seen.add(whole)
        for image in pair.images:
            if image.ref not in images and image.fault():
                absent.append(image.ref)
            images.add(image.ref)
    oddities = [Oddity(what, len(of), tuple(of[:EXAMPLES])) for what, of in odd.items() if of]
    published = pairs.source.rows.get(pairs.variant) if pairs.source else None
    if published and published != (found := len(pairs) + len(pairs.bad)):
        oddities.insert(0, Oddity(f"rows, where {published:,} are published", found))
    return Description(
        name=pairs.name,
        pairs=len(pairs),
        harmful=len(pairs) - benign,
        benign=benign,
        images=len(images),
        images_missing=len(absent),
        categories={
            name: dict(counts.most_common())
            for name, counts in sorted(categories.items(), key=lambda c: (-c[1].total(), c[0]))
        },
        described=described,
        oddities=tuple(oddities),
        bad=pairs.bad,
        labels={column: dict(counts.most_common()) for column, counts in labels.items()},
    )
