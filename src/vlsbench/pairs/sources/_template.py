"""How the values of a declaration are written, and read from a row.

A value is

- a template, `"{Behavior}"`, in which a column stands in braces; a dot leads into an object, or by
  place into a list (`{turns.0}`);
- a list of templates, of which the first is taken whose columns are filled, else the last;
- a table of templates, chosen by the columns in `by`; its keys are patterns (`"*"`), for
  several columns one each, parted as in `"{usage}/{risk}"`.

Beside the columns of a row, templates know the `{variant}`, what a pattern of files names
(`"{language}/*.json"`), and `{@row}`, `{@file}` and `{@folder}`: the row's label, its file without
its ending, and that file's folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from itertools import pairwise
from math import isnan
from string import Formatter
from typing import Any

from vlsbench.pairs import Fields, RowError

Said = str | tuple[str, ...] | dict[str, str]
"""A value as it is declared: a template, alternatives, or cases."""
Get = Callable[[Fields, str], str]
"""Reads a column of a row."""


def value_of(
    said: Said, known: Mapping[str, str], get: Get = Fields.text
) -> Callable[[Fields], str]:
    """Return what reads a value of a row as it is declared."""
    if isinstance(said, str):
        return _template(said, known, get)
    if isinstance(said, dict):
        return _cases(said, known, get)
    *others, last = [(columns_of(one, known), _template(one, known, get)) for one in said]

    def first(row: Fields) -> str:
        for columns, write in others:
            if all(word(*within(row, name)) for name in columns):
                return write(row)
        return last[1](row)

    return first


def _cases(said: Mapping[str, str], known: Mapping[str, str], get: Get) -> Callable[[Fields], str]:
    columns = said["by"].split("/")
    names = [column.strip("{}") for column in columns]
    cases = [
        (key.split("/", len(names) - 1), _template(text, known, get))
        for key, text in said.items()
        if key != "by"
    ]

    def chosen(row: Fields) -> str:
        fitting = cases
        for place, name in enumerate(names):
            allowed = dict.fromkeys(patterns[place] for patterns, _ in fitting)
            value = known[name] if name in known else word(*within(row, name))
            fitting = [case for case in fitting if fnmatchcase(value, case[0][place])]
            if not fitting:  # tells whether it is absent, empty, no text, or another
                inner, last = within(row, name)
                inner.choice(last, *allowed)
        return fitting[0][1](row)

    return chosen


def _template(text: str, known: Mapping[str, str], get: Get) -> Callable[[Fields], str]:
    parts = [(before, name) for before, name, _, _ in Formatter().parse(text)]

    def column(row: Fields, name: str) -> str:
        if name == "@row":
            return row.label
        return known[name] if name in known else get(*within(row, name))

    def write(row: Fields) -> str:
        return "".join(before + (column(row, name) if name else "") for before, name in parts)

    if all(name is None or name in known for _, name in parts):
        fixed = write(Fields({}))
        return lambda row: fixed
    return write


def filled(text: str, known: Mapping[str, str]) -> str:
    """Return a template of what is known alone."""
    return _template(text, known, Fields.text)(Fields({}))


def columns_of(said: Said, known: Mapping[str, str]) -> set[str]:
    """Return the columns without which a value cannot be read."""
    text = said["by"] if isinstance(said, dict) else said if isinstance(said, str) else said[-1]
    return {name for _, name, _, _ in Formatter().parse(text) if name} - {"@row", *known}


def within(row: Fields, path: str) -> tuple[Fields, str]:
    """Follow a path; return the innermost object or list, and the last step of the path.

    Raises:
        RowError: A step leads into what is none.
    """
    for step, then in pairwise(path.split(".")):
        inner: Any = row.fields.get(step)
        if then.isdigit() and isinstance(inner, list):
            inner = {str(place): item for place, item in enumerate(inner)}
        if not isinstance(inner, dict):
            raise RowError(f"{step!r} must be {'a list' if then.isdigit() else 'an object'}")
        row = Fields(inner, row.label)
    return row, path.rpartition(".")[2]


def word(row: Fields, column: str) -> str:
    """Return a value that a declaration compares: a text, a number, or true or false."""
    value = row.fields.get(column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # as pandas writes whole numbers in a column with gaps
        value = None if isnan(value) else int(value) if value.is_integer() else value
    return "" if value is None else str(value).strip()
