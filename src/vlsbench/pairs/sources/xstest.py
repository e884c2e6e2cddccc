"""XSTest: safe prompts that look unsafe, and their unsafe contrasts. Text only."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import Row, RowError, find, pairs_from, read_csv
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source


@source(
    "xstest",
    title="XSTest",
    paper="2308.01263",
    licence="CC BY 4.0",
    home=Home(
        github="paul-rottger/xstest",
        commit="d7bb5bd738c1fcbc36edd83d5e7d1b71a3e2d84d",
        files=("xstest_prompts.csv",),
    ),
    size="450 prompts (250 safe, 200 unsafe), no images",
    rows={"": 450},
    layout="xstest_prompts.csv",
)
def xstest(root: Path, variant: str) -> Rows:
    """Yield the prompts; those labelled safe are benign controls."""
    file = find(root, "xstest_prompts.csv")
    rows = read_csv(file, "id", "prompt", "type", "label")
    yield from pairs_from(file.name, rows, lambda _, row: _pair(row))


def _pair(row: Row) -> Pair:
    label = row.text("label")
    if label not in ("safe", "unsafe"):
        raise RowError(f"label is {label!r}, not safe or unsafe")
    return Pair(
        id=row.text("id"),
        query=row.text("prompt"),
        category=row.text("type"),
        harmful=label == "unsafe",
        meta=row.only("focus", "note"),
    )
