"""Measure A against known truth, and its speed.

    python -m benchmarks.overlap coverage
    python -m benchmarks.overlap domains
    python -m benchmarks.overlap planted --data ../shared/data
    python -m benchmarks.overlap speed --data ../shared/data
    python -m benchmarks.overlap scale

`coverage`: 100 seeds of `lab/mixed` for each planted share of leaking pairs; how often the share
lies in the interval of measure A's estimate. `domains`: mixtures of the controls of one domain,
corrected by the errors of all others. `planted`: queries made to name a phrase of a benchmark's own
descriptions, to name one of another pair's, or nothing. `speed`: VLSBench's pairs, from a cold
start and with vectors cached. `scale`: made-up sets of growing size; time and peak memory of each.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import vlsbench
from vlsbench.auditing import Naming
from vlsbench.auditing.overlap.calibration import leaking_share, shipped
from vlsbench.auditing.overlap.contents import content_of
from vlsbench.auditing.overlap.figures import Channel
from vlsbench.auditing.overlap.measure import content_words, is_general, phrases
from vlsbench.auditing.overlap.run import overlap
from vlsbench.embed import MiniLM
from vlsbench.pairs import Pair, PairSet

SHARES = (0.0, 0.1, 0.25, 0.5, 0.9)
SEEDS = 100
DRAWS = 50
KINDS = ("own", "none", "other")
SIZES = (1_000, 10_000, 30_000, 100_000)


def coverage(seeds: int) -> None:
    """Print how often the planted share is inside the interval."""
    print("| planted | inside, of seeds | mean estimate | mean interval |")
    print("| ---: | ---: | ---: | --- |")
    for share in SHARES:
        found = []
        for seed in range(seeds):
            summary = overlap(vlsbench.load(f"lab/mixed?leak={share}&seed={seed}"))
            figures = summary.group.channel(Channel.CONTENT)
            assert figures
            estimate = figures.leaking
            assert estimate.value is not None
            assert estimate.low is not None
            assert estimate.high is not None
            found.append((estimate.value, estimate.low, estimate.high))
        value, low, high = np.array(found).T
        inside = int(((low <= share) & (share <= high)).sum())
        print(
            f"| {share:.2f} | {inside} of {seeds} | {value.mean():.3f} "
            f"| {low.mean():.3f} to {high.mean():.3f} |",
            flush=True,
        )


def domains() -> None:
    """Print how often the share is in the interval where a set is like a domain left out."""
    ship = shipped()
    planted = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    print("| set | domain |", " | ".join(f"{100 * share:.0f} %" for share in planted), "|")
    print("| --- | --- |", " ---: |" * len(planted))
    everything = []
    rng = np.random.default_rng(0)
    for left in ship.errors:
        others = replace(ship, errors=tuple(one for one in ship.errors if one != left))
        row = []
        for share in planted:
            inside = []
            for n in (100, 200):
                named = np.arange(n) < share * n
                rate = np.where(named, left.found / left.naming, left.false / left.silent)
                for _ in range(DRAWS):
                    drawn = np.where(rng.random(n) < rate, 0.9, 0.1)
                    found = leaking_share(drawn, np.arange(n), others)
                    assert found.low is not None
                    assert found.high is not None
                    inside.append(found.low <= share <= found.high)
            row.append(np.mean(inside))
        everything.append(row)
        cells = " | ".join(f"{100 * cell:.0f}" for cell in row)
        print(f"| {left.control} | {left.domain} | {cells} |", flush=True)
    means = " | ".join(f"{100 * mean:.1f}" for mean in np.mean(everything, axis=0))
    print(f"| all | {100 * np.mean(everything):.1f} | {means} |")


FORMS = (
    ("How can I use the {}?", "How can I use this?"),
    ("What is the best way to deal with the {}?", "What is the best way to deal with it?"),
    ("Should I show my friends the {}?", "Should I show my friends this?"),
    ("I am going to write about the {}.", "I am going to write about it."),
    ("Tell me more about the {}.", "Tell me more about this."),
)


def _things(text: str) -> list[str]:
    """Return phrases of a description that could be asked about: no function words, no verbs."""
    found = {phrase.text for phrase in phrases(text) if not is_general(phrase.text)}
    return sorted(
        one
        for one in found
        if len(content_words(one)) == len(one.split()) and not one.endswith(("ing", "ly", "ed"))
    )


def planted(data: Path) -> None:
    """Print what is found of planted queries, by the length of the description."""
    print("| set | words | naming | found | pointing, false | another's thing, false |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    rng = random.Random(0)
    with Naming() as naming:
        for bench in ("vlsbench", "harmbench", "llava-coco", "mossbench"):
            pairs = vlsbench.load(bench, data=data / bench.replace("-", "_"))
            texts = sorted({content.text for pair in pairs if (content := content_of(pair))})
            rng.shuffle(texts)
            asked = []
            for text, other in zip(texts[:200], [*texts[1:200], texts[0]], strict=True):
                own = _things(text)
                others = [one for one in _things(other) if one not in text.casefold()]
                if own and others:
                    named, pointed = rng.choice(FORMS)
                    asked += [
                        ("own", named.format(rng.choice(own)), text),
                        ("none", pointed, text),
                        ("other", named.format(rng.choice(others)), text),
                    ]
            called = np.array(naming.score([one[1:] for one in asked])) >= 0.5
            kinds = np.array([one[0] for one in asked])
            sizes = np.array([len(one[2].split()) for one in asked])
            for low, high in ((0, 12), (12, 25), (25, 1000)):
                here = (sizes >= low) & (sizes < high)
                if here.any():
                    cells = (100 * called[here & (kinds == kind)].mean() for kind in KINDS)
                    shown = " | ".join(f"{cell:.1f} %" for cell in cells)
                    n = (here & (kinds == "own")).sum()
                    print(f"| {bench} | {low}–{high} | {n} | {shown} |", flush=True)


def _timed(code: str, cache: Path) -> tuple[float, float]:
    """Run code in a new process; return seconds and MB at most."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", code, str(cache)], check=True)
    seconds = time.perf_counter() - began
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


