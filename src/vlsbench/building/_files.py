"""The set that a build makes: `pairs/`, an imagefolder that any command opens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlsbench.building._items import Item
from vlsbench.building._kept import picture_of
from vlsbench.building._select import kept_items, recorded
from vlsbench.engine import Ledger
from vlsbench.files import write_jsonl

PAIRS = "pairs"
METADATA = "metadata.jsonl"
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
}


def released(ledger: Ledger) -> Iterator[tuple[str, Item]]:
    """Walk what is in the set, in the order of the ids; the twins come last."""
    for twins in (False, True):
        for name, item in kept_items(ledger, twins=twins):
            decision = recorded(ledger, name)
            if decision and not decision.reason:
                yield name, item


def row_of(name: str, item: Item, image: str) -> dict[str, Any]:
    """Return a pair as `metadata.jsonl` has it."""
    return {
        "file_name": image,
        "id": name,
        "query": item.query,
        "category": item.category,
        "subcategory": item.subcategory,
        "harmful": not item.twin_of,
        "description": item.description,
        "reason": item.reason,
        "source": item.source,
        "path": item.path,
        "twin_of": item.twin_of,
        "image_licence": item.image_licence,
        "image_prompt": item.image_prompt,
        "pattern": item.pattern,
    }


def write_pairs(ledger: Ledger, folder: Path) -> int:
    """Write `pairs/` anew, whole or not at all.

    Equal sets are equal byte for byte: nothing in them depends on when or in which order they
    were made.

    Returns:
        How many pairs it holds, twins included.
    """
    part, place = folder / f".{PAIRS}.part", folder / PAIRS
    shutil.rmtree(part, ignore_errors=True)
    (part / "images").mkdir(parents=True)

    def rows() -> Iterator[dict[str, Any]]:
        for name, item in released(ledger):
            data = picture_of(ledger.folder, item.image)
            image = f"images/{item.image[:16]}{SUFFIXES[data.mime]}"
            if not (part / image).exists():
                (part / image).write_bytes(data.data)
            yield row_of(name, item, image)

    count = write_jsonl(rows(), part / METADATA)
    old = folder / f".{PAIRS}.old"
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    part.rename(place)
    shutil.rmtree(old, ignore_errors=True)
    return count
