"""Calls per second of five clients on the same work, in one run, taking turns.

    python -m benchmarks.throughput --connections 32 64 --repeats 3
    python -m benchmarks.throughput --only bare ours --json throughput.json
    python -m benchmarks.throughput --instant

500 pairs of 1.7 MB, target then judge, a local server answering after 0.2 s, client and server on
the same two cores. The ideal is connections / 0.2 s. Ratios within one run can be compared; the
figures themselves depend on the machine and on what else it does.

With `--instant` images are 2 KB and the server answers at once, which leaves the client's own cost
per call, with everything on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from benchmarks.measure import Cost, measured, median, ours, pin
from benchmarks.workload import make, warm

YARDSTICK = "bare"

Command = Callable[[Path, str, int, Path], list[str]]


def _client(module: str, *more: str) -> Command:
    def command(folder: Path, url: str, connections: int, out: Path) -> list[str]:
        where = [str(folder), "--url", url, "--connections", str(connections)]
        return [sys.executable, "-m", f"benchmarks.clients.{module}", *where, *more]

    return command


CLIENTS: dict[str, Command] = {
    "bare": _client("bare"),
    "bare-uvloop": _client("bare", "--uvloop"),
    "openai": _client("openai_sdk"),
    "inspect": _client("inspect_task"),
    "inspect-images": _client("inspect_task", "--log-images"),
    "ours": ours,
    "ours-offline": partial(ours, offline=True),
}
INSTANT = ["bare", "bare-uvloop", "ours", "ours-offline"]


def once(name: str, folder: Path, connections: int, delay: float) -> Cost:
    with TemporaryDirectory() as out:
        return measured(lambda url: CLIENTS[name](folder, url, connections, Path(out)), delay=delay)


def compare(
    folder: Path, names: list[str], connections: int, repeats: int, delay: float
) -> dict[str, list[Cost]]:
    """Run every client `repeats` times; each round starts with another one."""
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for turn in range(repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            cost = once(name, folder, connections, delay)
            found[name].append(cost)
            print(f"  {name}: {cost.calls_s:.1f} calls/s", file=sys.stderr, flush=True)
    return found


def instant_table(found: dict[str, list[Cost]]) -> str:
    yardstick = median(found[YARDSTICK], "calls_s") if YARDSTICK in found else None
    lines = [
        "| client | calls/s | of bare | CPU, ms a call | server's CPU, ms a call | whole, s |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, costs in found.items():
        rate, calls = median(costs, "calls_s"), median(costs, "calls")
        share = f"{rate / yardstick:.2f}" if yardstick else ""
        lines.append(
            f"| {name} | {rate:,.0f} | {share} | {median(costs, 'cpu_s') / calls * 1000:.3f} "
            f"| {median(costs, 'server_cpu_s') / calls * 1000:.3f} "
            f"| {median(costs, 'wall_s'):.1f} |"
        )
    return "\n".join(lines)


def table(found: dict[str, list[Cost]], ideal: float) -> str:
    yardstick = median(found[YARDSTICK], "calls_s") if YARDSTICK in found else None
    lines = [
        "| client | calls/s | of bare | of ideal | whole, s | CPU, s | others' CPU, s | peak, MB |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, costs in found.items():
        rate = median(costs, "calls_s")
        share = f"{rate / yardstick:.2f}" if yardstick else ""
        lines.append(
            f"| {name} | {rate:.1f} | {share} | {rate / ideal:.2f} "
            f"| {median(costs, 'wall_s'):.1f} | {median(costs, 'cpu_s'):.1f} "
            f"| {median(costs, 'other_cpu_s'):.1f} | {median(costs, 'peak_mb'):.0f} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare clients.")
    parser.add_argument("--dir", type=Path, default=Path(gettempdir()) / "vlsbench-bench")
    parser.add_argument("--pairs", type=int, help="default: 500; with --instant 5,000")
    parser.add_argument(
        "--connections", type=int, nargs="+", help="default: 32 64; with --instant 32"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--delay", type=float, default=0.2, help="seconds")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=CLIENTS)
    parser.add_argument(
        "--instant", action="store_true", help="small images and a server that answers at once"
    )
    parser.add_argument("--json", type=Path, help="every single run")
    args = parser.parse_args()
    pin(args.cores)
    if args.instant:
        pairs, names, delay = args.pairs or 5_000, args.only or INSTANT, 0.0
        folder = make(args.dir / f"small-{pairs}", pairs, small=True)
    else:
        pairs, delay = args.pairs or 500, args.delay
        names = args.only or [name for name in CLIENTS if name != "ours-offline"]
        folder = make(args.dir / f"large-{pairs}", pairs)
    warm(folder)
    everything = {}
    for connections in args.connections or ([32] if args.instant else [32, 64]):
        found = compare(folder, names, connections, args.repeats, delay)
        if args.instant:
            print(f"\n{pairs:,} small pairs, {connections} connections, instant answers,")
            lines = instant_table(found)
        else:
            ideal = connections / delay
            print(f"\n{pairs} pairs, {connections} connections, ideal {ideal:.0f} calls/s,")
            lines = table(found, ideal)
        print(f"median of {args.repeats} runs taking turns\n\n{lines}", flush=True)
        everything[connections] = {
            name: [asdict(cost) for cost in costs] for name, costs in found.items()
        }
    if args.json:
        args.json.write_text(json.dumps(everything, indent=2) + "\n")


if __name__ == "__main__":
    main()
