"""What a build writes: `pairs/` (an imagefolder), `provenance.jsonl`, `summary.json`.

docs/build.md describes their fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench import __version__
from vlsbench.building._drawing import image_of
from vlsbench.building._items import Item, Step
from vlsbench.building._recipe import Recipe
from vlsbench.building.barriers import PREFIX, RELEASE, TWIN, kept_items
from vlsbench.engine import Ledger, Outcome
from vlsbench.evaluation import Spend, commonest_words, spend_by_role, words_notes
from vlsbench.files import whole_folder, write_json, write_jsonl, write_text
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate, clustered_rate

PAIRS = "pairs"
PROVENANCE = "provenance.jsonl"
BUILD_SCHEMA = "vlsbench.build/1"
SUMMARY = "summary.json"
SIMULATED = "Simulated: lab models took part; everything in the set is made up and harmless."
STOPPED = "The build stopped before its end; the same command goes on."
NOTHING = Rate(0, 0, None, None, None)
ENDED = {"keep": "kept", "drop": "dropped", "quarantine": "quarantined"}


def write_files(
    ledger: Ledger, folder: Path, recipe: Recipe, overrides: Sequence[str]
) -> BuildSummary:
    """Write the set, its provenance, its summary and a copy of the recipe.

    Equal builds have equal sets and provenance, byte for byte: nothing in them depends on when or
    in which order they were made.
    """
    with whole_folder(folder / PAIRS) as part:
        (part / "images").mkdir()
        write_jsonl(_pairs(ledger, part), part / "metadata.jsonl")
    summary = BuildSummary(
        schema=BUILD_SCHEMA, vlsbench=__version__, recipe=recipe.name, digest=recipe.digest
    )
    write_jsonl(_counted(_lines(ledger), summary, recipe), folder / PROVENANCE)
    _finish(summary, ledger)
    given = "".join(f"# --set {override}\n" for override in overrides)
    write_text(recipe.text + given, folder / "recipe.toml")
    write_json(summary, folder / SUMMARY)
    return summary


def _pairs(ledger: Ledger, folder: Path) -> Iterator[dict[str, Any]]:
    """Walk the rows of the set in the order of the ids, twins last, and write their images."""
    first = ("query", "category", "subcategory")
    more = ("description", "reason", "source", "path", "twin_of", "image_licence")
    for twins in (False, True):
        for name, item in kept_items(ledger, twins=twins):
            decision = ledger.outcome(PREFIX + name)
            if not decision or decision.reason:
                continue
            data = image_of(ledger.folder, item.image)
            image = f"images/{item.image[:16]}.{data.extension}"
            if not (folder / image).exists():
                (folder / image).write_bytes(data.data)
            yield {
                "file_name": image,
                "id": name,
                **{field: getattr(item, field) for field in first},
                "harmful": not item.twin_of,
                **{field: getattr(item, field) for field in (*more, "image_prompt", "pattern")},
            }


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
    if outcome.kind == "keep" and (decision := ledger.outcome(PREFIX + outcome.record)):
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
        call = ledger.call(key)
        role, model, cost = (call.role, call.model, call.cost) if call else ("", "", None)
        calls.append({"key": key, "role": role, "model": model, "cost": cost})
    return {"stage": step.stage, "version": step.version, "calls": calls, **step.facts}


@dataclass(slots=True)
class StageCount:
    """What one stage or barrier let through."""

    stage: str
    entered: int = 0
    left: int = 0
    """Went on."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Reason → records."""
    quarantined: dict[str, int] = field(default_factory=dict)
    """Reason → records that a model gave no readable answer about."""


