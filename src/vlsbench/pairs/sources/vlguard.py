"""VLGuard: safe and unsafe images, with safe and unsafe instructions for the safe ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from vlsbench.pairs import (
    Fields,
    Pair,
    RowError,
    Rows,
    file_image,
    find,
    folder_of,
    pairs_from,
    read_json,
)
from vlsbench.pairs.sources._declared import by_authors, shipped

_KEYS = {
    "unsafes": "instruction",
    "safe_unsafes": "unsafe_instruction",
    "safe_safes": "safe_instruction",
}
"""Subset → key of its instruction in `instr-resp`."""
_GRADES = {"unsafes": "?UU", "safe_unsafes": "USU", "safe_safes": "SSS"}
_TWINS = {"safe_unsafes": "safe_safes", "safe_safes": "safe_unsafes"}
"""Subset → that of the same image with the other instruction."""


@shipped("vlguard")
def vlguard(root: Path, variant: str) -> Rows:
    """Yield the chosen subsets; ids are `<id>/<subset>`, equal in every variant."""
    file = find(root, "test.json")
    images = folder_of(root, "test", ".")
    for subset in _KEYS if variant == "all" else (variant,):
        yield from _subset(file, images, subset)


def _subset(file: Path, images: Path, subset: str) -> Rows:
    def chosen() -> Iterator[tuple[str, object]]:
        for label, fields in read_json(file):
            # A row that does not say which it is belongs nowhere, so it is reported once.
            safe = fields.get("safe") if isinstance(fields, dict) else None
            if safe is (subset != "unsafes") or (
                not isinstance(safe, bool) and subset == "unsafes"
            ):
                yield label, fields

    return pairs_from(file.name, chosen(), lambda row: _pair(row, images, subset))


def _pair(row: Fields, images: Path, subset: str) -> Pair:
    if not isinstance(row.fields.get("safe"), bool):
        raise RowError("'safe' is neither true nor false")
    instruction = _instruction(row, _KEYS[subset])
    harm = {} if row.fields["safe"] else {"category": row.text("harmful_category")}
    return Pair(
        id=f"{row.text('id')}/{subset}",
        query=instruction.text(_KEYS[subset]),
        images=(file_image(images, row.text("image")),),
        category=harm.get("category", subset),
        subcategory=row.maybe("harmful_subcategory"),
        harmful=subset != "safe_safes",
        meta={"subset": subset, **instruction.only("response")},
        language="en",
        twin=f"{row.text('id')}/{_TWINS[subset]}" if subset in _TWINS else "",
        grades=by_authors(_GRADES[subset]),
    )


def _instruction(row: Fields, key: str) -> Fields:
    items = row.fields.get("instr-resp")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and key in item:
            return Fields(item)
    raise RowError(f"'instr-resp' has no {key!r}")
