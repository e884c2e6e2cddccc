"""HoliSafe-Bench: every combination of safe and unsafe image, query and outcome."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vlsbench.pairs import (
    Fields,
    Grades,
    Image,
    RowError,
    Rows,
    file_image,
    find,
    folder_of,
    read_pairs,
)
from vlsbench.pairs.sources._declared import by_authors, shards, shipped


@shipped("holisafe")
def holisafe(root: Path, variant: str) -> Rows:
    """Yield the pairs of the Hub's split, or of the authors' list: they are of different sizes."""
    folder = folder_of(root, "images")

    def images(row: Fields) -> tuple[Image, ...]:
        if variant == "list":
            return (file_image(folder, row.text("image")),)
        return (row.image("image", ""),)

    read = partial(
        read_pairs,
        id="id",
        query="query",
        images=images,
        category="category",
        subcategory="subcategory",
        harmful=lambda row: _type(row).endswith("U"),
        language="en",
        grades=_grades,
        meta=("type", "image_safety_label"),
    )
    if variant == "list":
        yield from read(find(root, "holisafe_bench.json", "data/holisafe_bench.json"))
        return
    for file in shards(root, "data/test-*.parquet", "test-*.parquet"):
        yield from read(file)


def _type(row: Fields) -> str:
    """Return the letters of image, query and outcome."""
    found = row.text("type").strip().upper()
    if len(found) != 3 or set(found) - {"S", "U"}:
        raise RowError(f"type is {found!r}, not three letters S or U")
    return found


def _grades(row: Fields) -> Grades:
    image, text, outcome = list(_type(row))
    return by_authors(text + image + outcome)
