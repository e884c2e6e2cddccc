"""A large build with instant models: memory, size of the ledger, throughput.

    python -m benchmarks.build_scale --records 100000

The lab's models answer in process; what is left is ours: stages, ledger, blobs, barriers, files.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import tempfile
import time
from pathlib import Path

from benchmarks.build_kill import PLAIN
from vlsbench.building import build

ELEMENTS = 95
"""About how many the lab's writer names in all."""


def texts(ledger: Path) -> tuple[int, int]:
    """Count calls, and the bytes of their texts in question and answer."""
    calls = size = 0
    with sqlite3.connect(ledger) as db:
        for request, reply in db.execute("SELECT request, reply FROM calls"):
            asked, said = json.loads(request), json.loads(reply)
            calls += 1
            size += len((asked["system"] + asked["text"] + said.get("text", "")).encode())
            size += len(json.dumps(asked["schema"])) if asked["schema"] else 0
    return calls, size


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a large build.")
    parser.add_argument("--records", type=int, default=5_000)
    args = parser.parse_args()
    drafts = -(-args.records // ELEMENTS)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        began = time.perf_counter()
        done = build(
            "lab",
            out=out,
            limit=args.records,
            progress=False,
            overrides=(*PLAIN, f"elements.drafts={drafts}", "quota=false", "twins.per_pair=0"),
        )
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        path = out / "run" / "ledger.sqlite"
        size = path.stat().st_size
        calls, text = texts(path)
    begun = done.summary.yield_.n
    print(f"{begun:,} records, {calls:,} calls, {done.summary.pairs:,} pairs in the set")
    print(f"{seconds:.0f} s: {begun / seconds:.0f} records/s, {calls / seconds:.0f} calls/s")
    print(f"peak memory {peak:.0f} MB")
    print(f"ledger {size / 2**20:.0f} MiB: {(size - text) / calls:.0f} bytes a call beyond texts")


if __name__ == "__main__":
    main()
