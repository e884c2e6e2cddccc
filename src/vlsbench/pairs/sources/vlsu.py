"""VLSU: pairs of which people graded the text, the image, and both together."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Grade, GradedBy, Grades, Rows
from vlsbench.pairs.sources._declared import read_declared

COLUMNS = ("consensus_text_grade", "image_grade", "consensus_combined_grade")
LABELS = {str(grade): grade for grade in (Grade.SAFE, Grade.BORDERLINE, Grade.UNSAFE)} | {
    "not_sure": Grade.UNKNOWN
}


def read(root: Path, variant: str) -> Rows:
    """Yield the pairs; their images are looked for as `images/<uuid>.*`, never fetched."""
    return read_declared(
        "vlsu",
        root,
        variant,
        # Where people are not sure, answering is not what a benchmark should reward.
        harmful=lambda row: _grades(row).pair is not Grade.SAFE,
        grades=_grades,
        keep=lambda row: variant == "all" or _grades(row).pair in (Grade.SAFE, Grade.UNSAFE),
    )


def _grades(row: Fields) -> Grades:
    return Grades(GradedBy.PEOPLE, *(_grade(row, column) for column in COLUMNS))


def _grade(row: Fields, column: str) -> Grade:
    if not row.maybe(column):
        return Grade.UNKNOWN
    return LABELS[row.choice(column, *LABELS)]
