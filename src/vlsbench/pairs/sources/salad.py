"""SaLAD: everyday requests that need a safety warning, and harmless ones that look so."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, RowError, Rows, file_image, find, folder_of, read_pairs
from vlsbench.pairs.sources._declared import by_authors, shipped


@shipped("salad")
def salad(root: Path, variant: str) -> Rows:
    """Yield both kinds; ids are places in the list, from 0."""
    file = find(root, "data.json", "data/data.json")
    folder = folder_of(root, "images", "data/images")

    def unsafe(row: Fields) -> bool:
        kind = row.text("safety type").strip().lower()
        if kind not in ("safe", "unsafe"):
            raise RowError(f"'safety type' is {kind!r}, not safe or unsafe")
        return kind == "unsafe"

    return read_pairs(
        file,
        query="query",
        images=lambda row: (file_image(folder, row.text("image").removeprefix("images/")),),
        category="category",
        harmful=unsafe,
        reason=lambda row: row.maybe("safety warning") if unsafe(row) else "",
        language="en",
        grades=lambda row: by_authors("??U" if unsafe(row) else "??S"),
        meta=("safe suggestion",),
    )
