"""From what a user calls a set to the rows that a method learns from."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import NamedTuple

from vlsbench.aligning._settings import Method, Row
from vlsbench.aligning.data import generic
from vlsbench.aligning.data._rows import TrainingSet
from vlsbench.aligning.data._sets import TRAINING_SETS
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import whole_file
from vlsbench.pairs import ImageError, MissingFile, Pin, StoredImage, fetch, read_pin


@dataclass(frozen=True)
class Data:
    """Rows to train on, and what must be said of them."""

    name: str
    rows: Sequence[Row]
    bad: tuple[BadRow, ...]
    """Left out."""
    sets: tuple[TrainingSet, ...]
    """The published ones, and those of the Hub."""
    fetched: tuple[Pin, ...]
    """What was fetched, and at which commit."""

    @property
    def licences(self) -> dict[str, str]:
        """Set → licence."""
        return {one.name: one.licence for one in self.sets}

    @property
    def accepted(self) -> tuple[str, ...]:
        """Sets whose licence restricts training, and that the user took all the same."""
        return tuple(one.name for one in self.sets if not one.free)


def open_data(
    specs: Sequence[str],
    method: Method,
    *,
    accept_licence: bool = False,
    skip_bad: bool = False,
    limit: int | None = None,
) -> Data:
    """Open one or more sets as the rows that a method learns from; see `AlignConfig`.

    Raises:
        BadRows: Some rows cannot be used; lists every one, of all sets.
        VlsbenchError: There is no such set or form, or its licence was not accepted.
    """
    opened = [_open(spec, method.form, accept_licence) for spec in specs]
    every = [row for one in opened for row in islice(one.rows, limit)]
    bad = [row for row in every if isinstance(row, BadRow)]
    name = " + ".join(specs)
    if bad and not skip_bad:
        raise BadRows(name, bad, rest=len(bad) < len(every))
    return Data(
        name,
        [row for row in every if not isinstance(row, BadRow)],
        tuple(bad),
        tuple(one.known for one in opened if one.known),
        tuple(one.pin for one in opened if one.pin),
    )


class _Opened(NamedTuple):
    known: TrainingSet | None
    pin: Pin | None
    rows: Iterable[Row | BadRow]


def _open(spec: str, form: str, accept_licence: bool) -> _Opened:
    name, _, folder = spec.partition("=")
    known = generic.of_the_hub(spec) if spec.startswith(generic.HUB) else TRAINING_SETS.get(name)
    if known is None:
        return _Opened(None, None, _own(spec))
    if form not in known.serves:
        others = [one.name for one in TRAINING_SETS.values() if form in one.serves]
        raise VlsbenchError(
            f"{known.name} has no {form} rows (it serves {', '.join(known.serves)}); "
            f"take {' or '.join(others)}"
        )
    if not known.free and not accept_licence:
        raise VlsbenchError(
            f"{known.name} is under a licence that restricts training ({known.licence}): read it, "
            "and say --accept-licence if what you train may be trained on it"
        )
    root = Path(folder).expanduser() if folder else fetch(known)
    try:
        # The first row is asked for here, so that a missing file is known before anything else.
        rows = iter(known.read(root, form))
        first = list(islice(rows, 1))
    except MissingFile as error:
        raise VlsbenchError(f"{known.name}: {error}; expected layout: {known.layout}") from None
    return _Opened(known, read_pin(root), chain(first, rows))


def _own(spec: str) -> Iterable[Row | BadRow]:
    """Open rows of the user's own."""
    path = Path(spec).expanduser()
    if path.is_file():
        return generic.read(path)
    if path.is_dir():
        return generic.read_folder(path)
    close = difflib.get_close_matches(spec.partition("=")[0], TRAINING_SETS, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    raise VlsbenchError(
        f"no training set or file {spec!r}: {hint}there are {', '.join(TRAINING_SETS)}, "
        "hub:OWNER/NAME, and your own JSONL or Parquet files"
    )


def unpack(rows: Sequence[Row], folder: Path) -> list[Row]:
    """Write images that lie inside Parquet files out, once, and return rows with their paths.

    A Parquet file is read a row group at a time: to look one image up is to read thousands.
    """
    return [
        {**row, "images": [_unpacked(image, folder) for image in row["images"]]}
        if row.get("images")
        else row
        for row in rows
    ]


def _unpacked(image: object, folder: Path) -> object:
    if not isinstance(image, StoredImage):
        return image
    try:
        data = image.read()
    except ImageError:  # said of all that are bad, once all are known
        return image
    path = folder / data.sha256[:2] / data.sha256
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as part:
            part.write_bytes(data.data)
    return path
