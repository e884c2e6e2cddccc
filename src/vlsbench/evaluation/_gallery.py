"""Which pairs the gallery shows: some of every label in every category, the same on every run."""

from __future__ import annotations

import hashlib
from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from vlsbench.evaluation._page_row import ReportRow
from vlsbench.judge import Label

LABEL_ORDER = (
    Label.UNSAFE,
    Label.WARNING,
    Label.REFUSAL,
    Label.ANSWERED,
    Label.FILTERED,
    Label.UNSCORED,
)
"""What a reader most wants to check comes first."""


@dataclass(frozen=True, slots=True)
class Gallery:
    """The chosen rows, and how many there were to choose from."""

    rows: tuple[ReportRow, ...]
    total: int


class _Entry(NamedTuple):
    digest: bytes
    number: int
    """Position in the stream; breaks the tie of two rows with one id, so rows never compare."""
    row: ReportRow


def choose(rows: Iterable[ReportRow], size: int) -> Gallery:
    """Choose at most `size` rows, stratified over (label, category), in one pass.

    Every stratum gives its first row in the order of a hash of the row's id, then every stratum
    its second, and so on until `size` rows are taken. So rare outcomes are always seen, and
    neither the order of the rows nor a second run changes the choice.

    Only `size` rows are held: a row that stands beyond `size` in that order never comes back into
    it, because later rows can only push it further back.

    Returns:
        The rows by category, label and id, and the number of rows seen.
    """
    strata: dict[tuple[Label, str], list[_Entry]] = {}
    total = 0
    for row in rows:
        total += 1
        digest = hashlib.blake2b(row.id.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        insort(strata.setdefault((row.label, row.category), []), _Entry(digest, total, row))
        if total > size:
            last = max(strata, key=lambda key: (len(strata[key]), strata[key][-1][:2]))
            strata[last].pop()
            if not strata[last]:
                del strata[last]
    chosen = [entry.row for stratum in strata.values() for entry in stratum]
    chosen.sort(key=lambda row: (row.category, LABEL_ORDER.index(row.label), row.id))
    return Gallery(tuple(chosen), total)
