"""What a build writes: `pairs/` (an imagefolder), `provenance.jsonl`, `summary.json`.

docs/build.md describes their fields.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench import __version__
from vlsbench.building._drawing import image_of
from vlsbench.building._items import Item, Step
from vlsbench.building._recipe import Recipe
from vlsbench.building.barriers import PREFIX, RELEASE, TWIN, kept_items, recorded
from vlsbench.engine import Ledger, Outcome
from vlsbench.evaluation import Spend, commonest_words, spend_by_role, words_notes
from vlsbench.files import whole_folder, write_json, write_jsonl, write_text
from vlsbench.registry import is_simulated
from vlsbench.schemas import read_json
from vlsbench.stats import Rate, clustered_interval

PAIRS = "pairs"
PROVENANCE = "provenance.jsonl"
BUILD_SCHEMA = "vlsbench.build/1"
SUMMARY = "summary.json"
SIMULATED = "Simulated: lab models took part; everything in the set is made up and harmless."
STOPPED = "The build stopped before its end; the same command goes on."
BARRIERS = ("near_duplicates", "contamination", "quota", RELEASE)
"""In order."""
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
    counts = _Counts()
    write_jsonl(map(counts.add, _lines(ledger)), folder / PROVENANCE)
    given = "".join(f"# --set {override}\n" for override in overrides)
    write_text(recipe.text + given, folder / "recipe.toml")
    summary = _summary(counts, ledger, recipe)
    write_json(summary, folder / SUMMARY)
    return summary


def _pairs(ledger: Ledger, folder: Path) -> Iterator[dict[str, Any]]:
    """Walk the rows of the set in the order of the ids, twins last, and write their images."""
    first = ("query", "category", "subcategory")
    more = ("description", "reason", "source", "path", "twin_of", "image_licence")
    for twins in (False, True):
        for name, item in kept_items(ledger, twins=twins):
            decision = recorded(ledger, name)
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
        call = ledger.call(key)
        role, model, cost = (call.role, call.model, call.cost) if call else ("", "", None)
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

    @property
    def decided(self) -> bool:
        """False where of all that was begun no answer could be read."""
        stages = (*self.stages, *self.twin_stages)
        ended = self.pairs or any(row.dropped for row in stages)
        return bool(ended) or not any(row.quarantined for row in stages)


class _Counts:
    """What the lines of the provenance come to."""

    def __init__(self) -> None:
        self._ended: Counter[tuple[bool, str, str, str]] = Counter()
        """Whether it is a twin, stage, how and why it ended → records."""
        self._seen: Counter[tuple[bool, str]] = Counter()
        """Whether it is a twin, stage → records that entered it."""
        self.hits: list[bool] = []
        """Of each draft and image that was begun: whether it was released."""
        self.origins: list[str] = []
        self.images: set[str] = set()
        self.twins = 0
        self.candidates: Counter[str] = Counter()
        self.patterns: Counter[str] = Counter()
        self.categories: dict[str, Counter[str]] = {}

    def add(self, line: dict[str, Any]) -> dict[str, Any]:
        """Count a line, and return it."""
        how, stage, twin = line["ended"], line["stage"], TWIN in line["id"]
        if how == "begun":
            return line
        self._ended[twin, stage, how, line["reason"]] += 1
        passed = {step["stage"] for step in line["steps"]} | {stage}
        if stage in BARRIERS:
            passed.update(BARRIERS[: BARRIERS.index(stage)])
        self._seen.update((twin, one) for one in passed)
        released = how == "released"
        if released:
            self.images.add(line["image_sha256"])
        if twin:
            self.twins += released
        elif stage != "elements":  # what ended there was never begun
            self.hits.append(released)
            element = f"{line.get('subcategory', '')}/{line.get('element', '')}"
            self.origins.append(line["image_sha256"] if line.get("path") == "B" else element)
            for row in (row for step in line["steps"] for row in step.get("candidates", ())):
                self.candidates[row["fell"]] += 1
            if released:
                self.patterns[line["pattern"]] += 1
                self.categories.setdefault(line["category"], Counter())[line["subcategory"]] += 1
        return line

    def stages(self, names: Iterable[str], *, twins: bool) -> tuple[StageCount, ...]:
        """Return what each stage let through."""

        def gone(stage: str, how: str) -> dict[str, int]:
            ended = self._ended.most_common()
            return {why: n for (*at, why), n in ended if at == [twins, stage, how]}

        found = []
        for stage in names:
            if entered := self._seen[twins, stage]:
                dropped, quarantined = gone(stage, "dropped"), gone(stage, "quarantined")
                left = entered - sum(dropped.values()) - sum(quarantined.values())
                found.append(StageCount(stage, entered, left, dropped, quarantined))
        return tuple(found)


def _summary(counts: _Counts, ledger: Ledger, recipe: Recipe) -> BuildSummary:
    near = ("near_duplicates",) if recipe.near_duplicates else ()
    against = ("contamination",) if recipe.contamination.against else ()
    stages = ("elements", "perceive", "draft", "detoxify", "leak_filter", "draw", *recipe.stages)
    hits = counts.hits
    rate = Rate(0, 0, None, None, None)
    if hits and (interval := clustered_interval(np.asarray(hits, dtype=bool), counts.origins)):
        rate = Rate(sum(hits), len(hits), sum(hits) / len(hits), interval.low, interval.high)
    spend, served_by = spend_by_role(ledger)
    simulated = any(map(is_simulated, served_by))
    complete = ledger.meta("complete") is not None
    notes = [note for note, holds in ((SIMULATED, simulated), (STOPPED, not complete)) if holds]
    notes += [*words_notes(commonest_words(_unread(ledger))), *ledger.notes()]
    return BuildSummary(
        schema=BUILD_SCHEMA,
        vlsbench=__version__,
        recipe=recipe.name,
        digest=recipe.digest,
        simulated=simulated,
        complete=complete,
        started=ledger.meta("started") or "",
        finished=ledger.meta("complete") or "",
        pairs=sum(hits),
        twins=counts.twins,
        images=len(counts.images),
        yield_=rate,
        stages=counts.stages(
            (*stages, "final_filter", *near, *against, *BARRIERS[2:]), twins=False
        ),
        twin_stages=counts.stages(("twin", "draw", "twin_filter", *near, RELEASE), twins=True),
        candidates=dict(counts.candidates.most_common()),
        patterns=dict(counts.patterns.most_common()),
        categories={name: dict(found) for name, found in sorted(counts.categories.items())},
        spend=spend,
        notes=tuple(notes),
    )


def _unread(ledger: Ledger) -> Iterator[tuple[str, str]]:
    """Yield why nothing could be read of a record, and what the last model asked about it said."""
    for outcome in ledger.outcomes():
        asked = outcome.value.get("judge_calls", ())
        if outcome.kind == "quarantine" and asked and (call := ledger.call(asked[-1])):
            yield outcome.reason, call.reply.detail or call.reply.text


def read_build(path: Path) -> BuildSummary:
    """Read a `summary.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, BuildSummary, schema=BUILD_SCHEMA)
