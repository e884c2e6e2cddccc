"""Counts of what is released."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vlsbench.releasing._about import Lengths, SourceCount, Statistics, SubcategoryCount
from vlsbench.releasing._pairs import Decoded, Entry, twin_of


def statistics(entries: Sequence[Entry], decoded: Mapping[str, Decoded]) -> Statistics:
    """Count pairs and images. All are counted; nothing is an estimate."""
    pairs = [entry.pair for entry in entries]
    ids = {pair.id for pair in pairs}
    uses = Counter(name for entry in entries for name in set(entry.images))
    used = [decoded[name] for name in uses]
    by_area = sorted((f.width * f.height, f.width, f.height) for f in (one.facts for one in used))
    kinds = Counter((pair.category, pair.subcategory, pair.harmful) for pair in pairs)
    sources = Counter((entry.pair.source, entry.licence) for entry in entries)
    lengths = {
        field: [len(text) for pair in pairs if (text := getattr(pair, field))]
        for field in ("query", "description", "reason")
    }
    return Statistics(
        subcategories=tuple(
            SubcategoryCount(*name, kinds[*name, True], kinds[*name, False])
            for name in sorted({(pair.category, pair.subcategory) for pair in pairs})
        ),
        sources=tuple(SourceCount(*of, count) for of, count in sorted(sources.items())),
        lengths=tuple(
            Lengths(field, len(found), _quartiles(found))
            for field, found in lengths.items()
            if found
        ),
        formats=dict(Counter(sorted(one.mime for one in used))),
        least_pixels=by_area[0][1:],
        most_pixels=by_area[-1][1:],
        image_bytes=sum(one.size for one in used),
        exif=sum(one.facts.exif for one in used),
        located=sum(one.facts.located for one in used),
        shared=sum(count > 1 for count in uses.values()),
        twins=sum(twin_of(pair) in ids and not pair.harmful for pair in pairs),
    )


def _quartiles(lengths: Sequence[int]) -> tuple[int, ...]:
    found = np.quantile(lengths, (0, 0.25, 0.5, 0.75, 1), method="nearest")
    return tuple(int(length) for length in found)
