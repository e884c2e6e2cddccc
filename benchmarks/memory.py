"""Peak memory of ours where it could grow, and what a finished run and a large set cost to open.

    python -m benchmarks.memory [--only large growth open]

large   2,241 pairs of 1.7 MB (VLSBench's size), 32 connections; then the same command again, which
        must find everything done
growth  1,000, 5,000 and 20,000 pairs with small images: memory must not follow the number
open    100,000 pairs of the generic form: seconds and memory until `vlsbench.load` returns
"""

from __future__ import annotations

import argparse
import socket
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from benchmarks.measure import Cost, measured, ours, pin
from benchmarks.workload import make

GROWTH = (1_000, 5_000, 20_000)
OPEN = """
import sys, time
start = time.perf_counter()
import vlsbench
imported = time.perf_counter()
pairs = vlsbench.load(sys.argv[1])
opened = time.perf_counter()
with open("/proc/self/status") as file:
    peak = next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) / 1024
print(f"{len(pairs)} pairs: import {imported - start:.2f} s, open {opened - imported:.2f} s, "
      f"peak {peak:.0f} MB")
"""


def evaluated(folder: Path, out: Path, connections: int, delay: float, port: int = 0) -> Cost:
    return measured(lambda url: ours(folder, url, connections, out), delay=delay, port=port)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def show(name: str, cost: Cost) -> None:
    print(
        f"{name:28} {cost.calls:6} calls {cost.calls_s:7.1f} calls/s "
        f"{cost.wall_s:7.1f} s  peak {cost.peak_mb:4.0f} MB",
        flush=True,
    )


def large(where: Path) -> None:
    folder = make(where / "large-2241", 2241, distinct=500)
    port = free_port()  # the address is part of a run's identity
    with TemporaryDirectory() as out:
        show("2,241 pairs of 1.7 MB", evaluated(folder, Path(out), 32, 0.2, port))
        show("the same, finished", evaluated(folder, Path(out), 32, 0.2, port))


def growth(where: Path) -> None:
    for pairs in GROWTH:
        folder = make(where / f"small-{pairs}", pairs, small=True)
        with TemporaryDirectory() as out:
            show(f"{pairs:,} small pairs", evaluated(folder, Path(out), 32, 0.02))


def opened(where: Path) -> None:
    folder = make(where / "small-100000", 100_000, small=True, distinct=5_000)
    subprocess.run([sys.executable, "-c", OPEN, str(folder)], check=True)


PARTS = {"large": large, "growth": growth, "open": opened}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure memory.")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dir", type=Path, default=Path(gettempdir()) / "vlsbench-bench")
    parser.add_argument("--cores", type=int, default=2)
    args = parser.parse_args()
    pin(args.cores)
    for part in args.only:
        PARTS[part](args.dir)


if __name__ == "__main__":
    main()
