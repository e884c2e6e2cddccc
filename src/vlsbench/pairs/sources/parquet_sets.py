"""Sets that the Hub holds as Parquet with their images inside: SPA-VL and BeaverTails-V."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from vlsbench.pairs import Fields, Image, Rows
from vlsbench.pairs.sources._declared import by_authors, numbered, read_english, shards, shipped


@shipped("spa-vl")
def spa_vl(root: Path, variant: str) -> Rows:
    """SPA-VL: its harmful or its helpful test questions; ids are the rows' places."""
    # As published, as the Hub converts it, and alone.
    places = (f"test/{variant}-*.parquet", f"test/{variant}/*.parquet", f"**/{variant}-*.parquet")
    for file in shards(root, *places):
        yield from read_english(
            file,
            id=numbered(file, root),
            query="question",
            images=lambda row: (row.image("image", ""),),
            category=lambda row: row.maybe("class1"),
            subcategory="class2",
            harmful=variant == "harm",
            grades=by_authors("??U" if variant == "harm" else "??S"),
            meta=("class3",),
        )


@shipped("beavertails-v")
def beavertails_v(root: Path, variant: str) -> Rows:
    """BeaverTails-V: the evaluation pairs of all categories; the image's severity is in `meta`."""
    for file in shards(root, "data/*/evaluation*.parquet", "**/evaluation*.parquet"):
        name = numbered(file, root)
        yield from read_english(
            file,
            id=name,
            query="question",
            images=partial(_image, name),
            category="category",
            grades=lambda row: by_authors("?UU" if row.fields.get("image_severity") else "??U"),
            meta=("image_severity",),
        )


def _image(name: Callable[[Fields], str], row: Fields) -> tuple[Image, ...]:
    # Files of all categories have one name, and so would their images.
    return (row.image("image", name(row)),)
