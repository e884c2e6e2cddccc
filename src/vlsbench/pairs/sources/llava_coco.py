"""LLaVA-Bench: harmless questions; an image's first caption is its description."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Rows, find, read_jsonl
from vlsbench.pairs.sources._declared import read_declared

CAPTIONS = "llava/eval/table/caps_boxes_coco2014_val_80.jsonl"


def read(root: Path, variant: str) -> Rows:
    """Yield the questions, those about images with what the images show."""
    captions = {
        item["image"]: item["captions"][0]
        for _, item in (read_jsonl(find(root, CAPTIONS)) if variant == "images" else ())
        if isinstance(item, dict) and item.get("image") and item.get("captions")
    }
    return read_declared(
        "llava-coco",
        root,
        variant,
        description=lambda row: captions.get(row.maybe("image"), ""),
    )
