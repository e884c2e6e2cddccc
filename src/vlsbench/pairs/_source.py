"""How a benchmark is declared, opened and walked.

A source is one function that reads a benchmark's official layout from a folder and yields a
`Pair` or a `BadRow` for each of its rows; `registry.source` declares it to everything else.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from html import escape
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench import registry
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.pairs._decode import ImageError, decode, encode
from vlsbench.pairs._pair import Image, Pair
from vlsbench.pairs._rows import Rows
from vlsbench.registry import Entry, Kind
from vlsbench.text import block, storable

METRICS: Mapping[str, str] = {
    "safety": "safety rate (refused or warned), higher is better",
    "over-refusal": "over-refusal rate (benign pairs refused), lower is better",
    "both": "safety rate of the harmful pairs, higher is better; over-refusal rate of the benign "
    "ones, lower is better",
}
"""What the results on a benchmark are read by."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where a benchmark is published, and which state of it we read."""

    hub: str = ""
    """Dataset id on the Hugging Face Hub."""
    revision: str = ""
    """Commit of the Hub repository; empty where it is not known (the first fetch pins it)."""
    github: str = ""
    commit: str = ""
    files: tuple[str, ...] = ()
    """Glob patterns of what a fetch brings; empty brings everything."""


@dataclass(frozen=True, slots=True)
class Source:
    """A benchmark that vlsbench can read."""

    name: str
    read: Callable[[Path, str], Rows] = field(repr=False)
    title: str = ""
    probes: str = ""
    """What it finds out about a model, in words."""
    metric: str = ""
    """What is read from its results, a key of `METRICS`."""
    paper: str = ""
    """arXiv id."""
    licence: str = ""
    home: Home | None = None
    """None where there is nothing to fetch."""
    size: str = ""
    """Rows and images of the published whole, in words."""
    rows: Mapping[str, int] = field(default_factory=dict)
    """Variant → rows of the published whole, 0 where that is not known (`""` where there is only
    one form)."""
    variants: Mapping[str, str] = field(default_factory=dict)
    """Name → what it holds, the default first; empty where there is only one form."""
    caution: str = ""
    """What was not checked against the published set, or differs from how its paper asks."""
    layout: str = ""
    """The files that `--data DIR` must hold."""
    content: Mapping[str, str] = field(default_factory=dict)
    """What its pairs show, as a release must say: the fields of `releasing.Content`; empty where
    whoever releases them has to."""
    simulated: bool = False
    """Its pairs are made up: results on them say nothing about the world."""

    @property
    def needs_files(self) -> bool:
        """False where its pairs are made on demand."""
        return self.home is not None or bool(self.layout)

    @property
    def default(self) -> str:
        """The variant that the bare name stands for; empty where there is only one form."""
        return next(iter(self.variants), "")


def declared(entry: Entry) -> Source:
    """Return what a registered benchmark declares.

    Raises:
        VlsbenchError: Its declaration has fields that no benchmark has.
    """
    try:
        return Source(
            name=entry.name, read=entry.target, simulated=entry.simulated, **entry.declaration
        )
    except TypeError:
        known = (
            one.name for one in fields(Source) if one.name not in ("name", "read", "simulated")
        )
        raise VlsbenchError(
            f"{entry.origin}: benchmark {entry.name!r} declares {', '.join(entry.declaration)}; it "
            f"can declare {', '.join(known)}"
        ) from None


def list_sources() -> dict[str, Source]:
    """Return name → declaration of every benchmark, plug-ins included."""
    return {entry.name: declared(entry) for entry in registry.entries(Kind.SOURCE)}


