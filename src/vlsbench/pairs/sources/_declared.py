"""How the files of this folder declare a benchmark, and how its rows are read by them.

`NAME.toml` says what a benchmark is (the fields of `Source`), and in `[pairs]` how its rows become
pairs (the fields of `Part`); `[[pairs.parts]]` differ from that in what they say again. `_template`
says how values are written.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from os.path import normpath
from pathlib import Path, PurePath
from typing import Any

from vlsbench.pairs import (
    Fields,
    Grade,
    GradedBy,
    Grades,
    Home,
    Image,
    MissingFile,
    Rows,
    file_image,
    folder_of,
    read_pairs,
)
from vlsbench.pairs.sources._template import Said, columns_of, filled, value_of, within
from vlsbench.schemas import convert

Read = Callable[[Path, str], Rows]
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
    meta: tuple[str, ...] = ()
    """Columns that are kept as they are."""
    keep: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Column → patterns, one of which its value fits in the rows that are read."""
    needs: tuple[str, ...] = ()
    """Columns that a table must have, beside those of id, query, images, category and grades."""


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
    found = [(part, find_files(root, part.files, variant, part.optional)) for part in wanted]
    for part, these in found:
        for file, known in these:
            yield from read_pairs(file, **_arguments(part, root, file, known) | other)


def reader(name: str) -> Read:
    """Return what reads a benchmark as its file declares it."""

    def read(root: Path, variant: str) -> Rows:
        return read_declared(name, root, variant)

    return read


def find_files(
    root: Path, patterns: tuple[str, ...], variant: str, optional: bool = False
) -> list[tuple[Path, dict[str, str]]]:
    """Return the files of the first pattern that fits some, each with what its path says.

    Raises:
        MissingFile: There are none and they are not optional, or some of numbered shards.
    """
    paths = [pattern.replace("{variant}", variant) for pattern in patterns]
    globs = [re.sub(r"\{\w+\}", "*", path) for path in paths]
    for path, glob in zip(paths, globs, strict=True):
        if found := sorted(root.glob(glob)):
            _require_whole(found)
            return [(file, _known(path, file.relative_to(root), variant)) for file in found]
    if optional:
        return []
    raise MissingFile(f"no {globs[0]} in {root}")


def _require_whole(found: Sequence[Path]) -> None:
    shards = Counter(told.groups() for file in found if (told := _SHARD.match(str(file))))
    for (name, count), present in shards.items():
        if present < int(count):
            raise MissingFile(f"{present} of {int(count)} files {name}-*: fetch the rest")


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
    grades = value_of(part.grades, known)
    patterns = {
        column: [filled(pattern, known) for pattern in some] for column, some in part.keep.items()
    }
    required = (part.id, part.query, part.category, part.grades, *part.images)
    columns = set(part.keep).union(*(columns_of(said, known) for said in required))
    optional = ("subcategory", "description", "reason", "source", "language", "twin")
    return {
        "id": value_of(part.id, known, Fields.id),
        "query": value_of(part.query, known),
        "category": value_of(part.category, known, Fields.id),
        **{name: value_of(getattr(part, name), known, Fields.maybe) for name in optional},
        "images": _images(part, root, file, known),
        "harmful": lambda row: _harmful(grades(row)),
        "grades": lambda row: by_authors(grades(row)),
        "meta": lambda row: _meta(row, part.meta),
        "needs": (*sorted(columns), *part.needs),
        "keep": lambda row: all(
            any(fnmatchcase(row.maybe(column).strip(), one) for one in some)
            for column, some in patterns.items()
        ),
    }


def _harmful(letters: str) -> bool:
    """Tell from the pair's letter, or the text's where that is unknown."""
    return (letters[0] if letters[2] == "?" else letters[2]) != "S"


def _meta(row: Fields, names: tuple[str, ...]) -> dict[str, Any]:
    found = (within(row, name) for name in names)
    return {key: value for inner, key in found if (value := inner.fields.get(key)) is not None}


def _images(
    part: Part, root: Path, file: Path, known: Mapping[str, str]
) -> Callable[[Fields], Sequence[Image]]:
    """Return what refers to the images of a row: those in a Parquet file, or else by path."""
    columns = [path.strip("{}") for path in part.images]
    if file.suffix == ".parquet":
        name = value_of(part.image_name, known)
        return lambda row: [row.image(column, name(row)) for column in columns]
    places = [filled(one, known) for one in part.folder]
    folder = folder_of(root, *places)
    folder = folder.parent.parent if folder.name == ".." else folder
    # A path may begin with a folder that it is published in.
    own = [f"{last}/" for place in places if (last := PurePath(normpath(place)).name)]
    written = [value_of(path, known) for path in part.images]
    by_stem: dict[str, str] = {}
    if any(path.endswith(".*") for path in part.images) and folder.is_dir():
        by_stem = {path.stem: path.name for path in folder.iterdir()}

    def image(path: str) -> Image:
        path = path.removeprefix(next(filter(path.startswith, own), ""))
        stem = path.removesuffix(".*")
        return file_image(folder, path if stem == path else by_stem.get(stem, f"{stem}.jpg"))

    return lambda row: [image(write(row)) for write in written]
