"""Lists of pairs to leave out, as `vlsbench audit --drop-leaking` writes them."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator
from itertools import chain

from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._source import PairSet
from vlsbench.text import csv_value

DROP_COLUMNS = ("bench", "id", "score", "why")
"""The benchmark stands in every row: ids such as `12` are those of many benchmarks."""


def read_drop(path: str | os.PathLike[str], bench: str) -> frozenset[str]:
    """Return the ids on a list that `--drop-leaking` wrote for a benchmark.

    Raises:
        VlsbenchError: The file cannot be read, is no such list, or is one of another benchmark.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogatepass", newline="") as file:
            rows = [list(map(csv_value, row)) for row in csv.reader(file)]
    except (OSError, ValueError, csv.Error) as error:
        raise VlsbenchError(f"{os.fspath(path)} cannot be read: {error}") from None
    if (
        not rows
        or tuple(rows[0]) != DROP_COLUMNS
        or any(len(row) != len(DROP_COLUMNS) for row in rows)
    ):
        raise VlsbenchError(
            f"{os.fspath(path)} is not a drop list: its columns must be "
            f"{', '.join(DROP_COLUMNS)}; `vlsbench audit BENCH --drop-leaking P` writes one"
        )
    for other in (row[0] for row in rows[1:] if row[0] != bench):
        raise VlsbenchError(
            f"{os.fspath(path)} lists pairs of {other}, not of {bench}: `vlsbench audit {bench} "
            "--drop-leaking P` writes a list of its own"
        )
    return frozenset(row[1] for row in rows[1:])


def without(pairs: PairSet, ids: Collection[str]) -> PairSet:
    """Return a benchmark without some of its pairs, as a set of another name.

    Another name, so that no published result of the whole is shown beside results of the rest.
    Where there is nothing to leave out, it is the benchmark itself.

    Raises:
        VlsbenchError: Some of the ids are no pairs of it, or none of its pairs is left.
    """
    if not ids:
        return pairs
    unknown = set(ids) - {pair.id for pair in pairs}
    if unknown:
        some = ", ".join(sorted(unknown)[:3])
        raise VlsbenchError(
            f"{pairs.name} has no pair {some} ({len(unknown)} of the list's {len(ids)} are not "
            "in it): the list belongs to another benchmark or version"
        )

    def rest() -> Iterator[Pair | BadRow]:
        # Rows that were left out before stay on record.
        return chain(pairs.bad, (pair for pair in pairs if pair.id not in ids))

    return pairs.derive(f"{pairs.name} without {len(ids)} leaking pairs", rest)
