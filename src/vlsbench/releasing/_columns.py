"""The columns of a release: the fields of a pair, and one for each key of `Pair.meta`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from vlsbench.releasing._types import Column, Kind

ABOUT = {
    "id": "unique, stable across releases",
    "query": "the text that is asked with the image",
    "category": "of the risk",
    "subcategory": "of the risk",
    "harmful": "false for a benign control",
    "description": "what the image shows, in words",
    "reason": "why the pair is harmful",
    "source": "where the image is from",
    "image_licence": "licence of the image",
}
"""Text and truth columns of every release, in order, and what they hold."""
_RESERVED = frozenset(
    (*ABOUT, "question", "prompt", "instruction", "text", "image", "image_path", "file_name",
     "images", "file_names", "sub_category", "image_description", "safety_reason", "split")
)  # fmt: skip
"""Names that a reader of the generic form or of imagefolder would take for something else."""
_MOST_INT = 2**63


def kind_of(value: object) -> Kind | None:
    """Return the kind of column that a plain JSON value fits; None for null."""
    if value is None:
        return None
    if isinstance(value, bool):
        return Kind.BOOL
    if isinstance(value, int):
        return Kind.INT if -_MOST_INT <= value < _MOST_INT else Kind.JSON
    if isinstance(value, float):
        return Kind.FLOAT if math.isfinite(value) else None
    return Kind.TEXT if isinstance(value, str) else Kind.JSON


class Census:
    """Learns which keys and kinds of values the pairs' `meta` hold, while they stream by."""

    def __init__(self) -> None:
        """Start with no key."""
        self._kinds: dict[str, set[Kind]] = {}

    def see(self, meta: Mapping[str, object]) -> None:
        """Take one pair's."""
        for key, value in meta.items():
            kinds = self._kinds.setdefault(key, set())
            if (kind := kind_of(value)) is not None:
                kinds.add(kind)

    def columns(self, several_images: bool) -> tuple[Column, ...]:
        """Return all columns, those of every release first, the others in alphabetical order."""
        image = Column("image", Kind.IMAGE, "the image, named by the SHA-256 of its bytes")
        if several_images:
            image = Column("images", Kind.IMAGES, "the images in order, named by their SHA-256")
        fixed = [
            Column(name, Kind.BOOL if name == "harmful" else Kind.TEXT, about)
            for name, about in ABOUT.items()
        ]
        taken = {column.name for column in fixed} | {image.name}
        others = []
        for key in sorted(self._kinds):
            name = _column_name(key, taken)
            taken.add(name)
            kinds = self._kinds[key] or {Kind.TEXT}
            kind = next(iter(kinds)) if len(kinds) == 1 else Kind.JSON
            others.append(Column(name, kind, "", key))
        return (fixed[0], image, *fixed[1:], *others)


def _column_name(key: str, taken: set[str]) -> str:
    """Return a name that every reader takes for a column of its own."""
    name = re.sub(r"\W", "_", key, flags=re.ASCII)[:60]
    special = name in _RESERVED or name.endswith(("_file_name", "_file_names"))
    if special or not name or not name[0].isalpha():
        name = f"meta_{name}".replace("_file_name", "_filename")
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


def cell(kind: Kind, value: object) -> Any:
    """Return a value of `meta` as its column holds it.

    A text that is not there is empty rather than null: imagefolder could not tell a split without
    any from one of another type.
    """
    plain = _finite(value)
    if kind is Kind.TEXT:
        return "" if plain is None else plain
    if kind is Kind.JSON:
        return "" if plain is None else json.dumps(plain, ensure_ascii=False, sort_keys=True)
    return plain


def _finite(value: object) -> Any:
    """Return a value with null for numbers that JSON has no form for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
