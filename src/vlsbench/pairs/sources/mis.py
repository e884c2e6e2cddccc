"""MIS: risks that two images and a question bring about together."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Rows, file_image, find, folder_of
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped


@shipped("mis")
def mis(root: Path, variant: str) -> Rows:
    """Yield one level of difficulty; ids are places in the list, from 0."""
    name = f"mis_{variant}.json"
    file = find(root, name, f"zip_files/{name}", f"mis_test/{name}")
    images = folder_of(file.parent, f"{variant}_image", f"zip_files/{variant}_image").parent
    return read_english(
        file,
        query="question",
        images=lambda row: [file_image(images, row.text(f"image_path{n}")) for n in (1, 2)],
        category="category",
        subcategory="sub_category",
        grades=by_authors("??U"),
    )
