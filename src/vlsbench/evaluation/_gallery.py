"""Which pairs the gallery shows: some of every label in every category, the same on every run."""

from __future__ import annotations

import hashlib
from bisect import insort
from typing import NamedTuple

from vlsbench.evaluation._rows import PairRow
from vlsbench.judge import Label
from vlsbench.pairs import Pair

LABEL_ORDER = (
    Label.UNSAFE,
    Label.WARNING,
    Label.REFUSAL,
    Label.SAFE,
    Label.ANSWERED,
    Label.FILTERED,
    Label.UNSCORED,
)
"""What a reader most wants to check comes first."""


class _Entry(NamedTuple):
    digest: bytes
    number: int
    """Position in the stream; breaks the tie of two rows with one id, so rows never compare."""
    row: PairRow
    pair: Pair


class Gallery:
    """At most `size` answers, stratified over (label, category), chosen in one pass.

    Every stratum gives its first row in the order of a hash of the row's id, then every stratum
    its second, and so on until `size` rows are taken. So rare outcomes are always seen, and
    neither the order of the rows nor a second run changes the choice.

    Only `size` rows are held: a row that stands beyond `size` in that order never comes back into
    it, because later rows can only push it further back.
    """

    def __init__(self, size: int) -> None:
        """Start empty."""
        self._size = size
        self._strata: dict[tuple[str, str], list[_Entry]] = {}
        self.total = 0
        """Answers seen."""

    def add(self, row: PairRow, pair: Pair) -> None:
        """Look at one answer."""
        self.total += 1
        name = f"{row.id}#{row.sample}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=16).digest()
        stratum = self._strata.setdefault((row.label, row.category), [])
        insort(stratum, _Entry(digest, self.total, row, pair))
        if self.total > self._size:
            last = max(self._strata, key=lambda k: (len(self._strata[k]), self._strata[k][-1][:2]))
            self._strata[last].pop()
            if not self._strata[last]:
                del self._strata[last]

    def chosen(self) -> list[tuple[PairRow, Pair]]:
        """Return the answers by category, label and id."""
        entries = [entry for stratum in self._strata.values() for entry in stratum]
        entries.sort(
            key=lambda e: (e.row.category, LABEL_ORDER.index(Label(e.row.label)), e.row.id)
        )
        return [(entry.row, entry.pair) for entry in entries]
