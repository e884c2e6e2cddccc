"""How the files of this folder declare a benchmark, and how its rows are read by them.

`NAME.toml` says what a benchmark is (the fields of `Source`), and in `[pairs]` how its rows become
pairs (the fields of `Part`); `[[pairs.parts]]` differ from that in what they say again.

A value is

- a template, `"{Behavior}"`, in which a column stands in braces; a dot leads into an object, or by
  place into a list (`{turns.0}`);
- a list of templates, of which the first is taken whose columns are filled, else the last;
- a table of templates, chosen by the value of `by`; its keys are patterns (`"*"`).

Beside the columns of a row, templates know the `{variant}`, what a pattern of files names
(`"{language}/*.json"`), and `{@row}`, `{@file}` and `{@folder}`: the row's label, its file without
its ending, and that file's folder.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache, partial
from importlib.resources import files
from itertools import pairwise
from math import isnan
from os.path import normpath
from pathlib import Path, PurePath
from string import Formatter
from typing import Any

from vlsbench.pairs import (
    Fields,
    Grade,
    GradedBy,
    Grades,
    Home,
    Image,
    MissingFile,
    RowError,
    Rows,
    file_image,
    folder_of,
    read_pairs,
)
from vlsbench.schemas import convert

Read = Callable[[Path, str], Rows]
Said = str | tuple[str, ...] | dict[str, str]
"""A value as it is declared: a template, alternatives, or cases."""
_SHARD = re.compile(r"(.*)-\d+-of-(\d+)\b")
_LETTERS = {"S": Grade.SAFE, "B": Grade.BORDERLINE, "U": Grade.UNSAFE, "?": Grade.UNKNOWN}


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some files of a benchmark, and how their rows become pairs."""

    files: tuple[str, ...]
    """Patterns of paths; the files of the first that fits some are read."""
    optional: bool = False
    """Whether a set is whole without them."""
    variants: tuple[str, ...] = ()
    """Those that it belongs to; all where none is named."""
    id: Said = "{@row}"
    query: Said = ""
    images: tuple[str, ...] = ()
    """Paths, or columns of images; `NAME.*` is a file with any ending."""
    folder: tuple[str, ...] = (".",)
    """Of the images: the first that is there."""
    image_name: str = ""
    """What an image in a Parquet file is called, where that is not the name beside it."""
    category: Said = ""
    subcategory: Said = ""
    description: Said = ""
    reason: Said = ""
    source: Said = ""
    language: Said = "en"
    twin: Said = ""
    grades: Said = ""
    """What the authors say of text, image and pair, a letter each: S, B, U, or ? for unknown."""
    meta: tuple[str, ...] | dict[str, str] = ()
    """Columns that are kept as they are, or values by their names."""
    keep: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → patterns, one of which its value fits in the rows that are read."""
    needs: tuple[str, ...] = ()
    """Columns without which a row is none, though it may be filled without them."""


@cache
def _file(name: str) -> dict[str, Any]:
    text = files("vlsbench.pairs.sources").joinpath(f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)


def declaration(name: str) -> dict[str, Any]:
    """Return what a benchmark's file says of it: fields of `Source`.

    There, a variant is `[rows, what it holds]`, and the first is the default.
    """
    told = {key: value for key, value in _file(name).items() if key not in ("pairs", "rows")}
    variants = told.get("variants", {})
    rows = {key: count for key, (count, _) in variants.items()} or {"": _file(name)["rows"]}
    holds = {key: about for key, (_, about) in variants.items()}
    home = convert(told["home"], Home, name)
    return {**told, "home": home, "rows": rows, "variants": holds}


@cache
def _parts(name: str) -> tuple[Part, ...]:
    shared = dict(_file(name)["pairs"])
    parts = shared.pop("parts", [{}])
    return tuple(convert(shared | part, Part, f"{name}.toml") for part in parts)


@cache
def by_authors(letters: str) -> Grades:
    """Return what a set's authors say of text, image and pair, a letter each: S, B, U or ?."""
    return Grades(GradedBy.AUTHORS, *(_LETTERS[letter] for letter in letters))


