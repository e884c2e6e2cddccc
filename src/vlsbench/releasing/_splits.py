"""Which split a pair is in: decided by its images, so that no image is ever in two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

from vlsbench.releasing._gather import Entry
from vlsbench.releasing._images import Picture

SALT = "vlsbench-split/1"
"""Part of every hash; another one would be another assignment."""


def assign(
    entries: Sequence[Entry], pictures: Sequence[Picture], shares: Mapping[str, float]
) -> list[str]:
    """Return the split of each pair.

    Pairs that share an image, and a benign twin with the pair whose query it has, are one cluster
    and go together. A cluster's place is a hash of its images' content (the least digest), so a
    pair stays in its split when others come or go, unless they join its cluster.

    Args:
        entries: Pairs.
        pictures: By number, as entries name them.
        shares: Split → share of the clusters; shares add up to 1.
    """
    parent = list(range(len(pictures)))

    def root(number: int) -> int:
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(one: int, other: int) -> None:
        a, b = root(one), root(other)
        # The root is the picture whose digest is least, and stands for the cluster.
        if pictures[b].name < pictures[a].name:
            a, b = b, a
        parent[b] = a

    first = {entry.id: entry.images[0] for entry in entries}
    for entry in entries:
        for number in entry.images[1:]:
            join(entry.images[0], number)
        if entry.twin_of in first:
            join(entry.images[0], first[entry.twin_of])
    return [_split(pictures[root(entry.images[0])].name, shares) for entry in entries]


def _split(key: str, shares: Mapping[str, float]) -> str:
    digest = hashlib.sha256(f"{SALT}:{key[:64]}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if place < reached:
            return name
    return list(shares)[-1]
