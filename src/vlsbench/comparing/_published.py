"""The paper's tables of alignment and of VLSBench, and which of their rows are asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vlsbench.comparing._ability import ABILITIES
from vlsbench.comparing._table import Cell, Column, Kind, Row
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import published_lines

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

AVERAGE = (
    "The paper prints 95.77 as T-SafeUnlearning's average on JailbreakV; the mean of its two parts "
    "is 94.47."
)


def published_rows(wanted: Sequence[str]) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Return the paper's rows of the models asked for, and the columns that they have.

    Args:
        wanted: Models as the paper calls them, in any case, with or without the v of a version
            (`llava-1.5-7b`), or `all`.

    Raises:
        VlsbenchError: The paper has no such model.
    """
    kept: dict[str, Row] = {}
    for name in wanted:
        found = {
            line["row"]: Row(
                line["row"],
                {
                    key: Cell(float(line[key]), source=PAPER)
                    for key in (*BENCHES, *ABILITIES)
                    if line[key]
                },
                published=True,
            )
            for line in published_lines()
            if name == "all" or _plain(name) in (_plain(line["model"]), _plain(line["row"]))
        }
        if not found:
            models = ", ".join(dict.fromkeys(line["model"] for line in published_lines()))
            raise VlsbenchError(f"no published row of {name!r}; the paper has {models}, or `all`")
        kept |= found
    used = {key for row in kept.values() for key in row.cells}
    columns = [Column(key, BENCHES[key], Kind.SAFETY, "%", key, "full") for key in BENCHES]
    columns += ABILITIES.values()
    return tuple(column for column in columns if column.key in used), tuple(kept.values())


def _plain(name: str) -> str:
    """Make spellings of one model equal: `LLaVA-v1.5-7B`, `llava 1.5 7b`."""
    return re.sub(r"[^a-z0-9+]", "", re.sub(r"[-_ ]v(?=\d)", "-", name.lower()))
