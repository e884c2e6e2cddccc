"""VLSafe: harmful queries about COCO photographs, each with the photograph's caption."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Rows, file_image, find, folder_of
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped

FILES = {"examine": "harmlessness_examine.jsonl", "alignment": "harmlessnss_alignment.jsonl"}
"""Spelled as upstream spells them."""


@shipped("vlsafe")
def vlsafe(root: Path, variant: str) -> Rows:
    """Yield one file; ids are line numbers from 1."""
    images = folder_of(root, "train2017", "images", "VLSafe/images")
    return read_english(
        find(root, f"VLSafe/{FILES[variant]}", FILES[variant]),
        query="query",
        images=lambda row: (file_image(images, row.text("image_id")),),
        description="caption",
        source=lambda row: "COCO",
        grades=by_authors("U?U"),
        meta=("reference",),
    )
