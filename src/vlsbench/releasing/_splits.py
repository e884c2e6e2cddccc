"""Which split a pair is in: decided by its images, so that no image is ever in two."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

SALT = "vlsbench-split/1"
"""Part of every hash; another one would be another assignment."""


def assign_splits(
    images: Mapping[str, Sequence[str]], twins: Mapping[str, str], shares: Mapping[str, float]
) -> dict[str, str]:
    """Return the split of each pair.

    Pairs that share an image, and a benign twin with the pair whose query it has, are one cluster
    and go together. A cluster's place is a hash of its images' content (the least digest), so a
    pair stays in its split when others come or go, unless they join its cluster.

    Args:
        images: Pair → digests of its images, one or more.
        twins: Pair → the pair that it is a twin of; the latter need not be there.
        shares: Split → share of the clusters; shares add up to 1.
    """
    above: dict[str, str] = {}

    def root(digest: str) -> str:
        while (parent := above.setdefault(digest, digest)) != digest:
            # Halve the way for whoever comes next.
            above[digest] = digest = above[parent]
        return digest

    def join(one: str, other: str) -> None:
        # The root is the least digest, and stands for the cluster.
        least, most = sorted((root(one), root(other)))
        above[most] = least

    for pair, (first, *others) in images.items():
        for digest in others:
            join(first, digest)
        if (twin := twins.get(pair, "")) in images:
            join(first, images[twin][0])
    return {pair: _split(root(digests[0]), shares) for pair, digests in images.items()}


def _split(key: str, shares: Mapping[str, float]) -> str:
    digest = hashlib.sha256(f"{SALT}:{key[:64]}".encode()).digest()
    place = int.from_bytes(digest[:8]) / 2**64
    reached = 0.0
    for name, share in shares.items():
        reached += share
        if place < reached:
            return name
    return list(shares)[-1]
