"""Builds in seconds: a few cells of the lab, nothing compared by meaning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.grouped import limits
from vlsbench.building import Build, build

PLAIN = ("leak_filter.overlap=false", "near_duplicates.similarity=false")
"""Leaves out what needs embeddings."""


class Builder:
    """Builds the lab's recipe into folders below one."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __call__(self, name: str = "out", *overrides: str, **options: Any) -> Build:
        given = {"limit": 12, "lab": "in-process", "progress": False, **options}
        return build("lab", out=self.root / name, overrides=(*PLAIN, *overrides), **limits(**given))


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
