"""Whether a release is what it says: its files by their checksums, its Croissant by mlcroissant."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.files import file_sha256
from vlsbench.releasing._about import (
    CARD,
    CHECKSUMS,
    CROISSANT,
    RELEASE_JSON,
    REQUIRED,
    SCHEMA,
    Release,
)
from vlsbench.schemas import convert, read_json


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at, and what is wrong with it."""

    name: str
    version: str
    pairs: int
    images: int
    faults: tuple[str, ...]
    notes: tuple[str, ...]
    """What could not be checked here."""

    @property
    def sound(self) -> bool:
        """Whether nothing is wrong."""
        return not self.faults


def verify(folder: Path) -> Verified:
    """Check a release, and list everything that is wrong with it.

    Raises:
        VlsbenchError: The folder is no release, or its `release.json` not of its schema.
    """
    path = folder / RELEASE_JSON
    if not path.is_file():
        raise VlsbenchError(f"{folder} is not a release: it has no {RELEASE_JSON}")
    told = read_json(path, dict[str, Any], schema=SCHEMA)
    about = convert(told, Release, str(path), foreign=True)  # those of 0.1 tell more
    wanted = (CARD, CHECKSUMS, CROISSANT)
    faults = [f"{name} is missing" for name in wanted if not (folder / name).is_file()]
    notes: list[str] = []
    if (folder / CHECKSUMS).is_file():
        faults += _checksums(folder)
    if (folder / CROISSANT).is_file():
        faults += _croissant(folder / CROISSANT, notes)
    if about.harmful and not about.gated:
        faults.append(f"harmful pairs, and {RELEASE_JSON} does not say that access is gated")
    counts = (about.pairs, about.images)
    return Verified(about.name, about.version, *counts, tuple(faults), tuple(notes))


def _checksums(folder: Path) -> Iterator[str]:
    lines = (folder / CHECKSUMS).read_text("utf-8", errors="replace").splitlines()
    listed = {name: expected for expected, _, name in (line.partition("  ") for line in lines)}
    there = {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        # The Hub's clients keep files of their own beside a set.
        if path.is_file() and not path.relative_to(folder).parts[0].startswith(".")
    }
    yield from (f"{name} is listed but missing" for name in sorted(listed.keys() - there))
    yield from (f"{name} is not listed" for name in sorted(there - listed.keys() - {CHECKSUMS}))
    for name in sorted(listed.keys() & there):
        if file_sha256(folder / name) != listed[name]:
            yield f"{name} is not what {CHECKSUMS} says (SHA-256)"


def _croissant(path: Path, notes: list[str]) -> Iterator[str]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        yield f"{CROISSANT} is not valid JSON ({error})"
        return
    if missing := [name for name in REQUIRED if name not in content]:
        notes.append(f"{CROISSANT} lacks what dataset tracks require: {', '.join(missing)}")
    try:
        import mlcroissant
    except ImportError:
        notes.append(f"{CROISSANT} was not validated: pip install 'vlsbench[release]'")
        return
    try:
        issues = mlcroissant.Dataset(jsonld=content).metadata.ctx.issues.errors
    except Exception as error:
        # It raises its own error for what it names, and Python's for what it trips over.
        yield f"{CROISSANT} does not validate: {error}"
        return
    yield from (f"{CROISSANT}: {issue}" for issue in issues)
