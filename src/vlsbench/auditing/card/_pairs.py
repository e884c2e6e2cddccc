"""`pairs.parquet` of an audit: every pair with what the measures found."""

from __future__ import annotations

from dataclasses import dataclass

from vlsbench.auditing.card._drop import Score
from vlsbench.auditing.judged._figures import JudgedPair
from vlsbench.auditing.overlap._figures import Channel, OverlapPair
from vlsbench.judge import Part

PAIRS = "pairs.parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class CardRow:
    """A row of `pairs.parquet`; its fields are the columns, which docs/audit.md explains."""

    id: str
    category: str
    subcategory: str
    harmful: bool
    query: str
    score: float | None
    why: str
    content_kind: str | None = None
    content: str | None = None
    topic_bits: float | None = None
    rank: float | None = None
    naming: float | None = None
    phrase: str | None = None
    naming_typographic: float | None = None
    text_harmful: bool | None = None
    image_harmful: bool | None = None
    pair_harmful: bool | None = None
    pattern: str | None = None


def card_row(overlap: OverlapPair | None, judged: JudgedPair | None, score: Score) -> CardRow:
    """Put together what the measures found of one pair."""
    pair = overlap or judged
    if pair is None:
        raise ValueError("a pair that nothing measured")
    found: dict[str, object] = {}
    if overlap:
        content = overlap.reading(Channel.CONTENT)
        typographic = overlap.reading(Channel.TYPOGRAPHIC)
        found = {
            "content_kind": str(overlap.content_kind or ""),
            "topic_bits": overlap.topic,
            "rank": overlap.rank,
            "content": content.text if content else "",
            "phrase": content.phrase if content else "",
            "naming": overlap.naming,
            "naming_typographic": typographic.naming if typographic else None,
        }
    if judged:
        found |= {f"{part}_harmful": judged.harmful_by(part) for part in Part}
        found["pattern"] = judged.pattern
    return CardRow(
        id=pair.id,
        category=pair.category,
        subcategory=pair.subcategory,
        harmful=pair.harmful,
        query=pair.query,
        score=score.value,
        why=score.why,
        **found,  # type: ignore[arg-type]
    )
