"""The paper's table of textual and multimodal alignment, and which of its rows are asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from vlsbench.comparing._ability import ABILITIES
from vlsbench.comparing._types import Cell, Column, Kind, Row
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import published_results

PAPER = "VLSBench, arXiv 2411.19939"
VLSBENCH = "vlsbench"
LLAVA_7B = "LLaVA-v1.5-7B"
BENCHES = {
    "jailbreakv:raw": "JailbreakV, raw query",
    "jailbreakv:jailbreak": "JailbreakV, jailbreak",
    "figstep": "SafeBench (FigStep)",
    "vlsafe": "VLSafe",
    VLSBENCH: "vlsbench",
}
"""Benchmark → title of its column; in the paper's order, VLSBench last."""
_TABLE = """
Vanilla          | 59.29 | 42.85 | 50.61 | 25.32 | 1511 | 355 | 36.44 | 33.74 | 29.82
MM-SFT           | 97.85 | 66.07 | 99.20 | 95.95 | 1521 | 288 | 36.44 | 34.46 | 25.77
MM-DPO           | 98.21 | 96.07 | 96.60 | 99.91 | 1205 | 240 | 35.67 | 30.83 | 27.43
MM-PPO           | 98.57 | 77.50 | 96.40 | 99.73 | 1394 | 276 | 35.67 | 32.74 | 17.93
T-Unlearning     | 100   | 90.35 | 99.80 | 99.46 | 0    | 0   | 24.22 | 17.83 | 0
T-SafeUnlearning | 97.14 | 91.79 | 91.79 | 99.01 | 1471 | 278 | 35.11 | 33.09 | 26.74
T-SFT            | 98.21 | 93.21 | 96.40 | 99.64 | 1362 | 266 | 33.89 | 33.68 | 30.64
T-DPO            | 94.21 | 85.93 | 90.60 | 98.02 | 1229 | 271 | 34.44 | 34.70 | 30.22
"""
"""LLaVA-v1.5-7B: method | safety rates in percent, as `BENCHES` | abilities, as `ABILITIES`."""
_SAME = {
    "LLaVA-v1.5-7B": "Vanilla",
    "LLaVA-1.5-7B + VLGuard (MM-SFT)": "MM-SFT",
    "LLaVA-1.5-7B + SPA-VL-DPO": "MM-DPO",
    "LLaVA-1.5-7B + SPA-VL-PPO": "MM-PPO",
    "LLaVA-1.5-7B + Textual-SFT": "T-SFT",
}
"""Rows of the paper's VLSBench table that are models of the table above. "Textual-Unlearning"
is none of them: the paper does not say which of the two unlearnings it is."""
SWAPPED = (
    "The paper's table has the heads of MME's perception and cognition the other way round (its "
    '"cognition" of 1511 is above the 800 that cognition can reach); they are put right here.'
)
_ALIASES = {
    "Qwen2-VL": "Qwen2-VL-7B",
    "LLaVA-1.5-7B": LLAVA_7B,
    "LLaVA-1.5-13B": "LLaVA-v1.5-13B",
}
"""How the paper calls a model in the names of its alignments → the model."""


def published_rows(wanted: Sequence[str]) -> tuple[tuple[Column, ...], tuple[Row, ...]]:
    """Return the paper's rows of the models asked for, and the columns that they have.

    Args:
        wanted: Models as the paper calls them, in any case, with or without the v of a version
            (`llava-1.5-7b`), or `all`.

    Raises:
        VlsbenchError: The paper has no such model.
    """
    rows = _all_rows()
    kept: dict[str, Row] = {}
    for name in wanted:
        found = {
            row.name: row
            for model, row in rows
            if name == "all" or _plain(name) == _plain(model) or _plain(name) == _plain(row.name)
        }
        if not found:
            models = ", ".join(dict.fromkeys(model for model, _ in rows))
            raise VlsbenchError(f"no published row of {name!r}; the paper has {models}, or `all`")
        kept |= found
    used = {key for row in kept.values() for key in row.cells}
    columns = [
        Column(bench, title, Kind.SAFETY, "%", bench, "full") for bench, title in BENCHES.items()
    ]
    columns += [ability.column for ability in ABILITIES]
    return tuple(column for column in columns if column.key in used), tuple(kept.values())


def _plain(name: str) -> str:
    """Make spellings of one model equal: `LLaVA-v1.5-7B`, `llava 1.5 7b`."""
    return re.sub(r"[^a-z0-9+]", "", re.sub(r"[-_ ]v(?=\d)", "-", name.lower()))


def _all_rows() -> list[tuple[str, Row]]:
    """Return (model, row) in the paper's order."""
    safety = {_SAME.get(row.model, row.model): row for row in published_results(VLSBENCH, "full")}
    keys = [*(bench for bench in BENCHES if bench != VLSBENCH), *(one.key for one in ABILITIES)]
    rows = []
    for line in _TABLE.strip().splitlines():
        method, *cells = (cell.strip() for cell in line.split("|"))
        scores = dict(zip(keys, map(float, cells), strict=True))
        if same := safety.pop(method, None):
            scores[VLSBENCH] = same.safety
        name = LLAVA_7B if method == "Vanilla" else f"{LLAVA_7B} + {method}"
        rows.append((LLAVA_7B, _row(name, scores)))
    for name, row in safety.items():
        model = name.partition(" + ")[0]
        rows.append((_ALIASES.get(model, model), _row(name, {VLSBENCH: row.safety})))
    return rows


def _row(name: str, scores: Mapping[str, float]) -> Row:
    cells = {key: Cell(score, source=PAPER) for key, score in scores.items()}
    return Row(name, cells, published=True)
