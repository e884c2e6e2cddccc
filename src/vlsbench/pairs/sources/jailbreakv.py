"""JailBreakV-28K: text jailbreaks beside unrelated images, and image jailbreaks."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Rows, file_image, find
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped

FILES = {"28k": "JailBreakV_28K", "mini": "mini_JailBreakV_28K", "redteam2k": "RedTeam_2K"}
TEXT_ATTACKS = ("Template", "Persuade", "Logic")
"""Formats whose text carries the whole attack, whatever the image shows."""


@shipped("jailbreakv")
def jailbreakv(root: Path, variant: str) -> Rows:
    """Yield one file; `meta["redteam_query"]` is the plain harmful question behind an attack."""
    name = f"{FILES[variant]}.csv"
    file = find(root, f"JailBreakV_28K/{name}", name)
    if variant == "redteam2k":
        return read_english(
            file,
            id="id",
            query="question",
            category="policy",
            source="from",
            grades=by_authors("U??"),
        )

    def told(row: Fields) -> bool:
        return row.text("format") in TEXT_ATTACKS

    return read_english(
        file,
        id="id",
        query="jailbreak_query",
        images=lambda row: (file_image(file.parent, row.text("image_path")),),
        category="policy",
        subcategory="format",
        source="from",
        grades=lambda row: by_authors("U?U" if told(row) else "??U"),
        meta=("redteam_query", "transfer_from_llm", "selected_mini"),
        needs=("image_path", "format"),
    )
