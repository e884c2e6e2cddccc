"""kill -9 at random moments of one run, resuming each time: what is lost, what is paid twice?

    python -m benchmarks.kill --kills 20 --seed 1

The same command is started again after every kill, until it ends by itself. Then
- the labels must be those of a run that nobody disturbed;
- a call that the server was asked twice must have been in flight at the kill before: asked, and
  its answer on the way or not yet on disk. The server's own books say so, not the client's.
Ends with status 1 where either fails.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from benchmarks import server
from benchmarks.measure import ours, pin
from benchmarks.workload import make

ON_ITS_WAY_S = 0.1
"""An answer sent less than this before the kill counts as in flight: it may not be on disk yet."""
DEADLINE_S = 120.0
"""For a run to get from one kill to the next."""

Books = list[tuple[str, str, float, float | None]]
"""Role, pair, when asked, when answered: every call that the server got."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the kills cost."""

    kills: int
    flying: int
    """Calls in flight, over all kills."""
    repeated: int
    """Calls that were asked again."""
    unexplained: int
    """Of these, calls that were not in flight when the run was killed."""


def account(books: Books, moments: list[float]) -> Account:
    """Hold the server's books against the moments of the kills."""

    def flew(arrived: float, answered: float | None) -> bool:
        killed = next((moment for moment in moments if arrived < moment), None)
        if killed is None:
            return False
        return answered is None or answered > killed - ON_ITS_WAY_S

    asked: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for role, item, arrived, answered in sorted(books, key=lambda call: call[2]):
        asked[role, item].append(flew(arrived, answered))
    again = [flown for times in asked.values() for flown in times[:-1]]
    return Account(
        kills=len(moments),
        flying=sum(flown for times in asked.values() for flown in times),
        repeated=len(again),
        unexplained=again.count(False),
    )


def labels(out: Path) -> dict[str, str]:
    """Pair → label of the one finished run under `out`."""
    import pyarrow.parquet as pq

    (path,) = out.rglob("pairs.parquet")
    table = pq.read_table(path, columns=["id", "label"])
    return dict(zip(table.column("id").to_pylist(), table.column("label").to_pylist(), strict=True))


def start(command: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True
    )


def finish(command: list[str]) -> None:
    process = start(command)
    _, errors = process.communicate()
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}\n{errors.decode()}")


def undisturbed(folder: Path, connections: int) -> dict[str, str]:
    with server.running() as up, TemporaryDirectory() as out:
        finish(ours(folder, up.url, connections, Path(out)))
        return labels(Path(out))


def kill_at(command: list[str], up: server.Server, answered: int, after_s: float) -> float | None:
    """Start the command and kill it `after_s` after the server has answered so many calls.

    Returns:
        When it was killed, on the monotonic clock; None if it ended before.
    """
    process = start(command)
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        totals = up.stats()
        if totals["answered"] >= answered:
            break
        time.sleep(0.005)
    time.sleep(after_s)
    if process.poll() is not None:
        return None
    os.killpg(process.pid, signal.SIGKILL)
    killed = time.monotonic()
    process.communicate()
    return killed


def disturbed(
    folder: Path, connections: int, kills: int, seed: int, pairs: int
) -> tuple[dict[str, str], list[float], Books]:
    """Run with kills; give the labels, the moments and the server's books."""
    dice = random.Random(seed)
    marks = sorted(dice.sample(range(int(2 * pairs * 0.95)), kills))
    moments = []
    with server.running() as up, TemporaryDirectory() as out:
        command = ours(folder, up.url, connections, Path(out))
        for mark in marks:
            killed = kill_at(command, up, mark, dice.uniform(0, 0.4))
            if killed is not None:
                moments.append(killed)
        finish(command)
        return labels(Path(out)), moments, up.stats(calls=True)["calls"]


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a run, many times.")
    parser.add_argument("--dir", type=Path, default=Path(gettempdir()) / "vlsbench-bench")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    pin(args.cores)
    folder = make(args.dir / f"large-{args.pairs}", args.pairs)
    wanted = undisturbed(folder, args.connections)
    found, moments, books = disturbed(folder, args.connections, args.kills, args.seed, args.pairs)

    cost = account(books, moments)
    different = [pair for pair in wanted if found.get(pair) != wanted[pair]]
    extra = found.keys() - wanted.keys()
    print(f"{args.pairs} pairs, {args.connections} connections, seed {args.seed}")
    print(f"killed                  {cost.kills} of {args.kills} times while running")
    print(f"labels that differ      {len(different) + len(extra)} of {len(wanted)}")
    print(f"calls asked             {len(books)} for {2 * args.pairs} needed")
    print(f"in flight at the kills  {cost.flying}")
    print(f"paid twice              {cost.repeated}, of them not in flight: {cost.unexplained}")
    if different or extra or cost.unexplained or cost.kills < args.kills:
        sys.exit(1)


if __name__ == "__main__":
    main()
