"""Builds in seconds: a few cells of the lab, nothing compared by meaning."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.grouped import limits
from vlsbench.building import Build, build, read_recipe

PLAIN = ("leak_filter.overlap=false", "near_duplicates.similarity=false")
"""Leaves out what needs embeddings."""


class Builder:
    """Builds the lab's recipe into folders below one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, name: str = "out", *overrides: str, url: str = "", **options: Any) -> Build:
        sets = (*PLAIN, *overrides)
        sets += tuple(served(sets, url)) if url else ()
        given = limits(**{"limit": 12, "progress": False, **options})
        return build("lab", out=self.root / name, overrides=sets, **given)


def served(overrides: Sequence[str], url: str) -> Iterator[str]:
    """Ask the models of the lab's recipe at a server."""
    for role, spec in read_recipe("lab", overrides).specs().items():
        yield f"models.{role}={spec}@{url}"


def lines(path: Path) -> list[dict[str, Any]]:
    """Read a JSONL file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
