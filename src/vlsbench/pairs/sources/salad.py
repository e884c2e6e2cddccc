"""SaLAD: everyday requests that need a safety warning, and harmless ones that look so."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Rows, file_image, find, folder_of
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped


@shipped("salad")
def salad(root: Path, variant: str) -> Rows:
    """Yield both kinds; ids are places in the list, from 0."""
    file = find(root, "data.json", "data/data.json")
    folder = folder_of(root, "images", "data/images", "image", ".")

    def unsafe(row: Fields) -> bool:
        return row.choice("safety type", "safe", "unsafe") == "unsafe"

    def query(row: Fields) -> str:
        # As the Hub's table calls it, or as the repository's does.
        return row.maybe("text") or row.text("query")

    return read_english(
        file,
        query=query,
        images=lambda row: (file_image(folder, row.text("image").removeprefix("images/")),),
        category="category",
        harmful=unsafe,
        reason=lambda row: row.maybe("safety warning") if unsafe(row) else "",
        grades=lambda row: by_authors("??U" if unsafe(row) else "??S"),
        meta=("id", "safe suggestion"),
    )
