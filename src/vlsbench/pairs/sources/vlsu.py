"""VLSU: pairs of which people graded the text, the image, and both together."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import (
    Fields,
    Grade,
    GradedBy,
    Grades,
    Image,
    RowError,
    Rows,
    file_image,
    find,
    read_pairs,
)
from vlsbench.pairs.sources._declared import shipped

GRADES = {**{str(grade): grade for grade in Grade}, "not_sure": Grade.UNKNOWN, "": Grade.UNKNOWN}


@shipped("vlsu")
def vlsu(root: Path, variant: str) -> Rows:
    """Yield the pairs; their images are looked for as `images/<uuid>.*`, never fetched."""
    folder = root / "images"
    files = {path.stem: path.name for path in folder.iterdir()} if folder.is_dir() else {}

    def images(row: Fields) -> tuple[Image, ...]:
        name = row.text("uuid")
        return (file_image(folder, files.get(name, f"{name}.jpg")),)

    def grades(row: Fields) -> Grades:
        columns = ("consensus_text_grade", "image_grade", "consensus_combined_grade")
        return Grades(GradedBy.PEOPLE, *(_grade(row, column) for column in columns))

    decided = (Grade.SAFE, Grade.UNSAFE)
    return read_pairs(
        find(root, "VLSU.csv", "data/VLSU.csv"),
        id="uuid",
        query="prompt",
        images=images,
        category="combined_category",
        # Where people are not sure, answering is not what a benchmark should reward.
        harmful=lambda row: grades(row).pair is not Grade.SAFE,
        language="en",
        grades=grades,
        meta=("web_path", "image_category", "text_category"),
        needs=("image_grade", "consensus_text_grade", "consensus_combined_grade"),
        keep=lambda row: variant == "all" or grades(row).pair in decided,
    )


def _grade(row: Fields, column: str) -> Grade:
    said = row.maybe(column).strip().lower()
    if said not in GRADES:
        raise RowError(f"{column} is {said!r}, not one of {', '.join(filter(None, GRADES))}")
    return GRADES[said]
