"""Whether training data holds what a benchmark will ask: exactly, or nearly so.

Near are questions that share most of their runs of three words (`vlsbench.embed.TextIndex`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from vlsbench.aligning._settings import Row
from vlsbench.aligning.rows import image_bytes, query_of
from vlsbench.embed import ImageIndex, TextIndex
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import ImageData, Pair
from vlsbench.text import counted

NEAR = 0.7
"""Jaccard similarity of word triples from which on two questions are near-duplicates."""


@dataclass(frozen=True, slots=True)
class Match:
    """A training row and a benchmark's pair that are too much alike."""

    row: int
    pair: str
    what: str
    """`text`, `near text` or `image`."""
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

    def __str__(self) -> str:
        if not self.matches:
            return f"{self.bench}: none of {counted(self.pairs, 'pair')} is in the training data"
        by = Counter(what for _, what in {(match.pair, match.what) for match in self.matches})
        return (
            f"{self.bench}: {self.touched:,} of {self.pairs:,} pairs are in the training data "
            f"({by['text']:,} by the same text, {by['near text']:,} by nearly the same, "
            f"{by['image']:,} by the same image): results on them say little"
        )


def check_against(rows: Sequence[Row], bench: str, pairs: Iterable[Pair]) -> Contamination:
    """Look for a benchmark's questions and images in training data.

    Images match where their files are the same to the byte; one that was saved anew does not.
    A pair and a row match once for each way in which they do.
    """
    questions, images = TextIndex(jaccard=NEAR), ImageIndex()
    for place, row in enumerate(rows):
        questions.add([query_of(row)])
        for image in row.get("images") or ():
            with suppress(OSError, VlsbenchError):
                images.add(ImageData(image_bytes(image), ""), place)
    matches: list[Match] = []
    count = 0
    for pair in pairs:
        count += 1
        if found := questions.find(pair.query):
            what = "text" if found.similarity == 1 else "near text"
            matches.append(Match(found.place, pair.id, what, found.similarity))
        for image in pair.images if len(images) else ():
            with suppress(OSError, VlsbenchError):
                row_number = images.find(image.read().sha256)
                if row_number is not None:
                    matches.append(Match(row_number, pair.id, "image", 1.0))
    return Contamination(bench, len(rows), count, tuple(matches))
