"""The paper's experiment in the closed world: every seed, every arm, one file for each.

A finished (seed, arm) is kept as JSON and not run again, so the same command goes on where it
stopped. Models are kept beside it in plain Hugging Face format.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from vlsbench.aligning import train
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json
from vlsbench.lab.vlm._design import DESIGN_VERSION, GROUNDED, VANILLA, Arm, Design, arms_of
from vlsbench.lab.vlm._make import one_thread
from vlsbench.lab.vlm._pretrain import pretrain
from vlsbench.lab.vlm._sets import (
    SETS,
    ask,
    ask_rule,
    case_of,
    letter,
    naming_cases,
    risks,
)
from vlsbench.lab.vlm._world import Thing, says
from vlsbench.models import LocalModel
from vlsbench.schemas import SchemaError, read_json

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
    """Share of fresh images whose thing it names."""
    naming_material: float
    """Share of which it names the material, from which the risk follows."""
    naming_other: float
    """The same where each request is given the image of another: chance, if it looks."""
    rule_in_words: float
    """Share of questions about the rule that it answers rightly of a named thing."""
    rule_in_images: float
    """The same of `this` in an image."""
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
        seeds: Each pre-trains models of its own.
        names: Arms; the vanilla models that they start from are run too.
        design: How long everything is trained.
        tell: Is told how far it is.

    Returns:
        The cells, seeds in order and vanilla models before their arms.

    Raises:
        MissingExtra: The extra `align` is not installed.
        VlsbenchError: There is no such arm.
    """
    arms = _chosen(names, design)
    work = {name: arm.work if arm else 1.2 * design.pretraining.total for name, arm in arms.items()}
    total = sum(work.values()) * len(seeds)
    done = 0.0
    cells = []
    for seed in seeds:
        for name, arm in arms.items():

            def step(
                at: int,
                of: int,
                what: str = f"seed {seed}: {name}",
                base: float = done,
                share: float = work[name],
            ) -> None:
                tell(what, base + share * at / max(1, of), total)

            step(0, 1)
            folder, digest = out / f"seed-{seed}" / name, _digest(design, name, arm, seed)
            cell = _finished(folder, digest)
            with one_thread():
                cells.append(cell or _make(folder, seed, name, arm, design, digest, step))
            done += work[name]
            step(1, 1)
    return cells


def _chosen(names: Sequence[str], design: Design) -> dict[str, Arm | None]:
    """Return arms by name; None is pre-training."""
    arms = arms_of(design)
    unknown = [name for name in names if name not in arms and name != VANILLA]
    if unknown:
        raise VlsbenchError(
            f"no method {', '.join(unknown)} in the lab; there are {', '.join(arms)}"
        )
    chosen: dict[str, Arm | None] = {}
    for grounded in (False, True):
        kept = {name: a for name, a in arms.items() if name in names and a.grounded == grounded}
        if kept or (not grounded and VANILLA in names):
            chosen |= {GROUNDED * grounded + VANILLA: None, **kept}
    return chosen


def _digest(design: Design, name: str, arm: Arm | None, seed: int) -> str:
    how = [arm.method, arm.this, asdict(arm.settings), arm.count] if arm else []
    parts = [DESIGN_VERSION, asdict(design), name, seed, how]
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
    name: str,
    arm: Arm | None,
    design: Design,
    digest: str,
    step: Callable[[int, int], None],
) -> Cell:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted run left
    folder.parent.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    if arm is None:
        how = replace(design.pretraining, grounded=name.startswith(GROUNDED))
        pretrain(folder, seed, how, progress=step)
        steps = how.total
    else:
        steps = train(
            arm.method,
            model=folder.parent / arm.start,
            rows=arm.rows(seed),
            out=folder,
            settings=arm.settings_for(seed),
            progress=step,
            name=f"the lab's rows for {name}",
        ).steps
    trained = time.perf_counter()
    labels, shares = evaluate(folder, seed)
    cell = Cell(
        seed=seed,
        arm=name,
        labels=labels,
        **shares,
        steps=steps,
        train_s=round(trained - started, 2),
        evaluate_s=round(time.perf_counter() - trained, 2),
        design=digest,
    )
    write_json(cell, folder / CELL)
    return cell


def evaluate(folder: Path, seed: int) -> tuple[dict[str, str], dict[str, float]]:
    """Ask a model everything.

    Returns:
        Set → letters of the labels; what `Cell` says of naming and of the rule.
    """
    model = LocalModel.load(str(folder))
    every, shown = risks(seed), naming_cases(seed)
    labels = {
        name: "".join(letter(r) for r in ask(model, [case_of(risk, name, seed) for risk in every]))
        for name in SETS
    }

    own, other = ask(model, shown), ask(model, shown, other_pictures=True)

    def named(replies: Sequence[str], what: Callable[[Thing], str]) -> float:
        pairs = zip(replies, shown, strict=True)
        return sum(says(reply, what(case.thing)) for reply, case in pairs) / len(shown)

    return labels, {
        "naming": named(own, lambda thing: thing.name),
        "naming_material": named(own, lambda thing: thing.material.name),
        "naming_other": named(other, lambda thing: thing.name),
        "rule_in_words": ask_rule(model, seed, seen=False),
        "rule_in_images": ask_rule(model, seed, seen=True),
    }
