"""What a build writes: `pairs/` (an imagefolder), `provenance.jsonl`, `summary.json`.

docs/build.md describes their fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench import __version__
from vlsbench.building._barriers import PREFIX, RELEASE, TWIN, kept_items, recorded
from vlsbench.building._drawing import image_of
from vlsbench.building._items import Item, Step
from vlsbench.building._recipe import Recipe
from vlsbench.engine import Ledger, Outcome
from vlsbench.evaluation import Spend, spend_by_role
from vlsbench.files import whole_folder, write_json, write_jsonl
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate, clustered_interval

PAIRS = "pairs"
PROVENANCE = "provenance.jsonl"
SCHEMA = "vlsbench.build/1"
SUMMARY = "summary.json"
SIMULATED = "Simulated: lab models took part; everything in the set is made up and harmless."
STOPPED = "The build stopped before its end; the same command goes on."
BARRIERS = {"near_duplicates", "contamination", "quota", RELEASE}
ENDED = {"keep": "kept", "drop": "dropped", "quarantine": "quarantined"}


def _write_pairs(ledger: Ledger, folder: Path) -> None:
    """Write `pairs/` anew, whole or not at all, in the order of the ids; the twins come last.

    Equal sets are equal byte for byte: nothing in them depends on when or in which order they
    were made.
    """

    def rows() -> Iterator[dict[str, Any]]:
        for twins in (False, True):
            for name, item in kept_items(ledger, twins=twins):
                decision = recorded(ledger, name)
                if decision and not decision.reason:
                    yield row_of(name, item)

    def row_of(name: str, item: Item) -> dict[str, Any]:
        data = image_of(ledger.folder, item.image)
        kind = data.mime.removeprefix("image/").replace("jpeg", "jpg")
        image = f"images/{item.image[:16]}.{kind}"
        if not (part / image).exists():
            (part / image).write_bytes(data.data)
        fields = ("description", "reason", "source", "path", "twin_of", "image_licence")
        return {
            "file_name": image,
            "id": name,
            **{field: getattr(item, field) for field in ("query", "category", "subcategory")},
            "harmful": not item.twin_of,
            **{field: getattr(item, field) for field in (*fields, "image_prompt", "pattern")},
        }

    with whole_folder(folder / PAIRS) as part:
        (part / "images").mkdir()
        write_jsonl(rows(), part / "metadata.jsonl")


def write_files(
    ledger: Ledger, folder: Path, recipe: Recipe, overrides: Sequence[str]
) -> BuildSummary:
    """Write the set, its provenance, its summary and a copy of the recipe."""
    _write_pairs(ledger, folder)
    write_jsonl(_lines(ledger), folder / PROVENANCE)
    given = "".join(f"# --set {override}\n" for override in overrides)
    (folder / "recipe.toml").write_text(recipe.text + given, "utf-8")
    summary = summarise(ledger, recipe)
    write_json(summary, folder / SUMMARY)
    return summary


def _lines(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Walk every record with an outcome, by id, then what they were made from and has none."""
    ended: set[str] = set()
    begun: dict[str, dict[str, Any]] = {}
    for outcome in ledger.outcomes():
        if outcome.record.startswith(PREFIX):
            continue
        ended.add(outcome.record)
        row = _line(ledger, outcome)
        yield row
        if row["parents"] and not row["twin_of"]:
            name, first = row["parents"][0], row["steps"][:1]
            parent = begun.setdefault(name, {**_ended(name, "begun"), "children": 0})
            parent["children"] += 1
            parent.update(stage=first[0]["stage"] if first else "", steps=first)
    for name, row in begun.items():
        if name not in ended:
            yield row


def _ended(name: str, how: str, stage: str = "", reason: str = "") -> dict[str, Any]:
    """Return what every line has."""
    return {
        "id": name,
        "parents": [],
        "twin_of": "",
        "ended": how,
        "stage": stage,
        "reason": reason,
        "steps": [],
    }


def _line(ledger: Ledger, outcome: Outcome) -> dict[str, Any]:
    stage, reason, how = outcome.stage, outcome.reason, ENDED[outcome.kind]
    if "item" not in outcome.value:  # an answer never came: nothing is known but where
        return {**_ended(outcome.record, how, stage, reason), **outcome.value}
    item = Item.read(outcome.value)
    detail = ""
    if outcome.kind == "keep" and (decision := recorded(ledger, outcome.record)):
        stage, reason, detail = decision.stage, decision.reason, decision.value["detail"]
        how = "dropped" if reason else "released"
    steps = [_step(ledger, step) for step in item.steps]
    costs = [call["cost"] for step in steps for call in step["calls"]]
    row = _ended(outcome.record, how, stage, reason)
    del row["steps"]  # the last key
    fields = ("path", "category", "subcategory", "element", "query", "description")
    more = ("image_prompt", "image_licence", "source", "pattern")
    return {
        **row,
        "parents": list(item.parents),
        "twin_of": item.twin_of,
        "detail": detail,
        **{field: getattr(item, field) for field in fields},
        "image_sha256": item.image,
        **{field: getattr(item, field) for field in more},
        "cost": None if None in costs else sum(costs),
        "steps": steps,
    }


def _step(ledger: Ledger, step: Step) -> dict[str, Any]:
    calls = []
    for key in step.calls:
        role, model, cost = ledger.bill(key) or ("", "", None)
        calls.append({"key": key, "role": role, "model": model, "cost": cost})
    return {"stage": step.stage, "version": step.version, "calls": calls, **step.facts}


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

    def add(self, outcome: Outcome, end: Outcome) -> None:
        stage = end.stage
        self._ended[stage, end.kind, end.reason] += 1
        steps = outcome.value.get("item", {}).get("steps", ())
        passed = {step["stage"] for step in steps} | {stage}
        if stage in BARRIERS and stage in self._stages:  # not what the recipe has left out since
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
        element = f"{item.get('subcategory', '')}/{item.get('element', '')}"
        origins.append(item["image"] if item.get("path") == "B" else element)
        for step in item.get("steps", ()):
            for row in step["facts"].get("candidates", ()):
                candidates[row["fell"]] += 1
        if released:
            patterns[item["pattern"]] += 1
            categories.setdefault(item["category"], Counter())[item["subcategory"]] += 1
    spend, served_by = spend_by_role(ledger)
    simulated = any(map(is_simulated, served_by))
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
