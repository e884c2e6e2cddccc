"""From the name that a user gives to an opened benchmark, less the pairs to be left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from vlsbench import registry
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.pairs._fetch import PIN, home_folder
from vlsbench.pairs._generic import open_generic, parse_columns
from vlsbench.pairs._pair import FileImage, Image, MadeImage, Pair, StoredImage
from vlsbench.pairs._parquet import DIGEST
from vlsbench.pairs._readers import FORMS, form_of, read_csv
from vlsbench.pairs._rows import MissingFile, Rows
from vlsbench.pairs._source import PairSet, Source, declared
from vlsbench.registry import Kind
from vlsbench.text import counted, csv_value, storable

DROP_COLUMNS = ("bench", "id", "score", "why")
"""The benchmark stands in every row: ids such as `12` are those of many benchmarks."""
Bench = str | os.PathLike[str] | PairSet | Iterable[Pair]
"""A benchmark as users give it: a name, a path, an opened set, or any pairs."""


def _split(bench: str) -> tuple[str, str]:
    """Split `NAME:VARIANT`, or `NAME/VARIANT` of a benchmark that is made on demand."""
    name, mark, variant = bench.partition(":")
    if not mark and "/" in bench:
        name, _, variant = bench.partition("/")
    return name, variant


def find_source(bench: str) -> tuple[Source, str]:
    """Look up `NAME` or `NAME:VARIANT`.

    Returns:
        The source and its variant (the default one if none is named). What follows a `?` in the
        variant is for the source itself.

    Raises:
        VlsbenchError: There is no such benchmark or variant; names the closest ones.
    """
    name, variant = _split(bench)
    remedy = "`vlsbench bench list` shows all; a custom dataset needs its path, a plug-in --plugin"
    source = declared(registry.get(Kind.SOURCE, name, what="benchmark", remedy=remedy))
    if variant and variant.partition("?")[0] not in source.variants:
        forms = ", ".join(source.variants) or "only one form"
        raise VlsbenchError(f"{name} has no variant {variant!r}; it has {forms}")
    return source, variant or source.default


def _own_set(bench: str) -> Path | None:
    """Return the path of a custom dataset, or None if `bench` is meant to be a name."""
    path = Path(bench).expanduser()
    if bench.startswith((".", "/", "~")):
        return path
    if registry.find(Kind.SOURCE, _split(bench)[0]):
        return None
    looks = "/" in bench or os.sep in bench or form_of(path) in FORMS
    return path if looks or path.exists() else None


def load(
    bench: Bench,
    *,
    data: str | os.PathLike[str] | None = None,
    skip_bad: bool = False,
    columns: Mapping[str, str] | str | None = None,
    leave_out: str | os.PathLike[str] | None = None,
    transforms: Sequence[str] = (),
    controls: Sequence[Bench] = (),
) -> PairSet:
    """Open a benchmark.

    Args:
        bench: `NAME` or `NAME:VARIANT` (`figstep:tiny`, `lab/leakless`), the path of a custom
            dataset (JSONL, CSV, Parquet, or a folder with `metadata.jsonl` / `.csv` / `.parquet`),
            an opened set, or any pairs.
        data: Folder with the benchmark's official layout; by default what `vlsbench bench fetch`
            brought.
        skip_bad: Leave unusable rows out (they are listed in `PairSet.bad`) rather than raise.
        columns: For a custom dataset: field of a pair → column (`{"query": "prompt"}`, or
            `query=prompt,…`).
        leave_out: List of pairs of the benchmark to leave out, as `vlsbench audit BENCH
            --drop-leaking P` writes it; controls stay.
        transforms: Names of registered transforms that every pair passes through, in order;
            controls too, so that harmful and benign pairs differ in nothing else.
        controls: Sets whose benign pairs are added, so that over-refusal is measured too; their
            ids begin with the set's name, and so do names of images that another image has.

    Raises:
        BadRows: Some rows are unusable; lists every one.
        VlsbenchError: No such benchmark, its files are not there, or the list is of another one.
    """
    columns = parse_columns(columns) if isinstance(columns, str) else columns
    if isinstance(bench, PairSet):
        opened = bench
    elif isinstance(bench, str | os.PathLike):
        opened = _open(os.fspath(bench), data, skip_bad, columns)
    else:
        opened = PairSet.of(bench)
    pairs = opened
    for name in transforms:
        change = registry.get(Kind.TRANSFORM, name).target
        pairs = pairs.derive(f"{pairs.name}+{name}", _changed(pairs, change))
    if leave_out is not None:
        pairs = without(pairs, read_drop(leave_out, pairs.name))
    sets = [load(one, skip_bad=skip_bad, transforms=transforms) for one in controls]
    if sets:
        pairs = _controlled(pairs, sets)
    options = [*opened.options, *_column_options(columns)]
    options += [part for name in transforms for part in ("--transform", name)]
    options += ["--leave-out", os.fspath(leave_out)] if leave_out is not None else []
    options += ["--controls", ",".join(one.asked for one in sets)] if sets else []
    pairs.options = tuple(options)
    names = [_absolute(one) for one in (bench, *controls)]
    if not isinstance(bench, PairSet) and None not in names:
        paths = {
            name: None if path is None else os.path.abspath(Path(path).expanduser())
            for name, path in (("data", data), ("leave_out", leave_out))
        }
        pairs.opened = {
            "bench": names[0],
            "columns": dict(columns or {}),
            "controls": names[1:],
            "transforms": [*transforms],
            **paths,
        }
    return pairs


def _absolute(bench: Bench) -> str | None:
    """Return a set as it is named from any folder; None where it has no name."""
    if not isinstance(bench, str | os.PathLike):
        return bench.name if isinstance(bench, PairSet) and bench.opened else None
    own = _own_set(os.fspath(bench))
    return os.fspath(bench) if own is None else os.path.abspath(own)


def _changed(pairs: PairSet, change: Callable[[Pair], Pair | None]) -> Callable[[], Rows]:
    """Return the rows of a set with each pair changed, or left out where it becomes None."""

    def rows() -> Rows:
        yield from pairs.bad  # stays on record
        for pair in pairs:
            if (changed := change(pair)) is not None:
                yield changed

    return rows


def _column_options(columns: Mapping[str, str] | str | None) -> list[str]:
    if isinstance(columns, Mapping):
        columns = ",".join(f"{field}={column}" for field, column in columns.items())
    return ["--columns", columns] if columns else []


def _controlled(pairs: PairSet, sets: Sequence[PairSet]) -> PairSet:
    """Add the benign pairs of other sets."""
    sizes = [sum(not pair.harmful for pair in control) for control in sets]
    for number, (control, size) in enumerate(zip(sets, sizes, strict=True)):
        if control.name in [other.name for other in sets[:number]]:
            raise VlsbenchError(f"control {control.name} is given twice")
        if not size:
            raise VlsbenchError(f"control {control.name} holds no benign pair (harmful = false)")

    def rows() -> Rows:
        known: dict[str, Image] = {}
        yield from pairs.bad
        for pair in pairs:
            known.update((image.ref, image) for image in pair.images)
            yield pair
        for control in sets:
            for pair in control:
                if not pair.harmful:
                    images = tuple(_apart(image, control.name, known) for image in pair.images)
                    yield replace(pair, id=f"{control.name}/{pair.id}", images=images)

    joined = pairs.derive(pairs.name, rows)
    joined.parts = (len(pairs), *sizes)
    return joined


def _apart(image: Image, control: str, known: dict[str, Image]) -> Image:
    """Name a control's image after its set where another image has its name; note it as known."""
    ref = image.ref
    while (other := known.setdefault(ref, image)) != image and _lies(other) != _lies(image):
        ref = f"{control}/{ref}"
    if ref == image.ref or not isinstance(image, FileImage | StoredImage | MadeImage):
        return image
    if isinstance(image, FileImage):
        image = replace(image, path=image.place)  # which it finds by its name
    return replace(image, ref=ref)


