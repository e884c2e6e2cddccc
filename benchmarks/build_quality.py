"""The pipeline itself, measured on the lab, where truth is known.

    python -m benchmarks.build_quality            all tables (minutes)
    python -m benchmarks.build_quality errors     one of: errors, stages, rounds, votes

Every row is a build of its own, by the lab's recipe with what the row says changed. Truth comes
from the rule of the world and from looking at the pictures, never from the pipeline's own judges.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vlsbench import lab
from vlsbench.building import Build, build
from vlsbench.stats import clustered_interval

PLAIN = ("quota.per_subcategory=false", "near_duplicates=false", "twins.per_pair=0")
"""Barriers and twins say nothing about the filters."""
NAMES = sorted((thing.name for thing in lab.THINGS), key=len, reverse=True)


def judges(alarms: float, misses: float | None = None, stubborn: float = 0.0) -> tuple[str, ...]:
    rates = f"alarms={alarms}&misses={alarms if misses is None else misses}&stubborn={stubborn}"
    return (
        f"models.judge=lab/check?{rates}&seed=1",
        f"models.checker=lab/check?{rates}&seed=2",
    )


@dataclass
class Share:
    """Yes or no of many, clustered by what they were asked about."""

    hits: list[bool] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)

    def add(self, hit: bool, cluster: str) -> None:
        self.hits.append(hit)
        self.clusters.append(cluster)

    def __str__(self) -> str:
        if not self.hits:
            return "–"
        interval = clustered_interval(self.hits, self.clusters)
        assert interval
        rate = 100 * sum(self.hits) / len(self.hits)
        low, high = 100 * interval.low, 100 * interval.high
        return f"{rate:.1f} [{low:.1f}, {high:.1f}] of {len(self.hits)}"


@dataclass
class Found:
    """What one build did, held against the truth."""

    drafts: Share = field(default_factory=Share)
    """Drafts that leak."""
    leak_recall: Share = field(default_factory=Share)
    leak_precision: Share = field(default_factory=Share)
    match_recall: Share = field(default_factory=Share)
    match_precision: Share = field(default_factory=Share)
    harm_recall: Share = field(default_factory=Share)
    harm_precision: Share = field(default_factory=Share)
    leaking: Share = field(default_factory=Share)
    """Of the result."""
    harmful: Share = field(default_factory=Share)
    matched: Share = field(default_factory=Share)
    released: Share = field(default_factory=Share)
    """Of the drafts and images begun: the yield."""
    calls: int = 0

    @property
    def each(self) -> float:
        return self.calls / max(1, sum(self.released.hits))


def named(text: str) -> str | None:
    return next((name for name in NAMES if name in text.casefold()), None)


def leaks(query: str) -> bool:
    """Harmful by the text alone."""
    asked = lab.understand(query)
    return asked is not None and asked.thing is not None and asked.act.risk(asked.thing) is not None


class Pictures:
    """What a run's pictures show."""

    def __init__(self, run: Path) -> None:
        self._run = run

    def thing(self, sha256: str) -> lab.Thing | None:
        name = lab.see((self._run / "blobs" / sha256[:2] / sha256).read_bytes())
        return next((thing for thing in lab.THINGS if thing.name == name), None)


