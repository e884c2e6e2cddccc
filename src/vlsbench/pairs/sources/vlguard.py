"""VLGuard: safe and unsafe images, with safe and unsafe instructions for the safe ones."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from vlsbench.pairs import Fields, RowError, Rows
from vlsbench.pairs.sources._declared import read_declared

_KEYS = {
    "unsafes": "instruction",
    "safe_unsafes": "unsafe_instruction",
    "safe_safes": "safe_instruction",
}
"""Subset → key of its instruction in `instr-resp`."""


def read(root: Path, variant: str) -> Rows:
    """Yield the chosen subsets; ids are `<id>/<subset>`, equal in every variant."""
    for subset in _KEYS if variant == "all" else (variant,):
        yield from read_declared(
            "vlguard",
            root,
            subset,
            query=partial(_query, subset),
            meta=partial(_meta, subset),
            keep=partial(_keep, subset),
        )


def _query(subset: str, row: Fields) -> str:
    return _instruction(subset, row).text(_KEYS[subset])


def _meta(subset: str, row: Fields) -> dict[str, object]:
    return {"subset": subset, **_instruction(subset, row).only("response")}


def _keep(subset: str, row: Fields) -> bool:
    safe = row.fields.get("safe")
    # A row that does not say which it is belongs nowhere, so it is reported once.
    if not isinstance(safe, bool) and subset == "unsafes":
        raise RowError("'safe' is neither true nor false")
    return safe is (subset != "unsafes")


def _instruction(subset: str, row: Fields) -> Fields:
    items = row.fields.get("instr-resp")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and _KEYS[subset] in item:
            return Fields(item)
    raise RowError(f"'instr-resp' has no {_KEYS[subset]!r}")