def _lies(image: Image) -> tuple[str, int]:
    """Return where an image lies; nowhere if its name says all: it is drawn, or its digest."""
    digest = isinstance(image, StoredImage) and DIGEST.fullmatch(image.ref)
    place = None if digest else getattr(image, "place", None)
    return os.path.realpath(place) if place else "", getattr(image, "offset", 0)


@settings(panel="Dataset")
class DatasetSettings:
    """Which dataset a command reads, and how."""

    dataset: str = option(
        "Name, lab/NAME, or the path of a custom dataset, such as OUT/pairs.", argument=True
    )
    data: Path | None = option("Folder with the benchmark's official files.", default=None)
    columns: str | Mapping[str, str] = option(
        "For a custom dataset: FIELD=COLUMN,… (docs/benchmarks.md).", default=""
    )
    skip_bad: bool = option(
        "Leave unusable pairs out and record them, rather than stop.", default=False
    )

    @property
    def again(self) -> list[str]:
        """How another command opens the same dataset."""
        data = ["--data", str(self.data)] if self.data else []
        return [self.dataset, *data, *_column_options(self.columns)]

    def load(self) -> PairSet:
        """Open the dataset; see `load`."""
        return load(self.dataset, data=self.data, skip_bad=self.skip_bad, columns=self.columns)


