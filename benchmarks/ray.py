"""What Ray costs: instant models, records through one stage, here and in actors; and the ledger.

Every record asks once, and the model answers at once, so that only the executors' own cost counts.
`ledger` writes calls and outcomes as fast as the coordinator can, and measures how file, lookup
and opening grow.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vlsbench.config import Connection
from vlsbench.engine import (
    FILE,
    Budget,
    Call,
    Context,
    Keep,
    Ledger,
    Outcome,
    Record,
    Result,
    RunContext,
    StopSignal,
    Tally,
    open_executor,
    run_flow,
)
from vlsbench.models import Price, Reply, Request, Usage, call_key

WIDTH = 256
"""Records under way."""
ANSWER = "It is hot: keep it away from children, and let it cool before you clean it. " * 6


class Instant:
    spec = endpoint = "instant"
    identity = {"name": "instant"}  # noqa: RUF012

    async def ask(self, request: Request) -> Reply:
        return Reply(ANSWER, usage=Usage(300, 100))

    async def close(self) -> None: ...


class Ask:
    """Asks once, and keeps the reply's length."""

    name = "ask"
    version = "1"

    def __init__(self, model: Instant) -> None:
        self._model = model

    async def run(self, record: Record, ctx: Context) -> Result:
        reply = await ctx.call("target", self._model, Request(f"question {record.id}"))
        return Keep({"length": len(reply.text)})


def records(count: int) -> Iterator[Record]:
    return (Record(f"{number:08}", None) for number in range(count))


async def through(count: int, folder: Path, **settings: Any) -> float:
    """Take records through the stage; return the seconds, the start of actors left out."""
    signal, model = StopSignal(), Instant()
    with Ledger.write(folder) as ledger:
        budget = Budget(signal, None, None, {"instant": Price(0.0, 0.0)})
        ctx = RunContext(ledger, [], budget, signal, Tally())
        executor = open_executor(Connection(**settings), [])
        try:
            stages = [Ask(model)]
            warm = [Record(f"w{number}", None) for number in range(64)]
            await run_flow(stages, warm, ctx, executor, width=WIDTH)
            began = time.perf_counter()
            await run_flow(stages, records(count), ctx, executor, width=WIDTH)
            return time.perf_counter() - began
        finally:
            await executor.close()


def overhead(options: argparse.Namespace) -> None:
    import ray

    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "error"}
    ray.init(num_cpus=os.cpu_count(), include_dashboard=False, **quiet)
    print("| executor | records/s | ms a call | over local, ms | driver's peak, MB |")
    print("| --- | ---: | ---: | ---: | ---: |")
    local = 0.0
    cases: Sequence[tuple[str, dict[str, Any]]] = (
        ("local", {}),
        ("Ray, 1 actor", {"executor": "ray", "actors": 1}),
        ("Ray, 4 actors", {"executor": "ray", "actors": 4}),
        ("Ray, 16 actors", {"executor": "ray", "actors": 16}),
    )
    for name, settings in cases:
        with tempfile.TemporaryDirectory() as folder:
            seconds = asyncio.run(through(options.records, Path(folder), **settings))
        each = 1000 * seconds / options.records
        local = local or each
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(
            f"| {name} | {options.records / seconds:,.0f} | {each:.2f} | {each - local:.2f} | "
            f"{peak:.0f} |",
            flush=True,
        )
    ray.shutdown()


async def write(ledger: Ledger, begin: int, count: int, calls: bool) -> float:
    """Record outcomes, each after its call or alone, as many at once as records are under way."""
    identity, todo = {"name": "instant"}, iter(range(begin, begin + count))

    async def worker() -> None:
        for number in todo:
            request = Request(f"question {number:08}: may my toddler play with the toaster?")
            reply = Reply(ANSWER, usage=Usage(300, 100))
            key = call_key(identity, request)
            call = Call(key, "target", "m", request.rendered(), reply, 0.001, time.time())
            if calls:
                await ledger.record_call(call, rendered=request.canonical)
            await ledger.record_outcome(
                Outcome(f"{number:08}", "judge", "keep", "", {"label": "refusal", "call": key})
            )

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(WIDTH)))
    return time.perf_counter() - began


def ledger_growth(options: argparse.Namespace) -> None:
    print("| records | outcomes/s | file, MB | bytes a record | lookup, µs | ended(), s | MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as place:
        folder, done = Path(place) / "run", 0
        for total in map(int, options.totals.split(",")):
            with Ledger.write(folder) as ledger:
                seconds = asyncio.run(write(ledger, done, total - done, options.calls))
                keys = [
                    call_key(
                        {"name": "instant"},
                        Request(f"question {n:08}: may my toddler play with the toaster?"),
                    )
                    for n in range(0, total, max(1, total // 2000))
                ]
                began = time.perf_counter()
                assert all(ledger.call(key) for key in keys) or not options.calls
                lookup = (time.perf_counter() - began) / len(keys)
                began = time.perf_counter()
                assert len(ledger.ended()) == total
                ended = time.perf_counter() - began
            size = (folder / FILE).stat().st_size
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"| {total:,} | {(total - done) / seconds:,.0f} | {size / 1e6:,.0f} | "
                f"{size / total:,.0f} | {1e6 * lookup:.0f} | {ended:.2f} | {peak:.0f} |",
                flush=True,
            )
            done = total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("overhead", "ledger"))
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--no-calls", dest="calls", action="store_false", help="outcomes alone")
    parser.add_argument("--totals", default="10000,50000,100000,200000")
    options = parser.parse_args()
    overhead(options) if options.what == "overhead" else ledger_growth(options)


if __name__ == "__main__":
    main()
