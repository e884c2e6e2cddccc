"""VLSU: pairs of which people graded the text, the image, and both together."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import (
    Fields,
    Grade,
    GradedBy,
    Grades,
    Rows,
    file_image,
    find,
)
from vlsbench.pairs.sources._declared import read_english, shipped

COLUMNS = ("consensus_text_grade", "image_grade", "consensus_combined_grade")
LABELS = {str(grade): grade for grade in (Grade.SAFE, Grade.BORDERLINE, Grade.UNSAFE)} | {
    "not_sure": Grade.UNKNOWN
}


@shipped("vlsu")
def vlsu(root: Path, variant: str) -> Rows:
    """Yield the pairs; their images are looked for as `images/<uuid>.*`, never fetched."""
    folder = root / "images"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}
    return read_english(
        find(root, "VLSU.csv", "data/VLSU.csv"),
        id="uuid",
        query="prompt",
        images=lambda row: (
            file_image(folder, files.get(name := row.text("uuid"), f"{name}.jpg")),
        ),
        category="combined_category",
        # Where people are not sure, answering is not what a benchmark should reward.
        harmful=lambda row: _grades(row).pair is not Grade.SAFE,
        grades=_grades,
        meta=("web_path", "image_category", "text_category"),
        needs=COLUMNS,
        keep=lambda row: variant == "all" or _grades(row).pair in (Grade.SAFE, Grade.UNSAFE),
    )


def _grades(row: Fields) -> Grades:
    return Grades(GradedBy.PEOPLE, *(_grade(row, column) for column in COLUMNS))


def _grade(row: Fields, column: str) -> Grade:
    if not row.maybe(column):
        return Grade.UNKNOWN
    return LABELS[row.choice(column, *LABELS)]
