"""What the sources share: `benchmarks.toml`, which declares them, grades, and files in shards."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from vlsbench.pairs import Fields, Grade, GradedBy, Grades, Home, MissingFile, Rows, read_pairs
from vlsbench.registry import source
from vlsbench.schemas import convert

FILE = "benchmarks.toml"

Read = Callable[[Path, str], Rows]
read_english = partial(read_pairs, language="en")
"""Read a file of pairs whose queries are in English."""
_LETTERS = {"S": Grade.SAFE, "B": Grade.BORDERLINE, "U": Grade.UNSAFE, "?": Grade.UNKNOWN}


def by_authors(pattern: str) -> Grades:
    """Return what a set's authors say of text, image and pair, a letter each: S, B, U or ?."""
    text, image, pair = (_LETTERS[letter] for letter in pattern)
    return Grades(GradedBy.AUTHORS, text, image, pair)


def shipped(name: str) -> Callable[[Read], Read]:
    """Register the function below as the benchmark that the file declares under a name."""
    declared = dict(_file()[name])
    home = convert(declared.pop("home"), Home, FILE)
    variants = declared.pop("variants", {})
    rows = {key: count for key, (count, _) in variants.items()} or {"": declared.pop("rows")}
    holds = {key: about for key, (_, about) in variants.items()}
    return source(name, **declared, home=home, rows=rows, variants=holds)


def shards(root: Path, *patterns: str) -> list[Path]:
    """Return the files of the first pattern that matches some. Raises `MissingFile`."""
    found = next((found for one in patterns if (found := sorted(root.glob(one)))), None)
    if not found:
        raise MissingFile(f"no {patterns[0]} in {root}")
    return found


def numbered(file: Path, root: Path) -> Callable[[Fields], str]:
    """Name rows by their file's place in the set and their number in it."""
    place = file.relative_to(root).with_suffix("").as_posix()
    return lambda row: f"{place}/{row.label}"


@cache
def _file() -> dict[str, Any]:
    return tomllib.loads(files("vlsbench.pairs.sources").joinpath(FILE).read_text("utf-8"))
