"""SIUO: a safe query and a safe image that are unsafe together."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import Row, file_image, find, folder_of, pairs_from, read_json
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source


@source(
    "siuo",
    title="SIUO (generation)",
    paper="2406.15279",
    licence="CC BY-NC 4.0",
    home=Home(hub="sinwang/SIUO", files=("siuo_gen.json", "images/*", "*.zip")),
    size="167 pairs, 167 images",
    rows={"": 167},
    layout="data/siuo_gen.json with data/images/ (GitHub), or siuo_gen.json with images/ (Hub)",
)
def siuo(root: Path, variant: str) -> Rows:
    """Yield the questions of the generation task; the multiple-choice twin is not read."""
    file = find(root, "data/siuo_gen.json", "siuo_gen.json")
    images = folder_of(file.parent, "images")
    yield from pairs_from(file.name, read_json(file), lambda _, row: _pair(row, images))


def _pair(row: Row, images: Path) -> Pair:
    return Pair(
        id=row.id("question_id"),
        query=row.text("question"),
        images=(file_image(images, row.text("image")),),
        category=row.text("category"),
        reason=row.maybe("safety_warning"),
        meta=row.only("reference_answer"),
    )
