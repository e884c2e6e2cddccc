"""kill -9 at random moments of one build: is it the same set, and what is paid twice?

    python -m benchmarks.build_kill --kills 20 --seed 1

The same command is started again after every kill, until it ends by itself. Then
- the set must be that of a build that nobody disturbed, byte for byte, as imagefolder and as
  Parquet;
- every record has an outcome, every call its key, every blob its digest (`vlsbench runs verify`),
  and the provenance has a line for every record;
- every call that the server got twice was in flight when the build was killed: it had arrived, and
  its answer did not stand in the ledger, which is read after the kill.
Ends with status 1 where one of these fails.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.lab_log import Log, log_of, logged, recorded
from vlsbench import lab
from vlsbench.building import read_recipe
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError

PLAIN = ("leak_filter.overlap=false", "near_duplicates.similarity=false")
DRAIN_S = 0.2
"""After a kill, for what its sockets still held to reach the server."""
DEADLINE_S = 180.0
"""For a build to get from one kill to the next."""


def asked_at(url: str, sets: Sequence[str]) -> list[str]:
    """Ask the models of the lab's recipe at a server."""
    specs = read_recipe("lab", sets).specs()
    return [*sets, *(f"models.{role}={spec}@{url}" for role, spec in specs.items())]


def command(url: str, out: Path, limit: int, connections: int) -> list[str]:
    sets = [part for override in asked_at(url, PLAIN) for part in ("--set", override)]
    options = ["--limit", str(limit), "-c", str(connections), "--quiet", "--out", str(out)]
    return [sys.executable, "-m", "vlsbench", "build", "lab", *sets, *options]


def finish(line: list[str]) -> None:
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(line)} ended with {done.returncode}\n{done.stderr}")


def digest(out: Path) -> str:
    """Hash the set: every file of the imagefolder, and its rows as sorted Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found = hashlib.sha256()
    rows = []
    for path in sorted((out / "pairs").rglob("*")):
        if path.is_file():
            found.update(path.name.encode() + path.read_bytes())
    for line in (out / "pairs" / "metadata.jsonl").read_text("utf-8").splitlines():
        row = json.loads(line)
        rows.append({**row, "image": (out / "pairs" / row["file_name"]).read_bytes()})
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(sorted(rows, key=lambda row: row["id"])), sink)
    found.update(sink.getvalue())
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Kill:
    """One kill, as server and ledger saw it."""

    arrived: int
    """Calls that the server had got by then."""
    flying: frozenset[str]
    """Questions that came since the kill before, and whose answers the ledger does not have."""


@dataclass(frozen=True, slots=True)
class Account:
    """What the kills cost."""

    repeated: int
    """Calls that came again."""
    unexplained: int
    """Of these, calls that were not in flight at the kill after which they came again."""


def account(log: Log, kills: Sequence[Kill]) -> Account:
    """Hold the server's log against what was in flight at the kills."""
    came: dict[str, list[int]] = defaultdict(list)
    for place, (name, _, _) in enumerate(log):
        came[name].append(place)
    again = [(name, place) for name, places in came.items() for place in places[:-1]]

    def flew(name: str, place: int) -> bool:
        kill = next((kill for kill in kills if place < kill.arrived), None)
        return kill is not None and name in kill.flying

    return Account(len(again), sum(not flew(name, place) for name, place in again))


def kill_at(line: list[str], url: str, out: Path, paid: int, before: int) -> Kill | None:
    """Start the build and kill it once the server was paid so much; None if it ended before.

    Args:
        line: The build's command.
        url: The server with the log.
        out: The build's folder.
        paid: Calls that the server is to have been paid, over all starts.
        before: Calls that came until the last kill.
    """
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + DEADLINE_S
    while process.poll() is None and time.monotonic() < deadline:
        if lab.stats(url)["paid"] >= paid:
            break
        time.sleep(0.01)
    if process.poll() is not None:
        return None
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    time.sleep(DRAIN_S)
    log = log_of(url)
    try:
        with Ledger.read(out / "run") as ledger:
            known = {recorded(call) for call in ledger.calls()}
    except VlsbenchError:  # killed before it began
        known = set()
    return Kill(len(log), frozenset(name for name, _, _ in log[before:]) - known)


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill a build, many times.")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--limit", type=int, default=60)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    dice = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as folder:
        whole, parts = Path(folder) / "whole", Path(folder) / "parts"
        kills: list[Kill] = []
        with logged(args.latency) as url:
            finish(command(url, whole, args.limit, args.connections))
            needed, undisturbed = lab.stats(url)["paid"], len(log_of(url))
            before = undisturbed
            line = command(url, parts, args.limit, args.connections)
            for mark in sorted(dice.sample(range(1, int(needed * 0.98)), args.kills)):
                if (now := kill_at(line, url, parts, needed + mark, before)) is not None:
                    before = now.arrived
                    kills.append(replace(now, arrived=before - undisturbed))
            finish(line)
            log = log_of(url)[undisturbed:]
        same = digest(whole) == digest(parts)
        verify = [sys.executable, "-m", "vlsbench", "runs", "verify", str(parts / "run")]
        sound = subprocess.run(verify, capture_output=True, text=True)
        lines = (parts / "provenance.jsonl").read_bytes() == (
            whole / "provenance.jsonl"
        ).read_bytes()
    cost = account(log, kills)
    flying = [len(kill.flying) for kill in kills]
    print(f"{args.limit} drafts a path, {args.connections} connections, seed {args.seed}")
    print(f"killed                  {len(kills)} of {args.kills} times while running")
    print(f"same set                {same}")
    print(f"same provenance         {lines}")
    print(f"record                  {sound.stdout.strip().replace(chr(10), '; ')}")
    print(f"calls asked             {len(log)} for {needed} needed")
    print(f"in flight at the kills  {sum(flying)}, at most {max(flying, default=0)} at one")
    print(f"asked again             {cost.repeated}, of them not in flight: {cost.unexplained}")
    wrong = cost.unexplained or cost.repeated > sum(flying) or len(kills) < args.kills
    if not same or not lines or sound.returncode or wrong:
        sys.exit(1)


if __name__ == "__main__":
    main()
