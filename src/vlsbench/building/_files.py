"""What a build writes: `pairs/`, an imagefolder that any command opens, and `provenance.jsonl`.

docs/build.md describes the fields of both.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vlsbench.building._barriers import PREFIX, kept_items, recorded
from vlsbench.building._drawing import image_of
from vlsbench.building._items import Item, Step
from vlsbench.engine import Ledger, Outcome
from vlsbench.files import write_jsonl

PAIRS = "pairs"
METADATA = "metadata.jsonl"
PROVENANCE = "provenance.jsonl"
SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/bmp": ".bmp",
    "image/tiff": ".tiff",
}
ENDED = {"keep": "kept", "drop": "dropped", "quarantine": "quarantined"}


def write_pairs(ledger: Ledger, folder: Path) -> None:
    """Write `pairs/` anew, whole or not at all, in the order of the ids; the twins come last.

    Equal sets are equal byte for byte: nothing in them depends on when or in which order they
    were made.
    """
    part, place, old = (folder / name for name in (f".{PAIRS}.part", PAIRS, f".{PAIRS}.old"))
    shutil.rmtree(part, ignore_errors=True)
    (part / "images").mkdir(parents=True)

    def rows() -> Iterator[dict[str, Any]]:
        for twins in (False, True):
            for name, item in kept_items(ledger, twins=twins):
                decision = recorded(ledger, name)
                if decision and not decision.reason:
                    yield row_of(name, item)

    def row_of(name: str, item: Item) -> dict[str, Any]:
        data = image_of(ledger.folder, item.image)
        image = f"images/{item.image[:16]}{SUFFIXES[data.mime]}"
        if not (part / image).exists():
            (part / image).write_bytes(data.data)
        first = {"file_name": image, "id": name, "query": item.query, "category": item.category}
        fields = ("description", "reason", "source", "path", "twin_of", "image_licence")
        return {
            **first,
            "subcategory": item.subcategory,
            "harmful": not item.twin_of,
            **{field: getattr(item, field) for field in (*fields, "image_prompt", "pattern")},
        }

    write_jsonl(rows(), part / METADATA)
    shutil.rmtree(old, ignore_errors=True)
    if place.exists():
        place.rename(old)
    part.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def write_provenance(ledger: Ledger, folder: Path) -> None:
    """Write a line for every record that ever was, kept or dropped, in one walk.

    First every record with an outcome, in the order of ids, then what they were made from and that
    has no outcome of its own.
    """
    write_jsonl(_lines(ledger), folder / PROVENANCE)


def _lines(ledger: Ledger) -> Iterator[dict[str, Any]]:
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
        stage, reason, detail = decision.stage, decision.reason, decision.detail
        how = "dropped" if decision.reason else "released"
    steps = [_step(ledger, step) for step in item.steps]
    costs = [call["cost"] for step in steps for call in step["calls"]]
    row = _ended(outcome.record, how, stage, reason)
    del row["steps"]  # the last key
    fields = ("path", "category", "subcategory", "element", "query", "description")
    return {
        **row,
        "parents": list(item.parents),
        "twin_of": item.twin_of,
        "detail": detail,
        **{field: getattr(item, field) for field in fields},
        "image_sha256": item.image,
        "image_prompt": item.image_prompt,
        "image_licence": item.image_licence,
        "source": item.source,
        "pattern": item.pattern,
        "cost": None if None in costs else sum(costs),
        "steps": steps,
    }


def _step(ledger: Ledger, step: Step) -> dict[str, Any]:
    calls = []
    for key in step.calls:
        role, model, cost = ledger.bill(key) or ("", "", None)
        calls.append({"key": key, "role": role, "model": model, "cost": cost})
    return {"stage": step.stage, "version": step.version, "calls": calls, **step.facts}
