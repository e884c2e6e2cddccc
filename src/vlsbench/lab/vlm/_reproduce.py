"""`vlsbench lab reproduce`: run the experiment, then write its table, its sweep and its figure."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vlsbench.errors import MissingExtra
from vlsbench.lab.vlm._design import FIRST_SEED, Design, arms_of
from vlsbench.lab.vlm._experiment import Tell, run
from vlsbench.lab.vlm._figure import draw_figure
from vlsbench.lab.vlm._measures import ERRORS, Leak, measure_a, measure_b, truth
from vlsbench.lab.vlm._sets import LEAKY
from vlsbench.lab.vlm._table import (
    SHARES,
    SIMULATED,
    Area,
    Curve,
    Line,
    Mean,
    areas,
    as_csv,
    curves,
    lines,
    markdown,
    sweep_markdown,
    unseen,
)

RESULT = "result.json"
TABLE = "table.md"
CELLS = "cells.csv"
FIXED = Design()
ARMS = tuple(arm.name for arm in arms_of(FIXED))
QUICK = ("t-sft", "mm-sft")
"""What the demo trains."""
TRUTH = "truth"
MEASURE_A = "audit, measure A (overlap)"
MEASURE_B = f"audit, measure B (judge errs {ERRORS:.0%})"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """Everything that `result.json` says."""

    folder: Path
    simulated: str
    seeds: tuple[int, ...]
    pairs: int
    """Of each set."""
    lines: tuple[Line, ...]
    unseen: Mapping[str, Mean]
    """Net rate of MM-SFT on things that its data held, and on things they did not."""
    shares: tuple[float, ...]
    curves: tuple[Curve, ...]
    areas: tuple[Area, ...]
    measures: Mapping[str, tuple[Leak, ...]]
    """The truth, and what the audit says → leak rate of the first seed's sets at `shares`."""
    files: tuple[Path, ...]


def reproduce(
    out: Path,
    *,
    seeds: Sequence[int] = range(FIRST_SEED, FIRST_SEED + 5),
    methods: Sequence[str] = ARMS,
    design: Design = FIXED,
    overlap: bool = True,
    judged: bool = True,
    tell: Tell = lambda what, done, total: None,
) -> Reproduction:
    """Run the paper's experiment in the closed world, or what is missing of it.

    Args:
        out: Folder for the models, the cells and the results.
        seeds: Each pre-trains a vanilla model of its own and aligns it by every method.
        methods: Names of arms.
        design: How long everything is trained.
        overlap: Measure A of the audit on the sets of the sweep, which needs MiniLM.
        judged: Measure B on them, with a lab judge that errs.
        tell: Is told how far it is.

    Raises:
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: There is no such method.
    """
    cells = run(out, seeds, methods, design, tell)
    found, sweep = lines(cells), curves(cells)
    measures = {TRUTH: truth(SHARES, seeds[0])}
    if overlap:
        # The figure is whole without it.
        with contextlib.suppress(MissingExtra):
            measures[MEASURE_A] = measure_a(SHARES, seeds[0])
    if judged:
        measures[MEASURE_B] = measure_b(SHARES, seeds[0])
    pictures = draw_figure(out, found, sweep, measures, len(seeds))
    pairs = len(cells[0].labels[LEAKY])
    result = Reproduction(
        folder=out,
        simulated=SIMULATED,
        seeds=tuple(seeds),
        pairs=pairs,
        lines=tuple(found),
        unseen=unseen(cells),
        shares=SHARES,
        curves=tuple(sweep),
        areas=tuple(areas(cells)),
        measures=measures,
        files=(out / TABLE, out / CELLS, out / RESULT, *pictures),
    )
    written = markdown(found, len(seeds), pairs) + sweep_markdown(sweep, measures, seeds[0])
    (out / TABLE).write_text(written, encoding="utf-8")
    (out / CELLS).write_text(as_csv(cells), encoding="utf-8")
    (out / RESULT).write_text(as_json(result), encoding="utf-8")
    return result


def as_json(result: Reproduction) -> str:
    """Write the result as JSON, paths relative to its folder."""
    shown: dict[str, Any] = asdict(result)
    shown.pop("folder")
    shown["files"] = [path.name for path in result.files]
    return json.dumps(shown, indent=1) + "\n"