def _open(
    bench: str,
    data: str | os.PathLike[str] | None,
    skip_bad: bool,
    columns: Mapping[str, str] | None,
) -> PairSet:
    own = _own_set(bench)
    if own is not None:
        if data is not None:
            raise VlsbenchError(f"{bench} is a path: --data goes with the name of a benchmark")
        return open_generic(own, columns=columns, skip_bad=skip_bad)
    source, variant = find_source(bench)
    if columns:
        raise VlsbenchError(f"{source.name} has its own layout: columns are for custom datasets")
    name = f"{source.name}:{variant}" if variant != source.default else source.name
    needs = source.needs_files
    if data is not None and not needs:
        raise VlsbenchError(f"{source.name} is made on demand: it takes no --data")
    root = home_folder(source.name) if data is None else Path(data).expanduser()
    try:
        if needs and data is None and not (root / PIN).exists():
            raise MissingFile(f"{'only partly' if root.exists() else 'not'} fetched")
        if needs and not root.is_dir():
            raise MissingFile(f"no folder {root}")
        return PairSet(
            name if needs else bench,
            partial(source.read, root, variant),
            skip_bad=skip_bad,
            source=source,
            variant=variant.partition("?")[0],
            root=root if needs else None,
        )
    except MissingFile as error:
        raise VlsbenchError(
            f"{name}: {error}; run `vlsbench bench fetch {source.name}` or point --data at a copy "
            f"(of BENCH; a control must be fetched); expected layout: {source.layout}"
        ) from None


def read_drop(path: str | os.PathLike[str], bench: str) -> frozenset[str]:
    """Return the ids on a list that `--drop-leaking` wrote for a benchmark.

    Raises:
        VlsbenchError: The file cannot be read, is no such list, or is one of another benchmark.
    """
    where = os.fspath(path)
    try:
        rows = list(read_csv(Path(where), *DROP_COLUMNS))
    except VlsbenchError as error:
        if not os.path.isfile(where):
            raise
        raise VlsbenchError(
            f"{error}; a drop list's columns must be {', '.join(DROP_COLUMNS)}: `vlsbench audit "
            "BENCH --drop-leaking P` writes one"
        ) from None
    ids = set()
    for number, row in rows:
        if not isinstance(row, Mapping):
            raise VlsbenchError(f"{where}, row {number}: {row}")
        if (other := csv_value(row["bench"])) != storable(bench):
            raise VlsbenchError(
                f"{where} lists pairs of {other}, not of {bench}: `vlsbench audit {bench} "
                "--drop-leaking P` writes a list of its own"
            )
        ids.add(csv_value(row["id"]))
    return frozenset(ids)


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

    name = f"{pairs.name} without {counted(len(ids), 'leaking pair')}"
    return pairs.derive(name, _changed(pairs, lambda pair: None if pair.id in ids else pair))
