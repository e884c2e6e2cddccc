"""HoliSafe-Bench: every combination of safe and unsafe image, query and outcome."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Rows, file_image, find, folder_of
from vlsbench.pairs.sources._declared import by_authors, read_english, shards, shipped

TYPES = ("SSS", "SSU", "SUU", "USU", "UUU")
"""Of image, query and outcome: safe or unsafe."""


@shipped("holisafe")
def holisafe(root: Path, variant: str) -> Rows:
    """Yield the pairs of the Hub's split, or of the authors' list: they are of different sizes."""
    listed, folder = variant == "list", folder_of(root, "images")
    table = "holisafe_bench.json"
    for file in (
        [find(root, table, f"data/{table}")]
        if listed
        else shards(root, "data/test-*.parquet", "test-*.parquet")
    ):
        yield from read_english(
            file,
            id="id",
            query="query",
            images=lambda row: (
                file_image(folder, row.text("image")) if listed else row.image("image", ""),
            ),
            category="category",
            subcategory="subcategory",
            harmful=lambda row: _pattern(row).endswith("U"),
            grades=lambda row: by_authors(_pattern(row)),
            meta=("type", "image_safety_label"),
        )


def _pattern(row: Fields) -> str:
    """Return the letters of query, image and outcome; `type` has the image's first."""
    kind = row.choice("type", *TYPES)
    return kind[1] + kind[0] + kind[2]
