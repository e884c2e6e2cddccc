"""Do the stages overlap? A build against its bound, and against stage after stage with barriers.

    python -m benchmarks.build_overlap --latency 0.2 --connections 32 --limit 800
    python -m benchmarks.build_overlap --whole --limit 400

The bound is calls × latency / connections. The same calls are then made stage after stage: every
record ends a stage before the first begins the next, with all connections, and four records at a
time. `--whole` builds with everything that the recipe has (both paths, embeddings, barriers,
twins) and compares with the bound alone. Each server is asked for one pair before, for its first
answers wait for its imports and drawings.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.build_kill import PLAIN, asked_at
from benchmarks.lab_log import logged
from vlsbench import lab
from vlsbench.building import BuildEstimate, BuildPlan, build, stages_of
from vlsbench.config import Connection
from vlsbench.engine import (
    Budget,
    Children,
    CostBudget,
    Keep,
    Ledger,
    Record,
    RunContext,
    Stage,
    StopSignal,
    Tally,
)

PATH_A = (*PLAIN, "perceive=false", "twins.per_pair=0", "elements.drafts=8")
"""One path, so that both ways make the same calls; no barrier of our own within it."""
WHOLE = ("elements.drafts=8", "quota=false")


async def stage_after_stage(plan: BuildPlan, width: int) -> None:
    """Make the calls of path A with a barrier after every stage."""
    stop = StopSignal()
    with Ledger.write(plan.run) as ledger:
        budget = Budget(stop, CostBudget(), plan.recipe.known_prices())
        context = RunContext(ledger, (), budget, stop, Tally())
        (path,) = stages_of(plan).paths
        records: Sequence[Record] = list(path.records())
        places = asyncio.Semaphore(width)

        async def one(stage: Stage, record: Record) -> list[Record]:
            async with places:
                match await stage.run(record, context):
                    case Keep(value):
                        return [Record(record.id, value)]
                    case Children(children):
                        return list(children)
                    case _:
                        return []

        for stage in path.stages:
            kept = await asyncio.gather(*(one(stage, record) for record in records))
            records = [record for group in kept for record in group]
        for model in plan.models.values():
            await model.close()
        if plan.painter:
            await plan.painter.close()


class Held(Exception):
    """The plan is all that is wanted."""


def planned(url: str, out: Path, limit: int, connections: int) -> BuildPlan:
    held: list[BuildPlan] = []

    def hold(plan: BuildPlan, guess: BuildEstimate) -> None:
        held.append(plan)
        raise Held

    with contextlib.suppress(Held):
        build(
            "lab",
            out=out,
            limit=limit,
            overrides=asked_at(url, PATH_A),
            connection=Connection(concurrency=connections),
            before=hold,
        )
    return held[0]


def overlapping(url: str, out: Path, limit: int, connections: int, sets: Sequence[str]) -> None:
    build(
        "lab",
        out=out,
        overrides=asked_at(url, sets),
        limit=limit,
        connection=Connection(concurrency=connections),
        progress=False,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how the stages overlap.")
    parser.add_argument("--latency", type=float, default=0.2)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--limit", type=int, default=400)
    parser.add_argument("--whole", action="store_true", help="the whole recipe, overlapping")
    args = parser.parse_args()
    walls = {}
    sets = WHOLE if args.whole else PATH_A
    ways = {"overlapping": 0, "barriers": args.connections, "barriers, 4": 4}
    for name, width in ways.items():
        if width and args.whole:
            continue
        with logged(args.latency) as url, tempfile.TemporaryDirectory() as folder:
            overlapping(url, Path(folder) / "first", 1, args.connections, PATH_A)
            before = lab.stats(url)["paid"]
            out = Path(folder) / "build"
            began = time.perf_counter()
            if width:
                plan = planned(url, out, args.limit, args.connections)
                asyncio.run(stage_after_stage(plan, width))
            else:
                overlapping(url, out, args.limit, args.connections, sets)
            walls[name] = time.perf_counter() - began
            calls = lab.stats(url)["paid"] - before
        bound = calls * args.latency / args.connections
        ratio = walls[name] / bound
        print(
            f"{name:12} {walls[name]:7.1f} s, {calls:,} calls, {ratio:.3f} of the bound", flush=True
        )
    if args.whole:
        return
    faster = walls["barriers, 4"] / walls["overlapping"]
    print(f"faster than stage after stage, four at a time: {faster:.2f} times")
    print(f"than with all connections: {walls['barriers'] / walls['overlapping']:.2f} times")
    sys.exit(walls["overlapping"] > 1.15 * bound or faster < 2.5)


if __name__ == "__main__":
    main()