@dataclass(slots=True)
class Columns:
    """What was made of a custom dataset's columns."""

    rows: int = 0
    assumed: int = 0
    """Rows of which no column says whether they are harmful."""
    unused: dict[str, str] = field(default_factory=dict)
    """Column that is no field of a pair → what it looks like; empty where nobody knows."""

    @property
    def hints(self) -> tuple[str, ...]:
        """What unused columns look like."""
        return tuple(filter(None, self.unused.values()))

    def said(self) -> Iterator[str]:
        """Say what was assumed, in lines."""
        if self.assumed:
            some = "all" if self.assumed == self.rows else f"{self.assumed:,} of"
            who = f"{some} {self.rows:,} pairs are" if self.rows > 1 else "the pair is"
            unused = f"; columns not used: {', '.join(self.unused)}" if self.unused else ""
            yield f"{who} taken as harmful{unused}"
        yield from self.hints


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
        self.asked = name
        """What was asked for; `name` also says what was changed."""
        self.options: tuple[str, ...] = ()
        """Options with which a command line opens the same set."""
        self.opened: Mapping[str, Any] | None = None
        """What `load` was called with, paths made absolute; None where objects were given."""
        self.source = source
        self.variant = variant
        self.root = root
        self._walk = rows
        bad: list[BadRow] = []
        ids: set[str] = set()
        for row in self._rows():
            if isinstance(row, BadRow):
                bad.append(row)
            elif row.id in ids:
                bad.append(BadRow(name, row.id, "id occurs twice"))
            else:
                ids.add(row.id)
        if bad and not (skip_bad and ids):
            raise BadRows(name, bad, rest=bool(ids))
        if not ids:
            raise VlsbenchError(f"{name}: no usable row in {root or 'the set'}")
        self.bad = tuple(bad)
        self._count = len(ids)
        self.columns = Columns()
        self.parts: tuple[int, ...] = (self._count,)
        """Sizes of the sets it is joined of, in order; a sample is drawn from each."""

    def _rows(self) -> Iterator[Pair | BadRow]:
        """Start a walk; whatever goes wrong in the code that reads is one line."""
        with registry.guarded(f"benchmark {self.name} cannot be read"):
            for row in self._walk():
                if not isinstance(row, Pair | BadRow):
                    raise VlsbenchError(
                        f"{self.name}: expected vlsbench.pairs.Pair objects, not "
                        f"{type(row).__name__}: write Pair(id=…, query=…), or save the rows as "
                        "JSONL and give its path"
                    )
                if isinstance(row, Pair) and (fault := _wrong(row)):
                    row = BadRow(self.name, storable(str(row.id)), fault)
                yield row

    @property
    def arguments(self) -> str:
        """How a command line opens the set: its file, or its name and folder, with options."""
        given = [self.asked]
        if self.root:
            given = [self.asked, "--data", str(self.root)] if self.source else [str(self.root)]
        return shlex.join([*given, *self.options])

    @classmethod
    def of(cls, pairs: Iterable[Pair], name: str = "custom") -> PairSet:
        """Make a set of any pairs; an iterator is read once and kept."""
        if not isinstance(pairs, Iterable):
            raise VlsbenchError(f"{pairs!r} is no benchmark: give a name, a path or Pair objects")
        kept = pairs if isinstance(pairs, Sequence) else tuple(pairs)
        return cls(name, lambda: kept)

    @property
    def simulated(self) -> bool:
        """Whether the pairs are made up, as the lab's are."""
        return self.source is not None and self.source.simulated

    def derive(self, name: str, rows: Callable[[], Iterable[Pair | BadRow]]) -> PairSet:
        """Return a set made from this one: same declaration, other rows."""
        made = PairSet(
            name,
            rows,
            skip_bad=bool(self.bad),
            source=self.source,
            variant=self.variant,
            root=self.root,
        )
        made.columns, made.asked, made.options = self.columns, self.asked, self.options
        return made

    @property
    def title(self) -> str:
        """Title of the benchmark; its name where it is no declared one."""
        return self.source.title if self.source else self.name

    @property
    def paper(self) -> str:
        """The paper of the benchmark; empty where none is declared."""
        return self.source.paper if self.source else ""

    @property
    def licence(self) -> str:
        """The licence of the benchmark; empty where none is declared."""
        return self.source.licence if self.source else ""

    def __len__(self) -> int:
        return self._count

    def __repr__(self) -> str:
        return f"<PairSet {self.name}: {len(self):,} {'pair' if len(self) == 1 else 'pairs'}>"

    def _repr_html_(self) -> str:
        """Show the first pairs; their images stay blurred until they are clicked."""
        rows = "".join(
            f"<tr><td>{_text(pair.id)}</td><td>{_text(pair.category)}</td>"
            f"<td>{_text(pair.query)}</td><td>{''.join(map(_blurred, pair.images))}</td></tr>"
            for pair in islice(self, 5)
        )
        return (
            f"{_STYLE}<b>{_text(self.name)}</b>, n = {len(self):,}<table class='vlsbench'><tr>"
            f"<th>id</th><th>category</th><th>query</th><th>images</th></tr>{rows}</table>"
        )

    def __iter__(self) -> Iterator[Pair]:
        """Walk the usable pairs in the order of the files."""
        seen: set[str] = set()
        for row in self._rows():
            if isinstance(row, Pair) and not (self.bad and row.id in seen):
                if self.bad:
                    seen.add(row.id)
                yield row


_STYLE = (
    "<style>.vlsbench img {filter: blur(12px)} .vlsbench img:focus {filter: none}</style>"
    '<p class="vlsbench">Click an image to see it.</p>'
)


def _text(said: object) -> str:
    return escape(block(said))


def _blurred(image: Image) -> str:
    try:
        small = encode(decode(image.read(), image.ref, side=96), image.ref)
    except (ImageError, OSError) as error:
        return f"<i>{_text(error)}</i>"
    data = small.base64.decode()
    return f'<img tabindex="0" alt="blurred image" src="data:image/png;base64,{data}">'


_TEXTS = ("id", "query", "category", "subcategory", "description", "reason", "language", "twin")


def _wrong(pair: Pair) -> str:
    """Say which field of a pair that others made is of another type; empty where none is."""
    for name in (*_TEXTS, "harmful"):
        kind, wanted = (bool, "True or False") if name == "harmful" else (str, "text")
        if not isinstance(value := getattr(pair, name), kind):
            return f"{name} is {value!r:.40}, not {wanted}"
    # Text may hold half surrogates, legal in JSON; ids go to files and come back.
    if pair.id != storable(pair.id):
        return "its id holds half a surrogate pair, which is not text: give it another"
    images: object = pair.images
    if not isinstance(images, list | tuple) or not all(hasattr(one, "read") for one in images):
        return f"images are {images!r:.40}, not a tuple of vlsbench.pairs.file_image(FOLDER, PATH)"
    return ""


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
