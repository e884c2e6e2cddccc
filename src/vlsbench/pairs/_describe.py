"""What a benchmark holds: counts, image sharing, and the oddities a reader of results must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from vlsbench.errors import BadRow
from vlsbench.pairs._source import PairSet

QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)
EXAMPLES = 5
"""How many ids, images or names an oddity lists."""


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
    text_only: int
    """Pairs without an image."""
    categories: Mapping[str, Mapping[str, int]]
    """Category → sub-category → pairs."""
    query_chars: tuple[int, ...]
    """Characters of the queries at `QUANTILES`: least, quartiles, most."""
    described: int
    """Pairs whose image is described in words (the `caption` view needs it)."""
    oddities: tuple[Oddity, ...]
    bad: tuple[BadRow, ...]
    """Rows that cannot be read."""


class _Tally:
    """Counts one kind of oddity and remembers the first few."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.count = 0
        self.examples: list[str] = []

    def add(self, example: str) -> None:
        self.count += 1
        if len(self.examples) < EXAMPLES:
            self.examples.append(example)

    def told(self) -> tuple[Oddity, ...]:
        return (Oddity(self.what, self.count, tuple(self.examples)),) if self.count else ()


def describe(pairs: PairSet) -> Description:
    """Walk a benchmark once and count it.

    Keeps a hash for each pair and a count for each image, never a text, so that a set of any size
    that can be opened can be described. Looks at the ends of every image file.
    """
    categories: dict[str, Counter[str]] = {}
    lengths: Counter[int] = Counter()
    uses: Counter[str] = Counter()
    seen: set[int] = set()
    count = benign = text_only = described = 0
    empty = _Tally("empty queries")
    twice = _Tally("pairs that repeat an earlier one (same query, same images)")
    shared = _Tally("images used by several pairs")
    absent = _Tally("images missing or broken")
    for pair in pairs:
        count += 1
        benign += not pair.harmful
        text_only += not pair.images
        described += bool(pair.description)
        categories.setdefault(pair.category, Counter())[pair.subcategory] += 1
        lengths[len(pair.query)] += 1
        if not pair.query.strip():
            empty.add(pair.id)
        refs = tuple(image.ref for image in pair.images)
        whole = hash((pair.query, refs))
        if whole in seen:
            twice.add(pair.id)
        seen.add(whole)
        for image in pair.images:
            uses[image.ref] += 1
            if uses[image.ref] == 1 and image.fault():
                absent.add(image.ref)
            elif uses[image.ref] == 2:
                shared.add(image.ref)
    oddities = (
        *_fewer_rows(pairs, count),
        *empty.told(),
        *twice.told(),
        *shared.told(),
        *_several_parents(categories),
        *(_mixed(text_only) if uses else ()),
        *absent.told(),
    )
    return Description(
        name=pairs.name,
        pairs=count,
        harmful=count - benign,
        benign=benign,
        images=len(uses),
        images_missing=absent.count,
        text_only=text_only,
        categories={
            name: dict(counts.most_common())
            for name, counts in sorted(categories.items(), key=lambda c: (-c[1].total(), c[0]))
        },
        query_chars=_quantiles(lengths),
        described=described,
        oddities=oddities,
        bad=pairs.bad,
    )


def _mixed(count: int) -> tuple[Oddity, ...]:
    return (Oddity("pairs without an image in a set that has images", count),) if count else ()


def _fewer_rows(pairs: PairSet, count: int) -> tuple[Oddity, ...]:
    published = pairs.source.rows.get(pairs.variant) if pairs.source else None
    found = count + len(pairs.bad)
    if published is None or published == found:
        return ()
    return (Oddity(f"rows, where {published:,} are published", found),)


def _several_parents(categories: Mapping[str, Mapping[str, int]]) -> tuple[Oddity, ...]:
    parents: dict[str, list[str]] = {}
    for category, counts in categories.items():
        for name in counts:
            parents.setdefault(name, []).append(f"{category} {counts[name]}")
    found = {name: where for name, where in parents.items() if name and len(where) > 1}
    examples = tuple(f"{name} ({', '.join(where)})" for name, where in found.items())[:EXAMPLES]
    what = "sub-categories under several categories"
    return (Oddity(what, len(found), examples),) if found else ()


def _quantiles(lengths: Counter[int]) -> tuple[int, ...]:
    total = lengths.total()
    found = []
    for share in QUANTILES:
        rank, below = round(share * (total - 1)), 0
        for length in sorted(lengths):
            below += lengths[length]
            if below > rank:
                found.append(length)
                break
    return tuple(found)
