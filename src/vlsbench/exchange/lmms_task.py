"""What an lmms-eval task that vlsbench exported calls; a copy of this file lies beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PIL import Image

HERE = Path(__file__).parent


def doc_to_visual(doc: dict[str, Any]) -> list[Image.Image]:
    """Return the images of a pair, in order."""
    return [Image.open(HERE / name).convert("RGB") for name in doc["images"] or ()]


def process_results(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Say whether there is a reply; `vlsbench eval --replies` judges what it says."""
    return {"replied": float(bool(results[0].strip()))}
