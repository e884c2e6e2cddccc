"""What an evaluation costs beyond its calls, in CPU seconds by phase; and `vlsbench --help`.

    python -m benchmarks.fixed_cost [--pairs 500] [--repeats 5] [--images small large]

The command runs in a process of its own against a server that answers at once. Nothing of ours is
wrapped: a thread of that process notes the CPU time every 2 ms, and the moments at which one phase
becomes the next are read from outside: the server's books say when the last answer went, the
results' files say when they were written. Opening (selecting, looking at every image, estimating)
is what the same command takes with `--dry-run`. CPU time inside `import` is counted apart, wherever
it happens.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import NamedTuple

from benchmarks import server
from benchmarks.measure import ours, pin
from benchmarks.workload import make, warm

YARDSTICK = "import aiohttp, jinja2, pyarrow.parquet, rich.console, typer"
"""What no evaluation can do without; the unit of the ratios."""
PHASES = ("start, imports", "opening", "calls", "intervals, files", "page", "printing, leaving")


class Sample(NamedTuple):
    """What the process noted of itself at one moment, in seconds."""

    clock: float
    wall: float
    cpu: float
    imports: float
    """CPU time until then that went into start-up and imports."""

    @property
    def own(self) -> float:
        return self.cpu - self.imports


DRIVER = """
import builtins, importlib, json, sys, threading, time

depth, spent, samples = threading.local(), [0.0], []

def timed(load):
    def wrapped(*args, **kwargs):
        if getattr(depth, "in_import", False):
            return load(*args, **kwargs)
        depth.in_import, start = True, time.thread_time()
        try:
            return load(*args, **kwargs)
        finally:
            depth.in_import = False
            spent[0] += time.thread_time() - start
    return wrapped

def watch():
    while True:
        samples.append((time.monotonic(), time.time(), time.process_time(), spent[0]))
        time.sleep(0.002)

samples.append((time.monotonic(), time.time(), 0.0, 0.0))
spent[0] += time.process_time()
threading.Thread(target=watch, daemon=True).start()
builtins.__import__ = timed(builtins.__import__)
importlib.import_module = timed(importlib.import_module)
where, sys.argv = sys.argv[1], ["vlsbench", *sys.argv[2:]]
from vlsbench.cli import main
try:
    main()
except SystemExit as left:
    code = left.code
samples.append((time.monotonic(), time.time(), time.process_time(), spent[0]))
with open(where, "w") as file:
    json.dump(samples, file)
sys.exit(code)
"""


def cpu_s(argv: Sequence[str]) -> float:
    """Run a command to its end; return its CPU seconds, user and system."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(argv[:4])} … ended with {status}\n{said.decode()}")
    return usage.ru_utime + usage.ru_stime


def traced(folder: Path, *options: str, server_url: str, out: Path) -> tuple[float, list[Sample]]:
    """Evaluate a folder of pairs; return the CPU seconds of the process, and its samples."""
    with TemporaryDirectory() as scratch:
        noted = Path(scratch, "samples.json")
        command = [*ours(folder, server_url, 32, out)[1:], *options]
        whole = cpu_s([sys.executable, "-c", DRIVER, str(noted), *command])
        return whole, [Sample(*sample) for sample in json.loads(noted.read_text())]


def phases(folder: Path) -> dict[str, float]:
    """Evaluate a folder of pairs once; return the CPU seconds of each phase."""
    with TemporaryDirectory() as scratch, server.running(delay=0) as up:
        out = Path(scratch, "run")
        _, planned = traced(folder, "--dry-run", server_url=up.url, out=Path(scratch, "plan"))
        whole, samples = traced(folder, server_url=up.url, out=out)
        answered = max(call[3] or 0 for call in up.stats(calls=True)["calls"])
        written = [(out / name).stat().st_mtime for name in ("summary.json", "report.html")]
    opened = planned[-1].own
    ends = [
        bisect_left(samples, answered, key=lambda sample: sample.clock),
        *(bisect_left(samples, moment, key=lambda sample: sample.wall) for moment in written),
        -1,
    ]
    steps = pairwise([0.0, opened, *(samples[end].own for end in ends)])
    found = dict(zip(PHASES[1:], (after - before for before, after in steps), strict=True))
    found[PHASES[-1]] += whole - samples[-1].cpu
    return {PHASES[0]: samples[-1].imports, **found}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure an evaluation's fixed cost.")
    parser.add_argument("--dir", type=Path, default=Path(gettempdir()) / "vlsbench-bench")
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--images", nargs="+", choices=("small", "large"), default=["large"])
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    pin(args.cores)
    folders = {}
    for size in args.images:
        small = size == "small"
        folders[size] = make(args.dir / f"{size}-{args.pairs}", args.pairs, small=small)
        warm(folders[size])
    vlsbench = str(Path(sys.executable).with_name("vlsbench"))
    rows: dict[str, list[float]] = {"yardstick": [], "vlsbench --help": []}
    for _ in range(args.repeats):
        rows["yardstick"].append(cpu_s([sys.executable, "-c", YARDSTICK]))
        rows["vlsbench --help"].append(cpu_s([vlsbench, "--help"]))
        for size, folder in folders.items():
            found = phases(folder)
            found["all but calls"] = sum(found.values()) - found["calls"]
            for phase, seconds in found.items():
                rows.setdefault(f"{args.pairs} pairs, {size} images: {phase}", []).append(seconds)
    unit = statistics.median(rows["yardstick"])
    print(f"CPU seconds, median of {args.repeats}; yardstick: {YARDSTICK}\n")
    print("| what | CPU, s | of the yardstick |\n| --- | ---: | ---: |")
    for what, values in rows.items():
        seconds = statistics.median(values)
        print(f"| {what} | {seconds:.2f} | {seconds / unit:.2f} |")


if __name__ == "__main__":
    main()
