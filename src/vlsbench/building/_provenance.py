"""`provenance.jsonl`: one line for every record that ever was, kept or dropped.

docs/build.md describes the fields.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vlsbench.building._items import Item
from vlsbench.building._select import PREFIX, recorded
from vlsbench.engine import Ledger, Outcome
from vlsbench.files import write_jsonl

FILE = "provenance.jsonl"
ENDED = {"keep": "kept", "drop": "dropped", "quarantine": "quarantined"}


def write_provenance(ledger: Ledger, folder: Path) -> None:
    """Write the file, in one walk over the outcomes."""
    write_jsonl(provenance(ledger), folder / FILE)


def provenance(ledger: Ledger) -> Iterator[dict[str, Any]]:
    """Walk the lines: first every record with an outcome, in the order of ids, then what they
    were made from and that has no outcome of its own.
    """
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
    if "item" not in outcome.value:  # an answer never came: nothing is known but where
        row = _ended(outcome.record, ENDED[outcome.kind], outcome.stage, outcome.reason)
        return {**row, **outcome.value}
    item = Item.read(outcome.value)
    stage, reason, how = outcome.stage, outcome.reason, ENDED[outcome.kind]
    detail = ""
    if outcome.kind == "keep" and (decision := recorded(ledger, outcome.record)):
        stage, reason, detail = decision.stage, decision.reason, decision.detail
        how = "dropped" if decision.reason else "released"
    steps = [_step(ledger, step.stage, step.version, step.calls, step.facts) for step in item.steps]
    costs = [call["cost"] for step in steps for call in step["calls"]]
    return {
        "id": outcome.record,
        "parents": list(item.parents),
        "twin_of": item.twin_of,
        "ended": how,
        "stage": stage,
        "reason": reason,
        "detail": detail,
        "path": item.path,
        "category": item.category,
        "subcategory": item.subcategory,
        "element": item.element,
        "query": item.query,
        "description": item.description,
        "image_sha256": item.image,
        "image_prompt": item.image_prompt,
        "image_licence": item.image_licence,
        "source": item.source,
        "pattern": item.pattern,
        "cost": None if None in costs else sum(costs),
        "steps": steps,
    }


def _step(
    ledger: Ledger, stage: str, version: str, calls: tuple[str, ...], facts: Mapping[str, Any]
) -> dict[str, Any]:
    found = []
    for key in calls:
        role, model, cost = ledger.bill(key) or ("", "", None)
        found.append({"key": key, "role": role, "model": model, "cost": cost})
    return {"stage": stage, "version": version, "calls": found, **facts}
