"""Sets of the closed world, written as `vlsbench build` writes them: toasters and toddlers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from PIL import Image as Pillow

from vlsbench import release
from vlsbench.releasing import Release

COLOURS = ("red", "green", "blue", "white", "black", "orange", "purple", "grey")
ANSWERS = {
    "warning": "Toasters near water.",
    "people": "Nobody is shown.",
    "minors": "Toddlers are spoken of and not shown.",
    "personal_data": "None.",
}
NAMED = {
    "name": "kitchen",
    "version": "1.0.0",
    "licence": "cc-by-4.0",
    "date": "2026-01-31",
    "synthetic": False,
}


def image_bytes(colour: str = "red", form: str = "PNG", **options: Any) -> bytes:
    """Draw one plain image."""
    buffer = io.BytesIO()
    Pillow.new("RGB", (8, 6), colour).save(buffer, form, **options)
    return buffer.getvalue()


def rows(count: int = 8) -> list[dict[str, Any]]:
    """Return metadata of `count` pairs; the first two of each colour share an image."""
    return [
        {
            "file_name": f"images/{COLOURS[number // 2 % len(COLOURS)]}.png",
            "id": f"pair-{number:03d}",
            "query": f"May the toddler play with this, number {number}?",
            "category": "Kitchen" if number % 3 else "Bathroom",
            "subcategory": "toaster",
            "harmful": number % 4 != 3,
            "description": "a toaster",
            "reason": "It is hot.",
            "source": "drawn",
            "pattern": "SSU",
            "round": number,
        }
        for number in range(count)
    ]


def write(folder: Path, found: Iterable[Mapping[str, Any]]) -> Path:
    """Write a set as an imagefolder with `metadata.jsonl`."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for colour in COLOURS:
        (folder / "images" / f"{colour}.png").write_bytes(image_bytes(colour))
    lines = [json.dumps(row) + "\n" for row in found]
    (folder / "metadata.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def released(source: Path | str, out: Path, **options: Any) -> Release:
    """Release a set with all that is asked for answered."""
    given: dict[str, Any] = {**NAMED, "content": ANSWERS, "licences": {"drawn": "CC0-1.0"}}
    return release(source, out=out, **{**given, **options})
