"""The documented shape of a build's `summary.json`, and how it is counted from the ledger.

`summary.json` is `dataclasses.asdict` of `BuildSummary`; docs/build.md describes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vlsbench import __version__
from vlsbench.building._recipe import Recipe
from vlsbench.building._select import PREFIX, TWIN, recorded
from vlsbench.engine import Ledger, Outcome
from vlsbench.evaluation import Spend, spend_by_role
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate, clustered_interval

SCHEMA = "vlsbench.build/1"
SUMMARY = "summary.json"
SIMULATED = "Simulated: lab models took part; everything in the set is made up and harmless."
STOPPED = "The build stopped before its end; the same command goes on."
FLOW = (
    "elements",
    "perceive",
    "draft",
    "detoxify",
    "leak_filter",
    "draw",
    "final_filter",
    "near_duplicates",
    "contamination",
    "quota",
    "release",
)
"""Stages and barriers of a pair, in order."""
TWIN_FLOW = ("twin", "draw", "twin_filter", "near_duplicates", "release")


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
    """Distinct pictures in the set."""
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

    def __init__(self, stages: Sequence[str]) -> None:
        self._stages = stages
        self._ended: dict[str, dict[str, Counter[str]]] = {
            stage: {"keep": Counter(), "drop": Counter(), "quarantine": Counter()}
            for stage in stages
        }
        self._seen: Counter[str] = Counter()

    def add(self, outcome: Outcome, end: tuple[str, str, str]) -> None:
        stage, kind, reason = end
        self._ended[stage][kind][reason] += 1
        steps = outcome.value.get("item", {}).get("steps", ())
        passed = {step["stage"] for step in steps} & set(self._stages) | {stage}
        if outcome.kind == "keep":
            place = self._stages.index(stage)
            barriers = ("near_duplicates", "contamination", "quota", "release")
            passed |= {name for name in self._stages[: place + 1] if name in barriers}
        self._seen.update(passed)

    def counts(self, left_out: Collection[str]) -> tuple[StageCount, ...]:
        found = []
        for stage in self._stages:
            if not self._seen[stage] or stage in left_out:
                continue
            ended = self._ended[stage]
            gone = ended["drop"].total() + ended["quarantine"].total()
            found.append(
                StageCount(
                    stage,
                    self._seen[stage],
                    self._seen[stage] - gone,
                    dict(ended["drop"].most_common()),
                    dict(ended["quarantine"].most_common()),
                )
            )
        return tuple(found)


def summarise(ledger: Ledger, recipe: Recipe) -> BuildSummary:
    """Count a build, in one walk over its outcomes."""
    place = FLOW.index("final_filter")
    pairs = _Flow((*FLOW[:place], *recipe.stages, *FLOW[place:]))
    twins = _Flow(TWIN_FLOW)
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
        end = (outcome.stage, outcome.kind, outcome.reason)
        if decision:
            end = (decision.stage, "drop" if decision.reason else "keep", decision.reason)
        released = decision is not None and not decision.reason
        is_twin = TWIN in outcome.record
        (twins if is_twin else pairs).add(outcome, end)
        if released:
            images.add(item["image"])
        if is_twin:
            released_twins += released
            continue
        if outcome.stage == "elements":
            continue  # never begun
        hits.append(released)
        origins.append(item.get("image") if item.get("path") == "B" else _element(outcome))
        for step in item.get("steps", ()):
            for row in step["facts"].get("candidates", ()):
                candidates[row["fell"]] += 1
        if released:
            patterns[item["pattern"]] += 1
            categories.setdefault(item["category"], Counter())[item["subcategory"]] += 1
    spend, served_by = spend_by_role(ledger)
    simulated = any(is_simulated(name) for name in served_by)
    complete = ledger.meta("complete") is not None
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
        yield_=_rate(hits, origins),
        stages=pairs.counts(_left_out(recipe)),
        twin_stages=twins.counts(_left_out(recipe)),
        candidates=dict(candidates.most_common()),
        patterns=dict(patterns.most_common()),
        categories={name: dict(found) for name, found in sorted(categories.items())},
        spend=spend,
        notes=tuple(notes),
    )


def read_build(path: Path) -> BuildSummary:
    """Read a `summary.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, BuildSummary, schema=SCHEMA)


def _left_out(recipe: Recipe) -> set[str]:
    """Name the barriers that the recipe does not have: what passed them passed nothing."""
    there = {
        "near_duplicates": recipe.near_duplicates is not None,
        "contamination": bool(recipe.contamination.against),
    }
    return {name for name, is_there in there.items() if not is_there}


def _element(outcome: Outcome) -> str:
    item = outcome.value.get("item", {})
    return "/".join((item.get("subcategory", ""), item.get("element", ""))) or outcome.record


def _rate(hits: Sequence[bool], origins: Sequence[str]) -> Rate:
    interval = clustered_interval(np.asarray(hits, dtype=bool), list(origins)) if hits else None
    if interval is None:
        return Rate(0, 0, None, None, None)
    return Rate(sum(hits), len(hits), sum(hits) / len(hits), interval.low, interval.high)
