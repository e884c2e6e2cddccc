"""Pairs that leak, left out: the list that `--drop-leaking` writes, and a set without them."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from vlsbench.auditing.card._card import Dropped
from vlsbench.auditing.judged._figures import JudgedPair
from vlsbench.auditing.overlap._figures import OverlapPair
from vlsbench.errors import VlsbenchError
from vlsbench.files import whole_file
from vlsbench.judge import Part
from vlsbench.pairs import DROP_COLUMNS
from vlsbench.text import csv_cell

DROP = "drop.csv"


@dataclass(frozen=True, slots=True)
class Score:
    """How much one pair leaks."""

    value: float | None
    """In [0, 1]: the largest of what was measured; None where nothing was."""
    why: str
    """The phrase or label that the value comes from."""


def leak_score(overlap: OverlapPair | None, judged: JudgedPair | None = None) -> Score:
    """Return how much a pair leaks, for `--drop-leaking` and for the order of the pairs.

    The probability that the query names what the image shows or what is written in it, and 1 where
    a judge holds the text harmful by itself.
    """
    found = [
        Score(reading.naming, f"{reading.channel}: {reading.phrase}")
        for reading in (overlap.readings if overlap else ())
    ]
    if judged and (harmful := judged.harmful_by(Part.TEXT)) is not None:
        found.append(Score(float(harmful), "judged: harmful by its text"))
    return max(found, key=lambda score: score.value or 0.0, default=Score(None, ""))


class DropList:
    """Writes the list of pairs to leave out while they stream by."""

    def __init__(self, path: Path, bench: str, threshold: float) -> None:
        """Take the file to write, the benchmark, and the score from which on a pair is left out.

        Raises:
            VlsbenchError: The threshold is no probability above 0.
        """
        if not 0 < threshold <= 1:
            raise VlsbenchError(
                f"--drop-leaking {threshold:g}: expected a probability above 0 and up to 1, "
                "such as 0.5"
            )
        self._path, self._bench, self._threshold = path, bench, threshold
        self._rows: list[tuple[str, float, str]] = []
        self._kept = self._unmeasured = 0

    def see(self, id: str, score: Score) -> None:
        """Take one pair."""
        if score.value is not None and score.value >= self._threshold:
            self._rows.append((id, score.value, score.why))
        else:
            self._kept += 1
            self._unmeasured += score.value is None

    def close(self) -> Dropped:
        """Write the list, the most leaking first, and say what is on it.

        Raises:
            OSError: The file cannot be written.
        """
        self._rows.sort(key=lambda row: (-row[1], row[0]))
        with (
            whole_file(self._path) as part,
            open(part, "w", encoding="utf-8", errors="surrogatepass", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(DROP_COLUMNS)
            writer.writerows(
                map(csv_cell, (self._bench, id, f"{score:.4f}", why))
                for id, score, why in self._rows
            )
        return Dropped(
            self._threshold, self._path.name, len(self._rows), self._kept, self._unmeasured
        )
