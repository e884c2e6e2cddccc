"""Whether training data holds what a benchmark will ask: exactly, or nearly so.

Near are questions that share most of their runs of three words (`vlsbench.embed.TextIndex`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import NamedTuple

from vlsbench.aligning._settings import Row
from vlsbench.aligning.rows import image_bytes, query_of
from vlsbench.embed import TextIndex
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Pair
from vlsbench.text import counted

NEAR = 0.7
"""Jaccard similarity of word triples from which on two questions are near-duplicates."""


class Match(NamedTuple):
    """A training row and a benchmark's pair that are too much alike."""

    row: int
    pair: str
    what: str
    """`text`, `near text` or `image`."""


@dataclass(frozen=True)
class Contamination:
    """What a benchmark shares with the training data."""

    bench: str
    pairs: int
    matches: tuple[Match, ...]

    @property
    def touched(self) -> int:
        """Pairs of the benchmark with a match."""
        return len({match.pair for match in self.matches})

    def __str__(self) -> str:
        if not self.matches:
            return f"{self.bench}: none of {counted(self.pairs, 'pair')} is in the training data"
        by = dict.fromkeys(("text", "near text", "image"), 0)
        for _, what in {(match.pair, match.what) for match in self.matches}:
            by[what] += 1
        return (
            f"{self.bench}: {self.touched:,} of {self.pairs:,} pairs are in the training data "
            f"({', '.join(f'{count:,} by {what}' for what, count in by.items())}): results on "
            "them say little"
        )


def check_against(rows: Sequence[Row], bench: str, pairs: Iterable[Pair]) -> Contamination:
    """Look for a benchmark's questions and images in training data.

    Images match where their files are the same to the byte; one that was saved anew does not.
    A pair and a row match once for each way in which they do.
    """
    questions, images = TextIndex(jaccard=NEAR), dict[str, int]()
    for place, row in enumerate(rows):
        questions.add([query_of(row)])
        for image in row.get("images") or ():
            with suppress(OSError, VlsbenchError):
                images.setdefault(sha256(image_bytes(image)).hexdigest(), place)
    matches: list[Match] = []
    count = 0
    for pair in pairs:
        count += 1
        if found := questions.find(pair.query):
            what = "text" if found.similarity == 1 else "near text"
            matches.append(Match(found.place, pair.id, what))
        for shown in pair.images if images else ():
            with suppress(OSError, VlsbenchError):
                if (digest := shown.read().sha256) in images:
                    matches.append(Match(images[digest], pair.id, "image"))
    return Contamination(bench, count, tuple(matches))
