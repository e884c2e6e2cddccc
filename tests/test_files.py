"""Folders are there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from vlsbench.files import whole_folder, write_csv
from vlsbench.pairs import read_csv


def _fill(place: Path, text: str) -> None:
    with whole_folder(place) as folder:
        (folder / "toaster.txt").write_text(text)


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    place = tmp_path / "deep" / "kitchen"
    for text in ("old", "new"):
        _fill(place, text)
        assert (place / "toaster.txt").read_text() == text
    assert [path.name for path in place.parent.iterdir()] == ["kitchen"]


def test_what_fails_half_way_leaves_the_old_folder_alone(tmp_path: Path) -> None:
    place = tmp_path / "kitchen"
    _fill(place, "old")
    with pytest.raises(FileNotFoundError), whole_folder(place) as folder:
        (folder / "no such folder" / "kettle.txt").write_text("half")
    assert [path.name for path in tmp_path.rglob("*")] == ["kitchen", "toaster.txt"]


def test_what_a_killed_process_left_is_not_taken_over(tmp_path: Path) -> None:
    place = tmp_path / "kitchen"
    (tmp_path / ".kitchen.part").mkdir()
    (tmp_path / ".kitchen.part" / "crumbs.txt").write_text("half")
    _fill(place, "new")
    assert [path.name for path in tmp_path.rglob("*")] == ["kitchen", "toaster.txt"]


def test_a_table_with_half_a_surrogate_pair_is_read_again(tmp_path: Path) -> None:
    write_csv([("1", "half \ud83d"), ("2", "=1+1")], tmp_path / "x.csv", ("id", "text"))
    rows = [row for _, row in read_csv(tmp_path / "x.csv", "id", "text")]
    assert rows == [{"id": "1", "text": "half ?"}, {"id": "2", "text": "'=1+1"}]
