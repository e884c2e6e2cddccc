"""`vlsbench lab reproduce`: run the experiment, then write its tables and its figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlsbench.lab.vlm._design import FACTORIAL, FIRST_SEED, GROUNDED, HEADLINE, Design, arms_of
from vlsbench.lab.vlm._experiment import Tell, run
from vlsbench.lab.vlm._figure import draw_figure
from vlsbench.lab.vlm._pretrain import Pretraining
from vlsbench.lab.vlm._sets import STRATA, risks
from vlsbench.lab.vlm._table import (
    SIMULATED,
    Difference,
    Line,
    as_csv,
    differences,
    lines,
    markdown,
)

RESULT = "result.json"
TABLE = "table.md"
CELLS = "cells.csv"
FIXED = Design()
ARMS = tuple(arms_of(FIXED))
EXPERIMENT = (*FACTORIAL, *(GROUNDED + name for name in FACTORIAL))
"""The arms whose figures are published; the further ones are for users to try."""
QUICK = HEADLINE
QUICK_DESIGN = Design(
    pretraining=Pretraining(tower_steps=120, text_steps=100, steps=190), steps=220, rows=1600
)
"""What the demo trains, and for how long: one seed of it takes a minute and a half."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Everything that `result.json` says."""

    folder: Path
    simulated: str
    seeds: tuple[int, ...]
    pairs: dict[str, int]
    """Stratum → risky pairs of each set."""
    lines: tuple[Line, ...]
    differences: tuple[Difference, ...]
    files: tuple[Path, ...]


def reproduce(
    out: Path,
    *,
    seeds: Sequence[int] = range(FIRST_SEED, FIRST_SEED + 5),
    methods: Sequence[str] = EXPERIMENT,
    design: Design = FIXED,
    tell: Tell = lambda what, done, total: None,
) -> Reproduction:
    """Run the paper's experiment in the closed world, or what is missing of it.

    Args:
        out: Folder for the models, the cells and the results.
        seeds: Each pre-trains vanilla models of its own and aligns them by every method.
        methods: Names of arms.
        design: How long everything is trained.
        tell: Is told how far it is.

    Raises:
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: There is no such method.
    """
    cells = run(out, seeds, methods, design, tell)
    found, compared = lines(cells), differences(cells)
    every = [risk.stratum for risk in risks(seeds[0])]
    result = Reproduction(
        folder=out,
        simulated=SIMULATED,
        seeds=tuple(seeds),
        pairs={name: every.count(name) for name in STRATA},
        lines=tuple(found),
        differences=tuple(compared),
        files=(out / TABLE, out / CELLS, out / RESULT, *draw_figure(out, found, len(seeds))),
    )
    (out / TABLE).write_text(markdown(found, compared, len(seeds)), encoding="utf-8")
    (out / CELLS).write_text(as_csv(cells), encoding="utf-8")
    (out / RESULT).write_text(as_json(result), encoding="utf-8")
    return result


def as_json(result: Reproduction) -> str:
    """Write the result as JSON, paths relative to its folder."""
    shown: dict[str, Any] = asdict(result)
    shown.pop("folder")
    shown["files"] = [path.name for path in result.files]
    return json.dumps(shown, indent=1) + "\n"
