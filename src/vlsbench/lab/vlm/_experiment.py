"""The paper's experiment in the closed world: every seed, every arm, one file for each.

A finished (seed, arm) is kept as JSON and not run again, so the same command resumes where it
stopped. Models are kept beside it in plain Hugging Face format.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from vlsbench.aligning import Progress, train
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json, write_text
from vlsbench.lab.vlm._figure import draw_figure
from vlsbench.lab.vlm._make import one_thread
from vlsbench.lab.vlm._pretrain import pretrain
from vlsbench.lab.vlm.design import ARMS, DESIGN_VERSION, FIRST_SEED, FIXED, VANILLA, Arm, Design
from vlsbench.lab.vlm.sets import STRATA, Cell, evaluate, risks
from vlsbench.lab.vlm.table import (
    SIMULATED,
    Difference,
    Line,
    differences,
    frame,
    lines,
    markdown,
)
from vlsbench.schemas import SchemaError, read_json

Tell = Callable[[str, float, float], None]
"""Is told what is being done, the steps done and the steps there are."""


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

    def json(self) -> str:
        """Write it as JSON, paths relative to its folder."""
        shown: dict[str, Any] = asdict(self)
        shown.pop("folder")
        shown["files"] = [path.name for path in self.files]
        return json.dumps(shown, indent=1) + "\n"


def reproduce(
    out: Path,
    *,
    seeds: Sequence[int] = range(FIRST_SEED, FIRST_SEED + 5),
    methods: Iterable[str] = ARMS,
    design: Design = FIXED,
    tell: Tell = lambda what, done, total: None,
) -> Reproduction:
    """Run the paper's experiment in the closed world, or what is missing of it.

    Args:
        out: Folder for the models, the cells and the results.
        seeds: Each pre-trains vanilla models of its own and aligns them by every arm.
        methods: Names of arms.

    Raises:
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: There is no such arm.
    """
    cells = frame(_run(out, seeds, tuple(methods), design, tell))
    found, compared = lines(cells), differences(cells)
    every = [risk.stratum for risk in risks(seeds[0])]
    table, csv, result = (out / name for name in ("table.md", "cells.csv", "result.json"))
    made = Reproduction(
        folder=out,
        simulated=SIMULATED,
        seeds=tuple(seeds),
        pairs={name: every.count(name) for name in STRATA},
        lines=tuple(found),
        differences=tuple(compared),
        files=(table, csv, result, *draw_figure(out, found, len(seeds))),
    )
    write_text(markdown(found, compared, len(seeds)), table)
    write_text(cells.to_csv(index=False, float_format="%.4f"), csv)
    write_text(made.json(), result)
    return made


def _run(
    out: Path, seeds: Sequence[int], names: Sequence[str], design: Design, tell: Tell
) -> Iterator[Cell]:
    """Yield the cells, seeds in order and vanilla models before their arms."""
    plan = [(seed, *one) for seed in seeds for one in _chosen(names).items()]
    steps = [design.steps if arm else design.pretraining.total for _, _, arm in plan]

    def telling(what: str, before: int) -> Progress:
        return lambda at, of: tell(what, before + at, sum(steps))

    for place, (seed, name, arm) in enumerate(plan):
        step = telling(f"seed {seed}: {name}", sum(steps[:place]))
        step(0, steps[place])
        folder = out / f"seed-{seed}" / name
        parts = [DESIGN_VERSION, asdict(design), name, seed]
        digest = sha256(json.dumps(parts).encode()).hexdigest()[:16]
        with one_thread():
            yield _finished(folder, digest) or _made(folder, seed, name, arm, design, digest, step)
        step(steps[place], steps[place])


def _chosen(names: Sequence[str]) -> dict[str, Arm | None]:
    """Return arms by name, behind the models that they start from; None is pre-training."""
    if unknown := [name for name in names if name not in (*ARMS, VANILLA)]:
        raise VlsbenchError(f"no arm {', '.join(unknown)} in the lab; there are {', '.join(ARMS)}")
    chosen: dict[str, Arm | None] = {VANILLA: None} if VANILLA in names else {}
    for name, arm in ARMS.items():
        if name in names:
            chosen |= {arm.start: None, name: arm}
    return chosen


def _finished(folder: Path, digest: str) -> Cell | None:
    try:
        found = read_json(folder / "cell.json", Cell)
    except SchemaError:
        return None
    return found if found.design == digest else None


def _made(
    folder: Path,
    seed: int,
    name: str,
    arm: Arm | None,
    design: Design,
    digest: str,
    step: Progress,
) -> Cell:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    if arm is None:
        how = replace(design.pretraining, grounded=name != VANILLA)
        pretrain(folder, seed, how, progress=step)
    else:
        train(
            arm.method,
            model=folder.parent / arm.start,
            rows=arm.rows(design, seed),
            out=folder,
            settings=arm.settings(design, seed),
            progress=step,
            name=f"the lab's rows for {name}",
        )
    trained = time.perf_counter()
    cell = Cell(
        seed=seed,
        arm=name,
        **evaluate(folder, seed),
        steps=design.steps if arm else design.pretraining.total,
        train_s=round(trained - started, 2),
        evaluate_s=round(time.perf_counter() - trained, 2),
        design=digest,
    )
    write_json(cell, folder / "cell.json")
    return cell
