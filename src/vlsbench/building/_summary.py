"""The documented shape of a build's `summary.json`, and how it is counted from the ledger.

`summary.json` is `dataclasses.asdict` of `BuildSummary`; docs/build.md describes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlsbench import __version__
from vlsbench.building._barriers import PREFIX, RELEASE, TWIN, recorded
from vlsbench.building._recipe import Recipe
from vlsbench.engine import Ledger, Outcome
from vlsbench.evaluation import Spend, spend_by_role
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate, clustered_interval

SCHEMA = "vlsbench.build/1"
SUMMARY = "summary.json"
SIMULATED = "Simulated: lab models took part; everything in the set is made up and harmless."
STOPPED = "The build stopped before its end; the same command goes on."
BARRIERS = {"near_duplicates", "contamination", "quota", RELEASE}


@dataclass(frozen=True, slots=True)
class StageCount:
    """What one stage or barrier let through."""

    stage: str
    entered: int
    left: int
    """Went on."""
    dropped: Mapping[str, int]
    """Reason → records."""
    quarantined: Mapping[str, int]
    """Reason → records that a model gave no readable answer about."""


@dataclass(frozen=True, slots=True)
class BuildSummary:
    """A build in figures."""

    schema: str
    vlsbench: str
    recipe: str
    digest: str
    """Of the recipe."""
    simulated: bool
    complete: bool
    started: str
    finished: str
    pairs: int
    """Harmful pairs in the set."""
    twins: int
    """Benign ones."""
    images: int
    """Distinct images in the set."""
    yield_: Rate
    """Released among the drafts and images that were begun, clustered by what they come from."""
    stages: tuple[StageCount, ...]
    twin_stages: tuple[StageCount, ...]
    candidates: Mapping[str, int]
    """Of the queries that the leak filter looked at: what they fell out for, `""` for chosen."""
    patterns: Mapping[str, int]
    """Safety pattern → released pairs."""
    categories: Mapping[str, Mapping[str, int]]
    """Category → sub-category → released pairs."""
    spend: tuple[Spend, ...]
    notes: tuple[str, ...]


class _Flow:
    """Counts records by the stage that they ended at."""

    def __init__(self, *stages: str) -> None:
        self._stages = stages
        self._ended: Counter[tuple[str, str, str]] = Counter()
        self._seen: Counter[str] = Counter()

    def add(self, outcome: Outcome, stage: str, kind: str, reason: str) -> None:
        self._ended[stage, kind, reason] += 1
        steps = outcome.value.get("item", {}).get("steps", ())
        passed = {step["stage"] for step in steps} | {stage}
        if stage in BARRIERS:
            before = self._stages[: self._stages.index(stage)]
            passed.update(name for name in before if name in BARRIERS)
        self._seen.update(passed)

    def counts(self) -> tuple[StageCount, ...]:
        def gone(stage: str, kind: str) -> dict[str, int]:
            ended = self._ended.most_common()
            return {why: n for (at, how, why), n in ended if (at, how) == (stage, kind)}

        found = []
        for stage in self._stages:
            if entered := self._seen[stage]:
                dropped, quarantined = gone(stage, "drop"), gone(stage, "quarantine")
                left = entered - sum(dropped.values()) - sum(quarantined.values())
                found.append(StageCount(stage, entered, left, dropped, quarantined))
        return tuple(found)


def summarise(ledger: Ledger, recipe: Recipe) -> BuildSummary:
    """Count a build, in one walk over its outcomes."""
    near = ("near_duplicates",) if recipe.near_duplicates else ()
    against = ("contamination",) if recipe.contamination.against else ()
    stages = ("elements", "perceive", "draft", "detoxify", "leak_filter", "draw", *recipe.stages)
    pairs = _Flow(*stages, "final_filter", *near, *against, "quota", RELEASE)
    twins = _Flow("twin", "draw", "twin_filter", *near, RELEASE)
    candidates: Counter[str] = Counter()
    patterns: Counter[str] = Counter()
    categories: dict[str, Counter[str]] = {}
    images: set[str] = set()
    hits: list[bool] = []
    origins: list[str] = []
    released_twins = 0
    for outcome in ledger.outcomes():
        if outcome.record.startswith(PREFIX):
            continue
        item = outcome.value.get("item", {})
        decision = recorded(ledger, outcome.record) if outcome.kind == "keep" else None
        end = decision or outcome
        kind = ("drop" if decision.reason else "keep") if decision else outcome.kind
        released = decision is not None and not decision.reason
        is_twin = TWIN in outcome.record
        (twins if is_twin else pairs).add(outcome, end.stage, kind, end.reason)
        if released:
            images.add(item["image"])
        if is_twin:
            released_twins += released
            continue
        if outcome.stage == "elements":
            continue  # never begun
        hits.append(released)
        element = f"{item.get('subcategory', '')}/{item.get('element', '')}"
        origins.append(item["image"] if item.get("path") == "B" else element)
        for step in item.get("steps", ()):
            for row in step["facts"].get("candidates", ()):
                candidates[row["fell"]] += 1
        if released:
            patterns[item["pattern"]] += 1
            categories.setdefault(item["category"], Counter())[item["subcategory"]] += 1
    spend, served_by = spend_by_role(ledger)
    simulated = any(is_simulated(name) for name in served_by)
    complete = ledger.meta("complete") is not None
    rate = Rate(0, 0, None, None, None)
    if hits and (interval := clustered_interval(np.asarray(hits, dtype=bool), origins)):
        rate = Rate(sum(hits), len(hits), sum(hits) / len(hits), interval.low, interval.high)
    notes = [n for n, holds in ((SIMULATED, simulated), (STOPPED, not complete)) if holds]
    return BuildSummary(
        schema=SCHEMA,
        vlsbench=__version__,
        recipe=recipe.name,
        digest=recipe.digest,
        simulated=simulated,
        complete=complete,
        started=ledger.meta("started") or "",
        finished=ledger.meta("complete") or "",
        pairs=sum(hits),
        twins=released_twins,
        images=len(images),
        yield_=rate,
        stages=pairs.counts(),
        twin_stages=twins.counts(),
        candidates=dict(candidates.most_common()),
        patterns=dict(patterns.most_common()),
        categories={name: dict(found) for name, found in sorted(categories.items())},
        spend=spend,
        notes=tuple(notes),
    )


def read_build(path: Path) -> BuildSummary:
    """Read a `summary.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, BuildSummary, schema=SCHEMA)
