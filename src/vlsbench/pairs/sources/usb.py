"""USB-SafeBench: risky and safe images with risky and safe texts, and over-refusal."""

from __future__ import annotations

from pathlib import Path

from vlsbench.pairs import Fields, Rows, file_image, find
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped


@shipped("usb")
def usb(root: Path, variant: str) -> Rows:
    """Yield one file in one language; `usage` says which pairs are benign."""
    size, _, language = variant.partition("_")
    query = "text_zh" if language else "text"

    def benign(row: Fields) -> bool:
        return row.choice("usage", "vulnerability", "overrefusal") == "overrefusal"

    def pattern(row: Fields) -> str:
        if benign(row):
            return "??S"
        risks = [row.choice(key, "0", "1") for key in ("text_risk", "img_risk")]
        return "".join("SU"[risk == "1"] for risk in risks) + "U"

    return read_english(
        find(root, f"USB_{size}_final.csv"),
        id="id",
        query=query,
        images=lambda row: (file_image(root, row.text("open_url")),),
        category=lambda row: row.maybe("level1_category"),
        subcategory="level2_category",
        harmful=lambda row: not benign(row),
        language=language or "en",
        grades=lambda row: by_authors(pattern(row)),
        meta=("level3_category", "img_style", "usage"),
        # The benign ones, of another set, may have no Chinese text.
        keep=lambda row: not language or bool(row.maybe(query)),
        needs=("open_url", "usage", "img_risk", "text_risk"),
    )
