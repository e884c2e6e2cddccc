"""What Ray costs: instant models, records through one stage, here and in actors; and the ledger.

Every record asks once, and the model answers at once, so that only the executors' own cost counts.
`ledger` writes calls and outcomes as fast as the coordinator can, and measures how file, lookup
and opening grow.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench.config import Connection
from vlsbench.engine import (
    FILE,
    Budget,
    Call,
    Context,
    CostBudget,
    Keep,
    Ledger,
    Outcome,
    Record,
    Result,
    RunContext,
    StopSignal,
    Tally,
    open_executor,
    reply_to_json,
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
        budget = Budget(signal, CostBudget(), {"instant": Price(0.0, 0.0)})
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


def asked(number: int) -> tuple[Call, Outcome]:
    """Return a call, and the outcome of its record."""
    request = Request(f"question {number:08}: may my toddler play with the toaster?")
    key = call_key(Instant.identity, request)
    reply = Reply(ANSWER, usage=Usage(300, 100))
    call = Call(key, "target", "m", request.canonical, reply, 0.001, time.time())
    outcome = Outcome(f"{number:08}", "judge", "keep", "", {"label": "refusal", "call": key})
    return call, outcome


async def write(ledger: Ledger, begin: int, count: int, calls: bool) -> float:
    """Record outcomes, each after its call or alone, as many at once as records are under way."""
    todo = iter(range(begin, begin + count))

    async def worker() -> None:
        for number in todo:
            call, outcome = asked(number)
            if calls:
                await ledger.record_call(call)
            await ledger.record_outcome(outcome)

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(WIDTH)))
    return time.perf_counter() - began


def fill(folder: Path, begin: int, end: int) -> None:
    """Write the same rows without waiting for the disk, where only a large file is wanted."""
    with contextlib.closing(sqlite3.connect(folder / FILE)) as file:
        for pragma in ("synchronous=OFF", "cache_size=-1000000"):
            file.execute(f"PRAGMA {pragma}")
        todo = iter(range(begin, end))
        while some := [*islice(todo, 100_000)]:
            rows = [asked(number) for number in some]
            calls = (
                (
                    bytes.fromhex(call.key),
                    *("target", "m", call.request),
                    reply_to_json(call.reply),
                    1e-3,
                    1,
                )
                for call, _ in rows
            )
            outcomes = ((one.record, json.dumps(dict(one.value))) for _, one in rows)
            with file:
                file.executemany("INSERT INTO calls VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", calls)
                file.executemany(
                    "INSERT INTO outcomes VALUES (?, 'judge', 'keep', '', ?, 1.0)", outcomes
                )


def timed(work: Callable[[], Any], times: int) -> float:
    """Return the seconds of the quickest of several."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def look_up(ledger: Ledger, keys: Sequence[str]) -> None:
    for key in keys:
        ledger.call(key)


def ledger_growth(options: argparse.Namespace) -> None:
    print(
        "| records | outcomes/s | file, MB | bytes a record | lookup, µs | counting, s | "
        "listing, s | peak, MB |"
    )
    print("| ---: " * 8 + "|")
    with tempfile.TemporaryDirectory(dir=options.dir) as place:
        folder = options.keep or Path(place) / "run"
        with Ledger.write(folder) as ledger:  # makes the tables
            done = len(ledger.ended())
        for total in map(int, options.totals.split(",")):
            seconds = []
            if options.fill and total > options.sample:
                fill(folder, done, total - options.sample)
                done = total - options.sample
            with Ledger.write(folder) as ledger:
                step = (total - done) // options.repeats
                for begin in range(done, done + step * options.repeats, step):
                    seconds.append(asyncio.run(write(ledger, begin, step, options.calls)))
                done += step * options.repeats
                keys = [asked(n)[0].key for n in range(0, done, max(1, done // 2000))]
                known = [key for key in keys if ledger.call(key)]
                assert known == keys or not options.calls
                lookup = timed(partial(look_up, ledger, keys), 3) / len(keys)
                counting = timed(ledger.count_calls, 3)
                listing = timed(ledger.ended, 3)
            size = (folder / FILE).stat().st_size
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            print(
                f"| {done:,} | {step / min(seconds):,.0f} | {size / 1e6:,.0f} | "
                f"{size / done:,.0f} | {1e6 * lookup:.0f} | {counting:.2f} | {listing:.2f} | "
                f"{peak:.0f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("overhead", "ledger"))
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--no-calls", dest="calls", action="store_false", help="outcomes alone")
    parser.add_argument("--totals", default="100000,300000,1000000")
    parser.add_argument("--repeats", type=int, default=3, help="the quickest of so many is told")
    parser.add_argument("--sample", type=int, default=60_000, help="records that --fill leaves")
    parser.add_argument("--fill", action="store_true", help="write most rows without the disk")
    parser.add_argument("--dir", help="where the ledger is written")
    parser.add_argument("--keep", type=Path, help="a ledger that stays, and is gone on with")
    options = parser.parse_args()
    overhead(options) if options.what == "overhead" else ledger_growth(options)


if __name__ == "__main__":
    main()