def measure(done: Build) -> Found:
    found = Found(calls=sum(row.calls for row in done.summary.spend))
    pictures = Pictures(done.folder / "run")
    with open(done.provenance, encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            if "path" in row and row["stage"] != "elements":
                _count(row, pictures, found)
    return found


def _count(row: dict[str, Any], pictures: Pictures, found: Found) -> None:
    released = row["ended"] == "released"
    origin = row["element"] or row["image_sha256"]
    found.released.add(released, f"{row['subcategory']}/{origin}")
    for step in row["steps"]:
        if step["stage"] in ("draft", "perceive") and step.get("query"):
            found.drafts.add(leaks(step["query"]), step["query"])
        for candidate in step.get("candidates", ()):
            if candidate["fell"] not in ("not_needed", "unscored"):
                query = candidate["query"]
                dropped = candidate["fell"] in ("overlap", "harmful_alone")
                if leaks(query):
                    found.leak_recall.add(dropped, query)
                if dropped:
                    found.leak_precision.add(leaks(query), query)
    if not any(step["stage"] == "final_filter" for step in row["steps"]):
        return
    seen = pictures.thing(row["image_sha256"])
    asked = lab.understand(row["query"])
    matched = seen is not None and seen.name == named(row["description"])
    thing = (asked.thing if asked else None) or seen
    harmful = bool(asked and thing and asked.act.risk(thing))
    question = f"{row['query']}/{seen.name if seen else ''}"
    mismatch = row["reason"] == "mismatch"
    if not matched:
        found.match_recall.add(mismatch, question)
    if mismatch:
        found.match_precision.add(not matched, question)
    else:
        harmless = row["reason"] == "harmless_pair"
        if not harmful:
            found.harm_recall.add(harmless, question)
        if harmless:
            found.harm_precision.add(not harmful, question)
    if released:
        found.leaking.add(leaks(row["query"]), row["query"])
        found.harmful.add(harmful, question)
        found.matched.add(matched, question)


def run(drafts: int, *overrides: str) -> Found:
    with tempfile.TemporaryDirectory() as folder:
        done = build(
            "lab",
            out=folder,
            progress=False,
            overrides=(*PLAIN, f"elements.drafts={drafts}", *overrides),
        )
        return measure(done)


def table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> None:
    print("| " + " | ".join(header) + " |")
    print("| " + " | ".join("---" for _ in header) + " |")
    for row in rows:
        print("| " + " | ".join(row) + " |", flush=True)
    print()


def errors(drafts: int) -> None:
    """Each filter at several error rates of its judges."""

    def rows() -> Iterator[Sequence[str]]:
        for rate in (0.0, 0.05, 0.1, 0.2):
            f = run(drafts, *judges(rate))
            yield (
                f"{100 * rate:.0f} %",
                str(f.leak_recall),
                str(f.leak_precision),
                str(f.match_recall),
                str(f.match_precision),
                str(f.harm_recall),
                str(f.harm_precision),
            )

    header = ["judges err", "leak recall", "precision", "match recall", "precision"]
    table([*header, "harm recall", "precision"], rows())


STAGES = {
    "all stages": (),
    "no detoxify": ("detoxify.candidates=0",),
    "no overlap": ("leak_filter.overlap=false",),
    "no judge of the text": ("leak_filter.text=false",),
    "no leak filter at all": (
        "leak_filter.overlap=false",
        "leak_filter.text=false",
        "leak_filter.meaning=false",
    ),
    "no judge of meaning": ("leak_filter.meaning=false",),
    "no last look at the text": ("final_filter.text=false",),
    "no last look at the match": ("final_filter.matched=false",),
    "no last look at the harm": ("final_filter.harmful=false",),
    "neither leak filter nor last looks": (
        "leak_filter.overlap=false",
        "leak_filter.text=false",
        "leak_filter.meaning=false",
        "final_filter.text=false",
        "final_filter.matched=false",
        "final_filter.harmful=false",
    ),
}


def stages(drafts: int) -> None:
    """The result with and without each stage, judges erring 5 % of the time."""

    def rows() -> Iterator[Sequence[str]]:
        for name, overrides in STAGES.items():
            f = run(drafts, *judges(0.05), *overrides)
            yield (
                name,
                str(f.drafts),
                str(f.leaking),
                str(f.harmful),
                str(f.matched),
                str(f.released),
                f"{f.each:.1f}",
            )

    header = ["", "drafts leak", "pairs leak", "harmful as a pair", "picture matches", "yield"]
    table([*header, "calls a pair"], rows())


def rounds(drafts: int) -> None:
    """What k rounds of drawing buy, the painter failing three times of ten."""

    def rows() -> Iterator[Sequence[str]]:
        for k in (1, 2, 3, 4, 5):
            f = run(drafts, *judges(0.05), f"draw.rounds={k}", "perceive=false")
            yield (str(k), str(f.released), str(f.matched), f"{f.each:.1f}")

    table(["rounds", "yield", "picture matches", "calls a pair"], rows())


def votes(drafts: int) -> None:
    """What repeated judging buys, judges erring 20 % of the time."""

    def rows() -> Iterator[Sequence[str]]:
        for stubborn in (0.0, 0.5):
            for n in (1, 3, 5):
                f = run(
                    drafts,
                    *judges(0.2, stubborn=stubborn),
                    f"leak_filter.votes={n}",
                    f"final_filter.votes={n}",
                )
                yield (
                    f"{n}, {100 * stubborn:.0f} %",
                    str(f.leaking),
                    str(f.harmful),
                    str(f.released),
                    f"{f.each:.1f}",
                )

    header = ["votes, always alike", "pairs leak", "harmful as a pair", "yield", "calls a pair"]
    table(header, rows())


PARTS = {"errors": errors, "stages": stages, "rounds": rounds, "votes": votes}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the pipeline on the lab.")
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("--drafts", type=int, default=4, help="for each element")
    args = parser.parse_args()
    for name, part in PARTS.items():
        if args.part in (None, name):
            print(f"**{name}**: {part.__doc__} % with 95 % interval.\n")
            part(args.drafts)


if __name__ == "__main__":
    main()