def read_declared(name: str, root: Path, variant: str, **other: Any) -> Rows:
    """Read one variant of a benchmark as its file declares it.

    Args:
        name: The benchmark.
        root: Its folder.
        variant: Which form of it.
        other: Arguments of `read_pairs` in place of what is declared.

    Raises:
        MissingFile: The files of some part are not there.
    """
    wanted = [part for part in _parts(name) if variant in part.variants or not part.variants]
    # All files are looked for before the first is read: half of a set must not pass for it.
    found = [(part, _find_files(root, part, variant)) for part in wanted]
    for part, these in found:
        for file, known in these:
            told = _arguments(part, root, file, known) | other
            told["keep"] = partial(_wanted, part.needs, told["keep"])
            yield from read_pairs(file, **told)


def reader(name: str) -> Read:
    """Return what reads a benchmark as its file declares it."""
    return lambda root, variant: read_declared(name, root, variant)


def _find_files(root: Path, part: Part, variant: str) -> list[tuple[Path, dict[str, str]]]:
    """Return the files of the first pattern that fits some, each with what its path says.

    Raises:
        MissingFile: There are none and they are not optional, or some of numbered shards.
    """
    paths = [pattern.replace("{variant}", variant) for pattern in part.files]
    globs = [re.sub(r"\{\w+\}", "*", path) for path in paths]
    for path, glob in zip(paths, globs, strict=True):
        if found := sorted(root.glob(glob)):
            shards = Counter(told.groups() for file in found if (told := _SHARD.match(str(file))))
            for (name, count), present in shards.items():
                if present < int(count):
                    said = f"{present} of {int(count)} files {name}-*: fetch the rest"
                    raise MissingFile(said)
            return [(file, _known(path, file.relative_to(root), variant)) for file in found]
    if part.optional:
        return []
    raise MissingFile(f"no {globs[0]} in {root}")


def _known(pattern: str, place: Path, variant: str) -> dict[str, str]:
    """Return what templates know of the rows of a file, by the pattern that it fits."""
    groups = re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]*)", re.escape(pattern).replace(r"\*", ".*"))
    named = re.fullmatch(groups, place.as_posix())
    return {
        **(named.groupdict() if named else {}),
        "variant": variant,
        "@file": place.with_suffix("").as_posix(),
        "@folder": place.parent.as_posix(),
    }


def _arguments(part: Part, root: Path, file: Path, known: Mapping[str, str]) -> dict[str, Any]:
    """Return the arguments of `read_pairs` for a file of a part, of which some things are known."""
    grades = _value(part.grades, known)
    meta, names = {}, part.meta
    if isinstance(names, dict):
        meta = {key: _value(said, known, Fields.maybe) for key, said in names.items()}
        names = ()
    patterns = {
        column: [_value(pattern, known)(Fields({})) for pattern in some]
        for column, some in part.keep.items()
    }
    optional = ("subcategory", "description", "reason", "source", "language", "twin")
    return {
        "id": _value(part.id, known, Fields.id),
        "query": _value(part.query, known),
        "category": _value(part.category, known, Fields.id),
        **{name: _value(getattr(part, name), known, Fields.maybe) for name in optional},
        "images": _images(part, root, file, known),
        # The pair's letter tells, or the text's where that is unknown.
        "harmful": lambda row: (said := grades(row))[0 if said[2] == "?" else 2] != "S",
        "grades": lambda row: by_authors(grades(row)),
        "meta": lambda row: _kept(row, names) | {key: read(row) for key, read in meta.items()},
        "keep": lambda row: all(
            any(fnmatchcase(_word(row, column), one) for one in some)
            for column, some in patterns.items()
        ),
    }


def _wanted(needs: Sequence[str], keep: Callable[[Fields], bool], row: Fields) -> bool:
    """Tell whether a row is read. Raises `RowError` where it lacks a column that it needs."""
    if absent := next((name for name in needs if name not in row.fields), ""):
        raise RowError(f"no {absent!r}")
    return keep(row)


