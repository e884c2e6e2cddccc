"""Whether training data holds what a benchmark will ask: exactly, or nearly so.

Near-duplicates by MinHash over word triples (Broder 1997), found with locality-sensitive hashing
(`datasketch`), then measured by their true Jaccard similarity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vlsbench.aligning._rows import image_bytes, query_of
from vlsbench.aligning._types import Row
from vlsbench.errors import MissingExtra
from vlsbench.pairs import ImageData, ImageError, Pair

NEAR = 0.7
"""Jaccard similarity of word triples from which on two questions are near-duplicates."""
PERMUTATIONS = 128
TRIPLE = 3


@dataclass(frozen=True, slots=True)
class Match:
    """A training row and a benchmark's pair that are too much alike."""

    row: int
    pair: str
    what: str
    """`text`, `near text` or `picture`."""
    similarity: float
    """1 where they are the same."""


@dataclass(frozen=True)
class Contamination:
    """What a benchmark shares with the training data."""

    bench: str
    rows: int
    pairs: int
    matches: tuple[Match, ...]

    @property
    def touched(self) -> int:
        """Pairs of the benchmark with a match."""
        return len({match.pair for match in self.matches})

    def by(self, what: str) -> int:
        """Pairs of the benchmark with a match of one sort."""
        return len({match.pair for match in self.matches if match.what == what})

    def __str__(self) -> str:
        if not self.matches:
            return f"{self.bench}: none of {self.pairs:,} pairs is in the training data"
        return (
            f"{self.bench}: {self.touched:,} of {self.pairs:,} pairs are in the training data "
            f"({self.by('text'):,} by the same text, {self.by('near text'):,} by nearly the same, "
            f"{self.by('picture'):,} by the same picture): results on them say little"
        )


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return re.findall(r"\w+", text.lower())


def triples_of(text: str) -> frozenset[str]:
    """Return the runs of three words; a shorter text is one run."""
    words = words_of(text)
    runs = max(1, len(words) - TRIPLE + 1)
    return frozenset(" ".join(words[at : at + TRIPLE]) for at in range(runs))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Return the share of what either holds that both hold."""
    return len(one & other) / len(one | other)


def check_against(
    rows: Sequence[Row], bench: str, pairs: Iterable[Pair], *, near: float = NEAR
) -> Contamination:
    """Look for a benchmark's questions and pictures in training data.

    Pictures match where their files are the same to the byte; one that was saved anew does not.
    A pair and a row match once for each way in which they do.

    Args:
        rows: The training data.
        bench: Name of the benchmark.
        pairs: Its pairs.
        near: Similarity from which on questions are near-duplicates.

    Raises:
        MissingExtra: `datasketch` is not installed.
    """
    try:
        from datasketch import MinHashLSH
    except ImportError:
        raise MissingExtra("--check-against", "align") from None

    index = MinHashLSH(threshold=near, num_perm=PERMUTATIONS)
    triples: list[frozenset[str]] = []
    exact: dict[str, list[int]] = {}
    pictures: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        text = query_of(row)
        key = " ".join(words_of(text))
        found = triples_of(text)
        triples.append(found)
        # The same question asked often (with other pictures) stands in the index once.
        if key not in exact:
            index.insert(place, _minhash(found))
        exact.setdefault(key, []).append(place)
        for image in row.get("images") or ():
            if digest := _digest(image):
                pictures.setdefault(digest, []).append(place)
    matches: list[Match] = []
    count = 0
    for pair in pairs:
        count += 1
        key = " ".join(words_of(pair.query))
        if key and key in exact:
            matches.append(Match(exact[key][0], pair.id, "text", 1.0))
        elif key:
            mine = triples_of(pair.query)
            close = [(jaccard(mine, triples[p]), p) for p in index.query(_minhash(mine))]
            if close and max(close)[0] >= near:
                matches.append(Match(max(close)[1], pair.id, "near text", max(close)[0]))
        for image in pair.images if pictures else ():
            digest = _digest(image)
            if digest in pictures:
                matches.append(Match(pictures[digest][0], pair.id, "picture", 1.0))
    return Contamination(bench, len(rows), count, tuple(matches))


def _minhash(triples: frozenset[str]) -> Any:
    from datasketch import MinHash

    found = MinHash(num_perm=PERMUTATIONS)
    found.update_batch([triple.encode("utf-8", "surrogatepass") for triple in triples])
    return found


def _digest(image: object) -> str:
    """Return the digest of a picture's file; empty where it has none, or it cannot be read."""
    from PIL import Image

    if isinstance(image, Image.Image):
        return ""
    try:
        return ImageData(image_bytes(image), "").sha256
    except (OSError, ImageError):
        return ""
