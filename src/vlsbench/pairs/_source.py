"""How a benchmark is declared, opened and walked.

A source is one function that reads a benchmark's official layout from a folder and yields a
`Pair` or a `BadRow` for each of its rows; the decorator tells the rest of the world about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.pairs._pair import Pair

Rows = Iterator[Pair | BadRow]


@dataclass(frozen=True, slots=True)
class Home:
    """Where a benchmark is published, and which state of it we read."""

    hub: str = ""
    """Dataset id on the Hugging Face Hub."""
    revision: str = ""
    """Commit of the Hub repository; empty where it is not known (the first fetch pins it)."""
    github: str = ""
    commit: str = ""
    sha256: Mapping[str, str] = field(default_factory=dict)
    """File → digest, checked after a fetch."""
    files: tuple[str, ...] = ()
    """Glob patterns of what a fetch brings; empty brings everything."""


@dataclass(frozen=True, slots=True)
class Source:
    """A benchmark that vlsbench can read."""

    name: str
    title: str
    paper: str
    """arXiv id."""
    licence: str
    home: Home
    size: str
    """Rows and images of the published whole, in words."""
    rows: Mapping[str, int]
    """Variant → rows of the published whole (`""` where there is only one form)."""
    variants: Mapping[str, str]
    """Name → what it holds, the default first; empty where there is only one form."""
    layout: str
    """The files that `--data DIR` must hold."""
    read: Callable[[Path, str], Rows] = field(repr=False)

    @property
    def default(self) -> str:
        """The variant that the bare name stands for; empty where there is only one form."""
        return next(iter(self.variants), "")


def source(
    *,
    name: str,
    title: str,
    paper: str,
    licence: str,
    home: Home,
    size: str,
    rows: Mapping[str, int],
    layout: str,
    variants: Mapping[str, str] | None = None,
) -> Callable[[Callable[[Path, str], Rows]], Source]:
    """Declare the function below it, `(root, variant) -> rows`, to be a benchmark.

    The arguments are the fields of `Source`.
    """

    def declare(read: Callable[[Path, str], Rows]) -> Source:
        return Source(
            name=name,
            title=title,
            paper=paper,
            licence=licence,
            home=home,
            size=size,
            rows=rows,
            variants=variants or {},
            layout=layout,
            read=read,
        )

    return declare


class PairSet:
    """An opened benchmark: known to be readable, walked from disk each time it is iterated.

    Holds no pair and no image, so that a set of any size costs the same.
    """

    def __init__(
        self,
        name: str,
        rows: Callable[[], Iterable[Pair | BadRow]],
        *,
        skip_bad: bool = False,
        source: Source | None = None,
        variant: str = "",
        root: Path | None = None,
    ) -> None:
        """Walk the set once.

        Args:
            name: What the user calls it (`figstep:tiny`).
            rows: Starts a new walk over the rows.
            skip_bad: Leave unusable rows out (they stay in `bad`) rather than raise.
            source: Its declaration, if it has one.
            variant: The form of the source that was opened.
            root: The folder or file it was read from.

        Raises:
            BadRows: Some rows are unusable; the error lists every one.
            VlsbenchError: Nothing is left to run.
        """
        self.name = name
        self.source = source
        self.variant = variant
        self.root = root
        self._rows = rows
        bad: list[BadRow] = []
        ids: set[str] = set()
        for row in rows():
            if isinstance(row, BadRow):
                bad.append(row)
            elif row.id in ids:
                bad.append(BadRow(name, row.id, "id occurs twice"))
            else:
                ids.add(row.id)
        if bad and not skip_bad:
            raise BadRows(name, bad)
        if not ids:
            raise VlsbenchError(f"{name}: no usable row in {root or 'the set'}")
        self.bad = tuple(bad)
        self._count = len(ids)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Pair]:
        """Walk the usable pairs in the order of the files."""
        seen: set[str] | None = set() if self.bad else None
        for row in self._rows():
            if isinstance(row, BadRow):
                continue
            if seen is not None:
                if row.id in seen:
                    continue
                seen.add(row.id)
            yield row


def image_faults(pairs: Iterable[Pair]) -> list[BadRow]:
    """Look at every image once, without decoding it, and say which pairs cannot be shown.

    Returns:
        One `BadRow` for each pair with a missing, empty, cut-off or unreadable image: the file is
        the image's name in the set, the row is the pair's id.
    """
    known: dict[str, str | None] = {}
    bad = []
    for pair in pairs:
        for image in pair.images:
            if image.ref not in known:
                known[image.ref] = image.fault()
            if fault := known[image.ref]:
                bad.append(BadRow(image.ref, pair.id, fault))
                break
    return bad
