"""VLGuard: safe and unsafe images, with safe and unsafe instructions for the safe ones."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, RowError, Rows, file_image, find, folder_of
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped

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
    file, images = find(root, "test.json"), folder_of(root, "test", ".")
    for subset in _KEYS if variant == "all" else (variant,):
        yield from _subset(file, images, subset)


def _subset(file: Path, images: Path, subset: str) -> Rows:
    key, twin = _KEYS[subset], _TWINS.get(subset)

    def of_subset(row: Fields) -> bool:
        safe = row.fields.get("safe")
        # A row that does not say which it is belongs nowhere, so it is reported once.
        if not isinstance(safe, bool) and subset == "unsafes":
            raise RowError("'safe' is neither true nor false")
        return safe is (subset != "unsafes")

    return read_english(
        file,
        id=lambda row: f"{row.text('id')}/{subset}",
        query=lambda row: _instruction(row, key).text(key),
        images=lambda row: (file_image(images, row.text("image")),),
        category="harmful_category" if subset == "unsafes" else lambda row: subset,
        subcategory="harmful_subcategory",
        harmful=subset != "safe_safes",
        meta=lambda row: {"subset": subset, **_instruction(row, key).only("response")},
        twin=lambda row: f"{row.text('id')}/{twin}" if twin else "",
        grades=by_authors(_GRADES[subset]),
        keep=of_subset,
    )


def _instruction(row: Fields, key: str) -> Fields:
    items = row.fields.get("instr-resp")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and key in item:
            return Fields(item)
    raise RowError(f"'instr-resp' has no {key!r}")