@dataclass(slots=True, kw_only=True)
class BuildSummary:
    """A build in figures."""

    schema: str
    vlsbench: str
    recipe: str
    digest: str
    """Of the recipe."""
    simulated: bool = False
    complete: bool = False
    started: str = ""
    finished: str = ""
    pairs: int = 0
    """Harmful pairs in the set."""
    twins: int = 0
    """Benign ones."""
    images: int = 0
    """Distinct images in the set."""
    yield_: Rate = NOTHING
    """Released among the drafts and images that were begun, clustered by what they come from."""
    stages: tuple[StageCount, ...] = ()
    twin_stages: tuple[StageCount, ...] = ()
    candidates: dict[str, int] = field(default_factory=dict)
    """Of the queries that the leak filter looked at: what they fell out for, `""` for chosen."""
    patterns: dict[str, int] = field(default_factory=dict)
    """Safety pattern → released pairs."""
    categories: dict[str, dict[str, int]] = field(default_factory=dict)
    """Category → sub-category → released pairs."""
    spend: tuple[Spend, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def decided(self) -> bool:
        """False where of all that was begun no answer could be read."""
        stages = (*self.stages, *self.twin_stages)
        ended = self.pairs or any(row.dropped for row in stages)
        return bool(ended) or not any(row.quarantined for row in stages)


def _counted(
    lines: Iterator[dict[str, Any]], summary: BuildSummary, recipe: Recipe
) -> Iterator[dict[str, Any]]:
    """Pass lines of the provenance on, and count them."""
    near = ("near_duplicates",) if recipe.near_duplicates else ()
    against = ("contamination",) if recipe.contamination.against else ()
    barriers = {False: (*near, *against, "quota", RELEASE), True: (*near, RELEASE)}
    begun = ("elements", "perceive", "draft", "detoxify", "leak_filter", "draw", *recipe.stages)
    counts = {
        False: {name: StageCount(name) for name in (*begun, "final_filter", *barriers[False])},
        True: {name: StageCount(name) for name in ("twin", "draw", "twin_filter", *barriers[True])},
    }
    hits: list[bool] = []
    origins: list[str] = []
    images: set[str] = set()
    for line in lines:
        yield line
        how, stage, reason, twin = line["ended"], line["stage"], line["reason"], TWIN in line["id"]
        if how == "begun":
            continue
        passed = {step["stage"] for step in line["steps"]} | {stage}
        if stage in barriers[twin]:
            passed.update(barriers[twin][: barriers[twin].index(stage)])
        for name in passed:
            count = counts[twin].setdefault(name, StageCount(name))
            count.entered += 1
            if name == stage and how in ("dropped", "quarantined"):
                _add(count.dropped if how == "dropped" else count.quarantined, reason)
            else:
                count.left += 1
        if released := how == "released":
            images.add(line["image_sha256"])
        if twin:
            summary.twins += released
        elif stage != "elements":  # what ended there was never begun
            hits.append(released)
            element = f"{line.get('subcategory', '')}/{line.get('element', '')}"
            origins.append(line["image_sha256"] if line.get("path") == "B" else element)
            for row in (row for step in line["steps"] for row in step.get("candidates", ())):
                _add(summary.candidates, row["fell"])
            if released:
                _add(summary.patterns, line["pattern"])
                _add(summary.categories.setdefault(line["category"], {}), line["subcategory"])
    summary.pairs, summary.images = sum(hits), len(images)
    summary.candidates = _commonest_first(summary.candidates)
    summary.patterns = _commonest_first(summary.patterns)
    summary.categories = dict(sorted(summary.categories.items()))
    for count in (count for stages in counts.values() for count in stages.values()):
        count.dropped = _commonest_first(count.dropped)
        count.quarantined = _commonest_first(count.quarantined)
    summary.stages, summary.twin_stages = (
        tuple(count for count in counts[twins].values() if count.entered) for twins in (False, True)
    )
    summary.yield_ = clustered_rate(np.asarray(hits, dtype=bool), origins)


def _add(counts: dict[str, int], name: str) -> None:
    counts[name] = counts.get(name, 0) + 1


def _commonest_first(counts: dict[str, int]) -> dict[str, int]:
    return dict(Counter(counts).most_common())


def _finish(summary: BuildSummary, ledger: Ledger) -> None:
    """State what the ledger tells of the build as a whole."""
    summary.spend, served_by = spend_by_role(ledger)
    summary.simulated = any(map(is_simulated, served_by))
    summary.started, summary.finished = ledger.meta("started") or "", ledger.meta("complete") or ""
    summary.complete = bool(summary.finished)
    said = ((SIMULATED, summary.simulated), (STOPPED, not summary.complete))
    notes = [note for note, holds in said if holds]
    summary.notes = (*notes, *words_notes(commonest_words(_unread(ledger))), *ledger.notes())


def _unread(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield why nothing could be read of a record, and what the last model asked about it said."""
    for outcome in ledger.outcomes():
        asked = outcome.value.get("judge_calls", ())
        if outcome.kind == "quarantine" and asked and (call := ledger.call(asked[-1])):
            yield outcome.reason, call.reply.detail or call.reply.text


def read_build(path: Path) -> BuildSummary:
    """Read a `summary.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, BuildSummary, schema=BUILD_SCHEMA)
