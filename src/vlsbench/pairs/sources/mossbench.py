"""MOSSBench: harmless pairs that an oversensitive model refuses."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import Row, file_image, find, pairs_from, read_json
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source

_FOLDERS = {"oversensitivity": "data", "contrast": "data_contrast"}


@source(
    "mossbench",
    title="MOSSBench",
    paper="2406.17806",
    licence="CC BY-SA 4.0, test use only",
    home=Home(
        github="xirui-li/MOSSBench",
        commit="8d68b0614b39d8990a508e03d99975832f399db2",
        files=("data/*", "data_contrast/*"),
    ),
    size="300 benign pairs, 300 images; 244 contrast pairs",
    rows={"oversensitivity": 300, "contrast": 244},
    variants={
        "oversensitivity": "benign pairs that look risky",
        "contrast": "their harmful counterparts",
    },
    layout="data/images_information/information.json with data/images/; for the contrast set the "
    "same under data_contrast/",
)
def mossbench(root: Path, variant: str) -> Rows:
    """Yield benign pairs, or the contrast set's harmful ones."""
    folder = _FOLDERS[variant]
    file = find(root, f"{folder}/images_information/information.json")
    yield from pairs_from(
        file.name,
        read_json(file),
        lambda _, row: _pair(row, root / folder, variant == "contrast"),
    )


def _pair(row: Row, folder: Path, harmful: bool) -> Pair:
    return Pair(
        id=row.id("pid"),
        query=row.text("question"),
        images=(file_image(folder, row.text("image")),),
        category=row.row("metadata").text("over"),
        harmful=harmful,
        description=row.maybe("description") or row.maybe("short description"),
        meta=row.row("metadata").only("human", "child", "syn", "ocr", "harm"),
    )
