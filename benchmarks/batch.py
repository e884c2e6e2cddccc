"""Batches beside direct calls: price, requests, time, memory; and what kills cost.

    python -m benchmarks.batch --pairs 1000 --kills 10

The server is the lab's, a process of its own; its batches take `--batch-time` seconds, where a
provider's take minutes to hours. Ends with status 1 where a kill had anything paid twice.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

from benchmarks.workload import make
from vlsbench import lab
from vlsbench.engine import Ledger

PRICES = ("--price", "2.5,10", "--judge-price", "0.15,0.6")
"""US dollars per million tokens, of the size that GPT-4o and GPT-4o mini cost."""
# The lab lists at once: what it does not list ten seconds later was never created.
QUICK = ("--batch", "--batch-poll", "1", "--batch-anew", "10")
FAULTS = ("batch_item=0.02", "batch_expired=0.1", "batch_poll=0.1", "batch_lost=0.2")


@contextlib.contextmanager
def serving(batch_s: float, faults: tuple[str, ...] = ()) -> Iterator[str]:
    """Serve the lab from another process."""
    given = [part for fault in faults for part in ("--fault", fault)]
    command = [sys.executable, "-m", "vlsbench", "lab", "serve", "--port", "0", "--json"]
    command += ["--latency", "0.2", "--batch-time", str(batch_s), *given]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["url"]
        finally:
            server.send_signal(signal.SIGINT)


@dataclass(frozen=True)
class Took:
    """What one run took."""

    seconds: float
    cpu_s: float
    peak_mb: float
    cost: float
    calls: int
    stats: dict[str, Any]


def command(bench: str, url: str, judge: str, out: Path, *more: str) -> list[str]:
    model = ("--model", f"{'blind' if judge == 'offline' else 'careful'}@{url}")
    asked = ("--judge", judge if judge == "offline" else f"{judge}@{url}")
    start = [sys.executable, "-m", "vlsbench", "eval", bench, *model, *asked]
    return [*start, "--out", str(out), "--gallery", "0", "--no-probe", *PRICES, *more]


def run(bench: str, url: str, judge: str, out: Path, *more: str) -> Took:
    argv = command(bench, url, judge, out, *more)
    began = time.monotonic()
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - began
    if status:
        raise SystemExit(f"{' '.join(argv)} ended with {os.waitstatus_to_exitcode(status)}")
    with Ledger.read(out) as ledger:
        cost = sum(call.cost or 0.0 for call in ledger.calls())
        calls = ledger.count_calls()
    cpu_s = usage.ru_utime + usage.ru_stime
    return Took(seconds, cpu_s, usage.ru_maxrss / 1024, cost, calls, lab.stats(url))


def beside(bench: str, judge: str, batch_s: float, *more: str) -> None:
    """Print a row for direct calls and one for batches."""
    for way, how in (("direct", ()), ("batches", (*QUICK, *more))):
        with serving(batch_s) as url, TemporaryDirectory() as folder:
            took = run(bench, url, judge, Path(folder) / "r", *how)
        cells = (
            *(way, f"{took.calls:,}", f"{took.stats['requests']:,}", f"{took.stats['batches']}"),
            *(
                f"{took.cost:.4f}",
                f"{took.seconds:.1f}",
                f"{took.cpu_s:.1f}",
                f"{took.peak_mb:.0f}",
            ),
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def killed(bench: str, kills: int, seed: int) -> bool:
    """Kill one run many times; return whether all was paid once."""
    chance, done = random.Random(seed), 0
    with serving(1.0, FAULTS) as url, TemporaryDirectory() as folder:
        out = Path(folder) / "r"
        argv = command(bench, url, "judge", out, *QUICK, "--batch-requests", "50")
        for _ in range(kills):
            process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            # From before its record is opened to when answers are merged.
            time.sleep(chance.uniform(0.8, 4.0))
            if process.poll() is None:
                process.kill()
                done += 1
            process.wait()
        took = run(bench, url, "judge", out, *QUICK, "--batch-requests", "50")
    paid, again = took.stats["paid"], took.stats["paid_again"]
    print(f"\nkilled {done} of {kills} times; faults {', '.join(FAULTS)}")
    print(f"{took.calls:,} calls, {paid:,} paid, {again:,} of them again")
    print(f"{took.stats['batches']} batches, {took.stats['batched']:,} calls answered in them")
    return not again and paid == took.calls


def main() -> None:
    parser = argparse.ArgumentParser(description="Batches beside direct calls.")
    parser.add_argument("--dir", type=Path, default=Path(gettempdir()) / "vlsbench-bench")
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--large", type=int, default=300, help="pairs with images of 1.7 MB")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--batch-time", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    print("| way | calls | requests | batches | cost, $ | whole, s | CPU, s | peak, MB |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    beside(f"lab/leakless?n={args.pairs}", "judge", args.batch_time)
    if args.large:
        folder = make(args.dir / f"large-{args.large}", args.large)
        beside(str(folder), "offline", args.batch_time, "--batch-mb", "50")
    if args.kills and not killed(f"lab/leakless?n={args.pairs // 5}", args.kills, args.seed):
        sys.exit(1)


if __name__ == "__main__":
    main()
