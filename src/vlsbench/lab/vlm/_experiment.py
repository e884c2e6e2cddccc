"""The paper's experiment in the closed world: every seed, every arm, one file for each.

A finished (seed, arm) is kept as JSON and not run again, so the same command goes on where it
stopped. Models are kept beside it in plain Hugging Face format.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from vlsbench.aligning import train
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json
from vlsbench.lab._world import WORLD_VERSION
from vlsbench.lab.vlm._design import DESIGN_VERSION, Arm, Design, arms_of
from vlsbench.lab.vlm._pretrain import pretrain
from vlsbench.lab.vlm._sets import (
    SETS,
    ask,
    case_of,
    letter,
    naming_cases,
    risks,
)
from vlsbench.lab.vlm._teaching import reward
from vlsbench.lab.vlm._words import names_it
from vlsbench.models import LocalModel
from vlsbench.schemas import SchemaError, read_json

VANILLA = "vanilla"
CELL = "cell.json"

Tell = Callable[[str, float, float], None]
"""Is told what is being done, the work done and the work there is."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What one model of one seed said."""

    seed: int
    arm: str
    labels: Mapping[str, str]
    """Set → one letter for each pair, in the order of `risks(seed)`: r, w, a or x."""
    naming: float
    """Share of fresh pictures that it names."""
    naming_other: float
    """The same where each request is given the picture of another: chance, if it looks."""
    steps: int
    train_s: float
    evaluate_s: float
    design: str
    """Digest of all that could change the result."""


def run(
    out: Path,
    seeds: Sequence[int],
    names: Sequence[str],
    design: Design,
    tell: Tell = lambda what, done, total: None,
) -> list[Cell]:
    """Run the experiment, or what is missing of it.

    Args:
        out: Folder; a seed has a folder in it, and an arm one in that.
        seeds: Each pre-trains a model of its own.
        names: Arms; those that another arm starts from are run too.
        design: How long everything is trained.
        tell: Is told how far it is.

    Returns:
        The cells, seeds in order and `vanilla` first.

    Raises:
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: There is no such arm.
    """
    arms = _chosen(names, design)
    work = {VANILLA: design.pretraining_work, **{arm.name: arm.work for arm in arms}}
    total = sum(work.values()) * len(seeds)
    done = 0.0
    cells = []
    for seed in seeds:
        for arm in (None, *arms):
            name = arm.name if arm else VANILLA
            folder = out / f"seed-{seed}" / name
            digest = _digest(design, arm, seed)
            before, part = done, work[name]

            def step(
                at: int,
                of: int,
                what: str = f"seed {seed}: {name}",
                base: float = before,
                share: float = part,
            ) -> None:
                tell(what, base + share * at / max(1, of), total)

            step(0, 1)
            cell = _finished(folder, digest)
            if cell is None:
                cell = _make(folder, seed, arm, design, digest, step)
            cells.append(cell)
            done += part
            tell(f"seed {seed}: {name}", done, total)
    return cells


def _chosen(names: Sequence[str], design: Design) -> list[Arm]:
    arms = {arm.name: arm for arm in arms_of(design)}
    unknown = [name for name in names if name not in arms and name != VANILLA]
    if unknown:
        raise VlsbenchError(
            f"no method {', '.join(unknown)} in the lab; there are {', '.join(arms)}"
        )
    wanted = set(names)
    wanted |= {arms[name].after for name in names if name in arms}
    return [arm for arm in arms.values() if arm.name in wanted]


def _digest(design: Design, arm: Arm | None, seed: int) -> str:
    parts: list[Any] = [DESIGN_VERSION, WORLD_VERSION, asdict(design), seed]
    if arm:
        parts += [arm.name, arm.method, asdict(arm.settings), arm.after]
    return sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:16]


def _finished(folder: Path, digest: str) -> Cell | None:
    try:
        found = read_json(folder / CELL, Cell)
    except SchemaError:
        return None
    return found if found.design == digest else None


def _make(
    folder: Path,
    seed: int,
    arm: Arm | None,
    design: Design,
    digest: str,
    step: Callable[[int, int], None],
) -> Cell:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    if arm is None:
        pretrain(folder, seed, design.pretraining, progress=step)
        steps = design.pretraining.total
    else:
        steps = train(
            arm.method,
            model=folder.parent / (arm.after or VANILLA),
            rows=arm.rows(seed),
            out=folder,
            settings=arm.settings_for(seed),
            reward=reward if arm.method.online else None,
            progress=step,
            name=f"the lab's rows for {arm.name}",
        ).steps
    trained = time.perf_counter()
    labels, naming, other = evaluate(folder, seed)
    cell = Cell(
        seed=seed,
        arm=arm.name if arm else VANILLA,
        labels=labels,
        naming=naming,
        naming_other=other,
        steps=steps,
        train_s=round(trained - started, 2),
        evaluate_s=round(time.perf_counter() - trained, 2),
        design=digest,
    )
    write_json(cell, folder / CELL)
    return cell


def evaluate(folder: Path, seed: int) -> tuple[dict[str, str], float, float]:
    """Ask a model everything.

    Returns:
        Set → letters of the labels; naming accuracy; the same with other pictures.
    """
    model = LocalModel.load(str(folder))
    every = risks(seed)
    labels = {
        name: "".join(letter(r) for r in ask(model, [case_of(risk, name, seed) for risk in every]))
        for name in SETS
    }
    shown = naming_cases(seed)

    def named(*, other: bool) -> float:
        replies = ask(model, shown, other_pictures=other)
        hits = [names_it(reply, c.thing) for reply, c in zip(replies, shown, strict=True)]
        return sum(hits) / len(hits)

    return labels, named(other=False), named(other=True)
