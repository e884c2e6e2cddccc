"""Parquet tables of dataclasses."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vlsbench.tables import BATCH, RowWriter, TableError, read_rows


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Toaster:
    name: str
    slots: int
    watts: float | None
    loud: bool
    parts: list[str]
    colour: Colour = Colour.RED
    owner: str | None = None


@dataclass(frozen=True)
class Short:
    name: str
    colour: Colour
    parts: tuple[str, ...] = ()
    price: float = 9.5


def stored(path: Path, *rows: Toaster) -> Path:
    with RowWriter(Toaster, path) as writer:
        for row in rows:
            writer.add(row)
    return path


def test_rows_come_back_as_they_were(tmp_path: Path) -> None:
    rows = [
        Toaster(f"t{n}", n, n / 2 if n % 3 else None, n % 2 == 0, ["lid"] * (n % 3), Colour.BLUE)
        for n in range(2 * BATCH + 1)
    ]
    path = stored(tmp_path / "t.parquet", *rows)
    assert list(read_rows(path, Toaster)) == rows
    assert list(read_rows(stored(tmp_path / "none.parquet"), Toaster)) == []


def test_fewer_fields_read_fewer_columns_and_defaults_fill_missing_ones(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.parquet", Toaster("a", 2, None, False, ["lid", "tray"]))
    assert list(read_rows(path, Short)) == [Short("a", Colour.RED, ("lid", "tray"), 9.5)]


def test_half_surrogates_become_question_marks(tmp_path: Path) -> None:
    path = stored(tmp_path / "t.parquet", Toaster("a\ud800b", 2, 1.0, False, ["\udc00"]))
    (row,) = read_rows(path, Toaster)
    assert (row.name, row.parts) == ("a?b", ["?"])


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        ({"price": [1.0]}, "no column colour, name"),
        ({"name": ["a"], "colour": ["green"]}, "[0].colour: Invalid enum value 'green'"),
        ({"name": [None], "colour": ["red"]}, "[0].name: must be text, not null"),
        (
            {"name": ["a"], "colour": ["red"], "price": ["much"]},
            "[0].price: must be a number, not text",
        ),
        ({"name": [{"x": 1}], "colour": ["red"]}, "[0].name: must be text, not a table"),
    ],
)
def test_what_does_not_fit_is_one_error_with_file_and_column(
    tmp_path: Path, columns: dict[str, list[object]], what: str
) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(TableError) as caught:
        list(read_rows(path, Short, remedy="buy a new one"))
    message = str(caught.value)
    assert message.startswith(f"{path} cannot be read ({what}")
    assert message.endswith("; buy a new one")
    assert "\n" not in message


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"no table"])
def test_a_file_that_is_no_table_is_one_error(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "t.parquet"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(TableError, match=r"t\.parquet cannot be read"):
        list(read_rows(path, Short))


def test_a_writer_left_by_an_error_still_closes_its_file(tmp_path: Path) -> None:
    def fail() -> None:
        with RowWriter(Toaster, tmp_path / "t.parquet") as writer:
            writer.add(Toaster("a", 2, None, False, []))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(read_rows(tmp_path / "t.parquet", Toaster)) == []