def speed(data: Path) -> None:
    """Time VLSBench twice."""
    code = (
        "import sys, pathlib, vlsbench; from vlsbench.auditing.overlap.run import overlap; "
        f"overlap(vlsbench.load('vlsbench', data={str(data / 'vlsbench')!r}), "
        "cache=pathlib.Path(sys.argv[1]))"
    )
    with tempfile.TemporaryDirectory() as folder:
        for name in ("cold", "cached"):
            seconds, memory = _timed(code, Path(folder) / "vectors.sqlite")
            print(f"{name}: {seconds:.1f} s, at most {memory:.0f} MB so far")


def made(n: int) -> PairSet:
    """Make a set of short, all different texts, drawn as it is walked."""
    things = ("toaster", "pillow", "kettle", "ladder", "teapot", "garden", "window", "balloon")

    def pairs() -> Iterator[Pair]:
        rng = random.Random(0)
        for number in range(n):
            one, other = rng.sample(things, 2)
            yield Pair(
                id=str(number),
                query=f"How do I put the {one} {number} on the {other}?",
                description=f"a {other} with the number {number}",
            )

    return PairSet(f"made {n}", pairs)


class Hashed:
    """Vectors without a model: `scale` times everything else."""

    name = "all-MiniLM-L6-v2"
    digest = MiniLM.digest

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        """Draw a unit vector for each text."""
        rows = np.random.default_rng(len(texts)).normal(size=(len(texts), 384))
        return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def scale() -> None:
    """Print time and peak memory of growing sets, each in a process of its own."""
    print("| pairs | embedder | s | ms a pair | peak MB |")
    print("| ---: | --- | ---: | ---: | ---: |")
    for embedder, sizes in (("Hashed", SIZES), ("MiniLM", SIZES[:2])):
        for n in sizes:
            code = (
                "import sys, pathlib, resource, time; from benchmarks import overlap as bench; "
                "began = time.perf_counter(); "
                f"bench.overlap(bench.made({n}), embedder=bench.{embedder}(), "
                "cache=pathlib.Path(sys.argv[1])); "
                "print(time.perf_counter() - began, "
                "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
            )
            with tempfile.TemporaryDirectory() as folder:
                said = subprocess.run(
                    [sys.executable, "-c", code, f"{folder}/vectors.sqlite"],
                    check=True,
                    capture_output=True,
                    text=True,
                )
            seconds, memory = map(float, said.stdout.split())
            print(
                f"| {n:,} | {embedder} | {seconds:.1f} | {1000 * seconds / n:.2f} | {memory:.0f} |",
                flush=True,
            )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("coverage", "domains", "planted", "speed", "scale"))
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    arguments = parser.parse_args()
    if arguments.what == "coverage":
        coverage(arguments.seeds)
    elif arguments.what == "domains":
        domains()
    elif arguments.what == "planted":
        planted(arguments.data)
    elif arguments.what == "speed":
        speed(arguments.data)
    else:
        scale()


if __name__ == "__main__":
    main()
