"""The paper's tables of alignment and of VLSBench, and which of their rows are asked for."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files

from vlsbench.comparing._ability import ABILITIES
from vlsbench.comparing._table import Cell, Column, Kind, Row
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import published_results

PAPER = "VLSBench, arXiv 2411.19939"
BENCHES = {
    "jailbreakv:raw": "JailbreakV, raw query",
    "jailbreakv:jailbreak": "JailbreakV, jailbreak",
    "figstep": "SafeBench (FigStep)",
    "vlsafe": "VLSafe",
    "vlsbench": "vlsbench",
}
"""Benchmark → title of its column; in the paper's order, VLSBench last."""
SWAPPED = (
    "The paper's table has the heads of MME's perception and cognition the other way round (its "
    '"cognition" of 1511 is above the 800 that cognition can reach); it is corrected here.'
)


def published_rows(wanted: Sequence[str]) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Return the paper's rows of the models asked for, and the columns that they have.

    Args:
        wanted: Models as the paper calls them, in any case, with or without the v of a version
            (`llava-1.5-7b`), or `all`.

    Raises:
        VlsbenchError: The paper has no such model.
    """
    rows = list(_all_rows())
    kept: dict[str, Row] = {}
    for name in wanted:
        found = {
            row.name: row
            for model, row in rows
            if name == "all" or _plain(name) in (_plain(model), _plain(row.name))
        }
        if not found:
            models = ", ".join(dict.fromkeys(model for model, _ in rows))
            raise VlsbenchError(f"no published row of {name!r}; the paper has {models}, or `all`")
        kept |= found
    used = {key for row in kept.values() for key in row.cells}
    columns = [Column(key, BENCHES[key], Kind.SAFETY, "%", key, "full") for key in BENCHES]
    columns += [ability.column for ability in ABILITIES]
    return tuple(column for column in columns if column.key in used), tuple(kept.values())


def _plain(name: str) -> str:
    """Make spellings of one model equal: `LLaVA-v1.5-7B`, `llava 1.5 7b`."""
    return re.sub(r"[^a-z0-9+]", "", re.sub(r"[-_ ]v(?=\d)", "-", name.lower()))


def _all_rows() -> Iterator[tuple[str, Row]]:
    """Yield (model, row) in the paper's order.

    `published.csv` has the table of textual and multimodal alignment, in percent and MME's points,
    and names for each row its row of the VLSBench table. "Textual-Unlearning" of that table is
    neither of the two unlearnings here: the paper does not report which one it is.
    """
    safety = {row.model: row.safety for row in published_results("vlsbench", "full")}
    text = files("vlsbench.comparing").joinpath("published.csv").read_text("utf-8")
    for line in csv.DictReader(text.splitlines()):
        model, name, same = (line.pop(key) for key in ("model", "row", "vlsbench row"))
        scores = {key: float(score) for key, score in line.items() if score}
        if same:
            scores["vlsbench"] = safety[same]
        cells = {key: Cell(score, source=PAPER) for key, score in scores.items()}
        yield model, Row(name, cells, published=True)
