"""The paper's experiment in the closed world: every seed, every arm, one file for each.

A finished (seed, arm) is kept as JSON and not run again, so the same command resumes where it
stopped. Models are kept beside it in plain Hugging Face format.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path

from vlsbench.aligning import Progress, train
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json, write_text
from vlsbench.lab.vlm._make import one_thread
from vlsbench.lab.vlm._pretrain import pretrain
from vlsbench.lab.vlm.design import ARMS, DESIGN_VERSION, FIRST_SEED, FIXED, VANILLA, Arm, Design
from vlsbench.lab.vlm.sets import HELD_OUT, Cell, evaluate
from vlsbench.lab.vlm.table import differences, draw_figure, frame, markdown, means, sections
from vlsbench.pages import ENDINGS, Section, Table
from vlsbench.schemas import SchemaError, read_json

Tell = Callable[[str, float, float], None]
"""Is told what is being done, the steps done and the steps there are."""


@dataclass(frozen=True, slots=True)
class Reproduction:
    """What came out, as tables, and the files that hold it."""

    sections: Sequence[Section]
    files: Sequence[Path]

    @property
    def shown(self) -> list[Section]:
        """Return all arms, and how they differ on held-out cells: what a terminal has room for."""
        arms, compared = self.sections
        assert compared.table is not None
        names, rows = compared.table.names, compared.table.rows
        held = [[row[0], *row[2:]] for row in rows if row[1].text == HELD_OUT]
        table = Table([names[0], *names[2:]], held)
        title = "Differences on held-out cells"
        return [arms, replace(compared, title=title, table=table)] if held else [arms]


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
    found = frame(_run(out, seeds, tuple(methods), design, tell))
    figures = means(found)
    made = sections(figures, differences(found), len(seeds))
    names = ("table.md", "cells.csv", *(f"figure.{ending}" for ending in ENDINGS))
    write_text(markdown(made), out / "table.md")
    write_text(found.to_csv(index=False, float_format="%.4f"), out / "cells.csv")
    draw_figure(out / "figure", figures, len(seeds))
    return Reproduction(made, [out / name for name in names])


def _run(
    out: Path, seeds: Sequence[int], names: Sequence[str], design: Design, tell: Tell
) -> Iterator[Cell]:
    """Yield the cells, seeds in order and vanilla models before their arms."""
    if unknown := [name for name in names if name not in (*ARMS, VANILLA)]:
        raise VlsbenchError(f"no arm {', '.join(unknown)} in the lab; there are {', '.join(ARMS)}")
    chosen: dict[str, Arm | None] = {VANILLA: None} if VANILLA in names else {}
    for name in filter(names.__contains__, ARMS):
        chosen |= {ARMS[name].start: None, name: ARMS[name]}
    plan = [(seed, *one) for seed in seeds for one in chosen.items()]
    steps = [design.steps if arm else design.pretraining.total for *_, arm in plan]

    def telling(what: str, before: int, at: float, of: float) -> None:
        tell(what, before + at, sum(steps))

    for place, (seed, name, arm) in enumerate(plan):
        step = partial(telling, f"seed {seed}: {name}", sum(steps[:place]))
        step(0, steps[place])
        with one_thread():
            yield _cell(out / f"seed-{seed}" / name, seed, name, arm, design, step)
        step(steps[place], steps[place])


def _cell(
    folder: Path, seed: int, name: str, arm: Arm | None, design: Design, step: Progress
) -> Cell:
    """Train and ask one model, unless that is done."""
    digest = sha256(json.dumps([DESIGN_VERSION, asdict(design), name, seed]).encode())
    file, designed = folder / "cell.json", digest.hexdigest()[:16]
    with suppress(SchemaError):  # there is none, it is cut, or of another form
        # Earlier versions wrote more than is read.
        found = read_json(file, Cell, foreign=True)
        if found.design == designed:
            return found
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    folder.parent.mkdir(parents=True, exist_ok=True)
    if arm is None:
        pretrain(folder, seed, replace(design.pretraining, grounded=name != VANILLA), progress=step)
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
    made = Cell(seed, name, evaluate(folder, seed), designed)
    write_json(made, file)
    return made
