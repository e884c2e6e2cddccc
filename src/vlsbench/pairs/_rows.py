"""Rows as benchmarks publish them, to pairs, with what is wrong kept per row."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.pairs._pair import Grades, Image, Pair, RowError
from vlsbench.pairs._parquet import Embedded, Labelled
from vlsbench.pairs._readers import READERS, form_of

Rows = Iterator[Pair | BadRow]


class MissingFile(VlsbenchError):
    """The folder is not laid out as the benchmark is published."""


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one row, checked as they are read."""

    fields: dict[str, Any]
    label: str = ""
    """Where it stands in its file, as the user would look it up."""

    def text(self, key: str) -> str:
        """Return a required text. Raises `RowError` if it is absent, empty or no text."""
        if key not in self.fields:
            raise RowError(f"no {key!r}")
        value = self.maybe(key)
        if not value or value.isspace():
            raise RowError(f"{key!r} is empty")
        return value

    def maybe(self, key: str) -> str:
        """Return a text that may be absent, null or empty. Raises `RowError` if it is no text."""
        value = self.fields.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise RowError(f"{key!r} is {type(value).__name__}, not text")
        return value

    def id(self, key: str) -> str:
        """Return a required id, written as text or as a whole number."""
        value = self.fields.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # pandas writes whole numbers with gaps as 1.0
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(key)

    def choice(self, key: str, *allowed: str) -> str:
        """Return a required text that is one of some. Raises `RowError` if it is another."""
        if (said := self.text(key).strip()) not in allowed:
            raise RowError(f"{key!r} is {said[:40]!r}, not one of {', '.join(allowed)}")
        return said

    def image(self, key: str, ref: str) -> Image:
        """Return the image in a Parquet cell, named `ref`, or else as the file names it."""
        cell = self.fields.get(key)
        if not isinstance(cell, Embedded):
            raise RowError(f"no {key}")
        ref = ref or cell.names[0]
        return replace(cell.images[0], ref=ref) if ref else cell.images[0]

    def only(self, *keys: str) -> dict[str, Any]:
        """Return those of `keys` that the row has, for `Pair.meta`."""
        return {key: self.fields[key] for key in keys if self.fields.get(key) is not None}


def pairs_from(file: str, rows: Labelled, make: Callable[[Fields], Pair | None]) -> Rows:
    """Turn rows into pairs; a row that `make` rejects with `RowError` becomes a `BadRow`.

    Args:
        file: Name of the file, for the user.
        rows: What a reader of this module yields.
        make: From a row to its pair; None where the row is none of this variant's.
    """
    for label, fields in rows:
        result: Pair | BadRow | None
        try:
            if isinstance(fields, RowError):
                raise fields
            if not isinstance(fields, dict):
                raise RowError("is no object")
            result = make(Fields(fields, label))
        except RowError as error:
            result = BadRow(file, label, str(error))
        if result:
            yield result


Column = str | Callable[[Fields], str]
"""A column of texts, or what makes a text of several; empty where the file has none."""


def read_pairs(
    file: Path,
    *,
    query: Column,
    id: Column = "",
    images: Callable[[Fields], Sequence[Image]] = lambda row: (),
    category: Column = "",
    subcategory: Column = "",
    harmful: bool | Callable[[Fields], bool] = True,
    description: Column = "",
    reason: Column = "",
    source: Column = "",
    language: str | Callable[[Fields], str] = "",
    twin: Column = "",
    grades: Grades | Callable[[Fields], Grades | None] | None = None,
    meta: Sequence[str] | Callable[[Fields], dict[str, Any]] = (),
    keep: Callable[[Fields], bool] = lambda row: True,
) -> Rows:
    """Read the pairs of a file that holds one a row.

    Every row must have its id, query and category; the other texts may be absent or empty.

    Args:
        file: One of `READERS`.
        query: Column of the queries.
        id: Column of the ids; without one, a row's label is its id.
        images: Refers to a row's images.
        category: Column of the categories.
        subcategory: Column of the sub-categories.
        harmful: Whether the pairs are harmful.
        description: Column of what the images show.
        reason: Column of why pairs are harmful.
        source: Column of where images come from.
        language: ISO 639 code of the queries' language, or what tells a row's.
        twin: Column of the ids of twins.
        grades: How harmful the pairs and their parts are held to be.
        meta: Columns kept as they are, where a row has them.
        keep: Whether a row is one of the variant that is read.

    Raises:
        VlsbenchError: The file cannot be read.
    """

    def text(row: Fields, column: Column) -> str:
        return column(row) if callable(column) else row.text(column)

    def maybe(row: Fields, column: Column) -> str:
        # Without a name it is no column: pandas writes one of row numbers that has none.
        return column(row) if callable(column) else row.maybe(column) if column else ""

    def make(row: Fields) -> Pair | None:
        if not keep(row):
            return None
        return Pair(
            id=row.label if not id else row.id(id) if isinstance(id, str) else id(row),
            query=text(row, query),
            images=tuple(images(row)),
            category=text(row, category) if category else "",
            subcategory=maybe(row, subcategory),
            harmful=harmful(row) if callable(harmful) else harmful,
            description=maybe(row, description),
            reason=maybe(row, reason),
            source=maybe(row, source),
            language=language(row) if callable(language) else language,
            twin=maybe(row, twin),
            grades=grades(row) if callable(grades) else grades,
            meta=meta(row) if callable(meta) else row.only(*meta),
        )

    return pairs_from(file.name, READERS[form_of(file)](file), make)


def find(root: Path, *names: str) -> Path:
    """Return the first of `names` that is in `root`. Raises `MissingFile` naming the first."""
    for name in names:
        if (root / name).exists():
            return root / name
    raise MissingFile(f"no {names[0]} in {root}")


def folder_of(root: Path, *names: str) -> Path:
    """Return the first of the folders `names` that is in `root`, or the first if none is.

    For image folders: a set opens without its images, and the missing ones are named later.
    """
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])
