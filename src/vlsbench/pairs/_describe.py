"""What a benchmark holds: counts, image sharing, and the oddities a reader of results must know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
    languages: Mapping[str, int] = field(default_factory=dict)
    """ISO 639 code → pairs, where the benchmark says so."""
    twins: int = 0
    """Pairs that have a twin."""
    grades: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """Column of a pair's labels (`graded_by`, `text_grade`, …) → value → pairs that have it."""


_EMPTY = "empty queries"
_TWICE = "pairs that repeat an earlier one (same query, same images)"
_SHARED = "images used by several pairs"
_PARENTS = "sub-categories under several categories"
_TEXT_ONLY = "pairs without an image in a set that has images"
_TWINS = "twins that name another pair than the one that names them"
_ABSENT = "images missing or broken"


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
    odd: Counter[str] = Counter()
    labels: dict[str, Counter[str]] = {}
    named: dict[str, str] = {}
    examples: dict[str, list[str]] = {}

    def note(what: str, example: str) -> None:
        odd[what] += 1
        if odd[what] <= EXAMPLES:
            examples.setdefault(what, []).append(example)

    for pair in pairs:
        count += 1
        benign += not pair.harmful
        text_only += not pair.images
        described += bool(pair.description)
        categories.setdefault(pair.category, Counter())[pair.subcategory] += 1
        lengths[len(pair.query)] += 1
        for column, said in pair.labels.items():
            labels.setdefault(column, Counter())[said] += bool(said)
        if pair.twin:
            named[pair.id] = pair.twin
        if not pair.query.strip():
            note(_EMPTY, pair.id)
        whole = hash((pair.query, tuple(image.ref for image in pair.images)))
        if whole in seen:
            note(_TWICE, pair.id)
        seen.add(whole)
        for image in pair.images:
            uses[image.ref] += 1
            if uses[image.ref] == 1 and image.fault():
                note(_ABSENT, image.ref)
            elif uses[image.ref] == 2:
                note(_SHARED, image.ref)
    for several in _several_parents(categories):
        note(_PARENTS, several)
    for id, twin in named.items():
        if named.get(twin, id) != id:
            note(_TWINS, id)
    odd[_TEXT_ONLY] = text_only if uses else 0
    ordered = sorted(lengths.elements())
    said_of = {column: dict((+counts).most_common()) for column, counts in labels.items()}
    languages, twins = said_of.pop("language", {}), sum(said_of.pop("twin", {}).values())
    return Description(
        name=pairs.name,
        pairs=count,
        harmful=count - benign,
        benign=benign,
        images=len(uses),
        images_missing=odd[_ABSENT],
        text_only=text_only,
        categories={
            name: dict(counts.most_common())
            for name, counts in sorted(categories.items(), key=lambda c: (-c[1].total(), c[0]))
        },
        query_chars=tuple(ordered[round(share * (count - 1))] for share in QUANTILES),
        described=described,
        oddities=(
            *_fewer_rows(pairs, count),
            *(
                Oddity(what, odd[what], tuple(examples.get(what, ())))
                for what in (_EMPTY, _TWICE, _SHARED, _PARENTS, _TWINS, _TEXT_ONLY, _ABSENT)
                if odd[what]
            ),
        ),
        bad=pairs.bad,
        languages=languages,
        twins=twins,
        grades=said_of,
    )


def _several_parents(categories: Mapping[str, Counter[str]]) -> Iterator[str]:
    """Name the sub-categories that stand under several categories, with their pairs."""
    for name in dict.fromkeys(name for counts in categories.values() for name in counts if name):
        where = [f"{category} {n[name]}" for category, n in categories.items() if n[name]]
        if len(where) > 1:
            yield f"{name} ({', '.join(where)})"


def _fewer_rows(pairs: PairSet, count: int) -> tuple[Oddity, ...]:
    published = pairs.source.rows.get(pairs.variant) if pairs.source else None
    found = count + len(pairs.bad)
    if not published or published == found:
        return ()
    return (Oddity(f"rows, where {published:,} are published", found),)
