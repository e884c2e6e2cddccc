"""JSON and TOML into dataclasses: what is wrong is named by file and key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

from vlsbench.schemas import (
    SchemaError,
    convert,
    decode_json,
    parse_value,
    read_json,
    read_jsonl,
    read_toml,
)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Slot:
    width: float
    crumbs: int | None = None

    def __post_init__(self) -> None:
        if self.width <= 0:
            raise ValueError("width: must be above 0")


@dataclass(frozen=True)
class Toaster:
    name: str
    slots: tuple[Slot, ...] = ()
    by_side: Mapping[str, Slot] = field(default_factory=dict)
    colour: Colour = Colour.RED
    loud: bool = False


def test_plain_values_become_dataclasses() -> None:
    found = convert(
        {"name": "T", "slots": [{"width": 3}], "by_side": {"left": {"width": 1.5}}}, Toaster, "t"
    )
    assert found == Toaster("T", (Slot(3.0),), {"left": Slot(1.5)})


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({}, "missing key name"),
        ({"name": "T", "slots": [{}]}, "missing key slots[0].width"),
        ({"name": 3}, "name: must be text, not a whole number"),
        ({"name": "T", "loud": "yes"}, "loud: must be true or false, not text"),
        ({"name": "T", "colour": "mauve"}, "colour: Invalid enum value 'mauve'"),
        ({"name": "T", "colours": 1}, "unknown key colours; there are name, slots, by_side"),
        ({"name": "T", "slots": [{"width": 1, "depth": 2}]}, "unknown key slots[0].depth"),
        ({"name": "T", "slots": [{"width": -1}]}, "slots[0].width: must be above 0"),
        (
            {"name": "T", "slots": [{"width": 1, "crumbs": "few"}]},
            "slots[0].crumbs: must be a whole number or null, not text",
        ),
        (
            {"name": "T", "by_side": {"left": {"width": 1}, "right": {"width": "wide"}}},
            "by_side.right.width: must be a number, not text",
        ),
        ([], "must be a table, not a list"),
    ],
)
def test_what_does_not_fit_is_named_by_its_key(value: object, what: str) -> None:
    with pytest.raises(SchemaError) as caught:
        convert(value, Toaster, "toaster.json")
    assert str(caught.value).startswith(f"toaster.json: {what}")


def test_keys_of_other_tools_are_passed_over_where_that_is_asked() -> None:
    value = {"name": "T", "made_by": "another tool", "slots": [{"width": 1, "depth": 2}]}
    assert convert(value, Toaster, "t", foreign=True) == Toaster("T", (Slot(1.0),))


def test_files_are_read_and_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('{"name": "half a surrogate: \\ud800", "loud": true}')
    assert read_json(path, Toaster) == Toaster("half a surrogate: \ud800", loud=True)
    with pytest.raises(SchemaError, match=r"t\.json follows schema None; this version reads 'x/1'"):
        read_json(path, Toaster, schema="x/1")
    with pytest.raises(SchemaError, match=r"none\.json: no such file"):
        read_json(tmp_path / "none.json", Toaster)
    for text in ("", "{", "[" * 100_000, '"\xff"'):
        path.write_bytes(text.encode("latin-1"))
        with pytest.raises(SchemaError, match=r"t\.json is not valid JSON"):
            read_json(path, Toaster)
    with pytest.raises(SchemaError, match="a text is not valid JSON"):
        decode_json("{", Toaster, "a text")


def test_json_lines_are_read_one_by_one_and_named_by_number(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"name": "a"}\n\n{"name": "b"}\n{"name": 3}\n')
    rows = read_jsonl(path, Toaster)
    assert [next(rows).name, next(rows).name] == ["a", "b"]
    with pytest.raises(SchemaError, match=r"t\.jsonl, line 4: name: must be text"):
        next(rows)


def test_toml_is_read_and_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('name = "T"')
    assert read_toml(path) == {"name": "T"}
    path.write_text("name = ")
    with pytest.raises(SchemaError, match=r"t\.toml is not valid TOML: Invalid value"):
        read_toml(path)
    assert [parse_value(text) for text in ("2", " 0.5", "true", '"x"', "x y", "[1]", "")] == [
        *(2, 0.5, True, "x", "x y", [1], ""),
    ]
