"""Lingua-SafetyBench: harmful pairs in ten languages, by where their risk lies."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Rows, file_image
from vlsbench.pairs.sources._declared import by_authors, numbered, read_english, shards, shipped

LANGUAGES = {
    "Arabic": "ar", "Chinese": "zh", "English": "en", "Finnish": "fi", "French": "fr",
    "German": "de", "Japanese": "ja", "Norwegian": "no", "Russian": "ru", "Spanish": "es",
}  # fmt: skip
PARTS = {"image": "1-Image-Dominant Risk/*", "text": "2-Text-Dominant Risk"}
GRADES = {"image": "??U", "text": "U?U"}


@shipped("lingua")
def lingua(root: Path, variant: str) -> Rows:
    """Yield the files in the order of their names; ids are `<file>/<place from 0>`."""
    parts = PARTS if variant == "all" else (variant,)
    # All files are looked for before the first is read: half of the set must not pass for it.
    files = {part: shards(root, f"{PARTS[part]}/*/*.json") for part in parts}
    for part in parts:
        for file in files[part]:
            yield from _pairs(root, file, GRADES[part])


def _pairs(root: Path, file: Path, grades: str) -> Rows:
    return read_english(
        file,
        id=numbered(file, root),
        query="question",
        images=lambda row: (file_image(root / "bundle_data", row.text("image_path")),),
        category=lambda row: file.stem,
        subcategory=lambda row: file.parent.parent.name,
        language=LANGUAGES.get(file.parent.name, ""),
        grades=by_authors(grades),
    )