def _kept(row: Fields, names: Sequence[str]) -> dict[str, Any]:
    found = (_within(row, name) for name in names)
    return {key: value for inner, key in found if (value := inner.fields.get(key)) is not None}


def _images(
    part: Part, root: Path, file: Path, known: Mapping[str, str]
) -> Callable[[Fields], Sequence[Image]]:
    """Return what refers to the images of a row: those in a Parquet file, or else by path."""
    if file.suffix == ".parquet":
        name = _value(part.image_name, known)
        columns = [path.strip("{}") for path in part.images]
        return lambda row: [row.image(column, name(row)) for column in columns]
    places = [_value(one, known)(Fields({})) for one in part.folder]
    folder = folder_of(root, *places)
    folder = folder.parent.parent if folder.name == ".." else folder
    # A path may begin with a folder that it is published in.
    own = [f"{last}/" for place in places if (last := PurePath(normpath(place)).name)]
    written = [_value(path, known) for path in part.images]
    by_stem: dict[str, str] = {}
    if any(path.endswith(".*") for path in part.images) and folder.is_dir():
        by_stem = {path.stem: path.name for path in folder.iterdir()}

    def image(path: str) -> Image:
        path = path.removeprefix(next(filter(path.startswith, own), ""))
        stem = path.removesuffix(".*")
        return file_image(folder, path if stem == path else by_stem.get(stem, f"{stem}.jpg"))

    return lambda row: [image(write(row)) for write in written]


def _value(
    said: Said, known: Mapping[str, str], get: Callable[[Fields, str], str] = Fields.text
) -> Callable[[Fields], str]:
    """Return what reads a value of a row as it is declared; `get` reads a column."""
    if isinstance(said, tuple):
        *others, last = [(_names(one), _value(one, known, get)) for one in said]

        def first(row: Fields) -> str:
            filled = (write for names, write in others if all(_word(row, one) for one in names))
            return next(filled, last[1])(row)

        return first
    if isinstance(said, dict):
        cases = {key: _value(text, known, get) for key, text in said.items() if key != "by"}
        by = _value(said["by"], known, _word)

        def chosen(row: Fields) -> str:
            value = by(row)
            if found := [cases[key] for key in cases if fnmatchcase(value, key)]:
                return found[0](row)
            column = said["by"].replace("{", "").replace("}", "")
            raise RowError(f"{column!r} is {value[:40]!r}, not one of {', '.join(cases)}")

        return chosen
    parts = [(before, name) for before, name, _, _ in Formatter().parse(said)]

    def write(row: Fields) -> str:
        told = {"@row": row.label, **known}
        return "".join(
            before + (told[name] if name in told else get(*_within(row, name)) if name else "")
            for before, name in parts
        )

    if known.keys() >= set(_names(said)):
        fixed = write(Fields({}))
        return lambda row: fixed
    return write


def _names(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name]


def _within(row: Fields, path: str) -> tuple[Fields, str]:
    """Follow a path; return the innermost object or list, and the last step of the path.

    Raises:
        RowError: A step leads into what is none.
    """
    for step, then in pairwise(path.split(".")):
        inner: Any = row.fields.get(step)
        if then.isdigit() and isinstance(inner, list):
            inner = {str(place): item for place, item in enumerate(inner)}
        if not isinstance(inner, dict):
            kind = "a list" if then.isdigit() else "an object"
            raise RowError(f"{path!r}: {step!r} must be {kind}")
        row = Fields(inner, row.label)
    return row, path.rpartition(".")[2]


def _word(row: Fields, path: str) -> str:
    """Return a value that a declaration compares: a text, a number, or true or false."""
    inner, column = _within(row, path)
    value = inner.fields.get(column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):  # pandas writes whole numbers in a column with gaps as 1.0
        whole = int(value) if not isnan(value) and value == int(value) else value
        return "" if isnan(value) else str(whole)
    return inner.maybe(column).strip()
