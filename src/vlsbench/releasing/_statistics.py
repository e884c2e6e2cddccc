"""Counts of what is released, taken while it is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from vlsbench.releasing._gather import Entry
from vlsbench.releasing._images import Picture
from vlsbench.releasing._types import Lengths, SourceCount, Statistics, SubcategoryCount

_TEXTS = ("query", "description", "reason")
_SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)


class Tally:
    """Counts records as they are written."""

    def __init__(self) -> None:
        """Start with nothing."""
        self._subcategories: Counter[tuple[str, str, bool]] = Counter()
        self._sources: Counter[tuple[str, str]] = Counter()
        self._lengths: dict[str, Counter[int]] = {name: Counter() for name in _TEXTS}

    def see(self, record: Mapping[str, Any]) -> None:
        """Take one record."""
        self._subcategories[record["category"], record["subcategory"], record["harmful"]] += 1
        self._sources[record["source"], record["image_licence"]] += 1
        for name in _TEXTS:
            if record[name]:
                self._lengths[name][len(record[name])] += 1

    def statistics(self, entries: Sequence[Entry], pictures: Sequence[Picture]) -> Statistics:
        """Return the counts, with those of the images."""
        ids = {entry.id for entry in entries}
        uses = Counter(number for entry in entries for number in set(entry.images))
        by_area = sorted((p.width * p.height, p.width, p.height) for p in pictures)
        names = sorted({name[:2] for name in self._subcategories})
        return Statistics(
            subcategories=tuple(
                SubcategoryCount(
                    category,
                    subcategory,
                    self._subcategories[category, subcategory, True],
                    self._subcategories[category, subcategory, False],
                )
                for category, subcategory in names
            ),
            sources=tuple(
                SourceCount(source, licence, pairs)
                for (source, licence), pairs in sorted(self._sources.items())
            ),
            lengths=tuple(
                Lengths(name, counts.total(), _quantiles(counts))
                for name, counts in self._lengths.items()
                if counts
            ),
            formats=dict(Counter(sorted(picture.mime for picture in pictures))),
            least_pixels=by_area[0][1:],
            most_pixels=by_area[-1][1:],
            image_bytes=sum(picture.size for picture in pictures),
            exif=sum(picture.exif for picture in pictures),
            located=sum(picture.located for picture in pictures),
            shared=sum(count > 1 for count in uses.values()),
            twins=sum(entry.twin_of in ids and not entry.harmful for entry in entries),
        )


def _quantiles(counts: Counter[int]) -> tuple[int, ...]:
    lengths = sorted(counts)
    total, found = counts.total(), []
    for share in _SHARES:
        rank, below = round(share * (total - 1)), 0
        for length in lengths:
            below += counts[length]
            if below > rank:
                found.append(length)
                break
    return tuple(found)
