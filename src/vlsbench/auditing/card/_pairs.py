"""The pairs of an audit: how much each leaks, `pairs.parquet`, and the list of those to leave out.

`--drop-leaking` writes the list, and `vlsbench eval --leave-out` runs a benchmark without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vlsbench.auditing.card._card import Dropped
from vlsbench.auditing.judged import JudgedPair
from vlsbench.auditing.overlap import Channel, OverlapPair
from vlsbench.files import write_csv
from vlsbench.judge import Part
from vlsbench.pairs import DROP_COLUMNS

PAIRS = "pairs.parquet"
DROP = "drop.csv"


@dataclass(frozen=True, slots=True)
class Score:
    """How much one pair leaks."""

    value: float | None
    """In [0, 1]: the largest of what was measured; None where nothing was."""
    why: str
    """The phrase or label that the value comes from."""


def leak_score(overlap: OverlapPair | None, judged: JudgedPair | None = None) -> Score:
    """Return how much a pair leaks, for `--drop-leaking` and for the order of the pairs.

    The probability that the query names what the image shows or what is written in it, and 1 where
    a judge holds the text harmful by itself.
    """
    found = [
        Score(reading.naming, f"{reading.channel}: {reading.phrase}")
        for reading in (overlap.readings if overlap else ())
    ]
    if judged and (harmful := judged.harmful_by(Part.TEXT)) is not None:
        found.append(Score(float(harmful), "judged: harmful by its text"))
    return max(found, key=lambda score: score.value or 0.0, default=Score(None, ""))


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
    content_kind: str | None
    content: str | None
    topic_bits: float | None
    rank: float | None
    naming: float | None
    phrase: str | None
    naming_typographic: float | None
    text_harmful: bool | None
    image_harmful: bool | None
    pair_harmful: bool | None
    pattern: str | None


def card_row(overlap: OverlapPair | None, judged: JudgedPair | None, score: Score) -> CardRow:
    """Put together what the measures found of one pair."""
    pair = overlap or judged
    assert pair, "some measure saw the pair"
    content = overlap.reading(Channel.CONTENT) if overlap else None
    written = overlap.reading(Channel.TYPOGRAPHIC) if overlap else None
    unnamed = "" if overlap else None
    by_part = {part: judged.harmful_by(part) if judged else None for part in Part}
    return CardRow(
        id=pair.id,
        category=pair.category,
        subcategory=pair.subcategory,
        harmful=pair.harmful,
        query=pair.query,
        score=score.value,
        why=score.why,
        content_kind=str(overlap.content_kind or "") if overlap else None,
        content=content.text if content else unnamed,
        topic_bits=overlap.topic if overlap else None,
        rank=overlap.rank if overlap else None,
        naming=overlap.naming if overlap else None,
        phrase=content.phrase if content else unnamed,
        naming_typographic=written.naming if written else None,
        text_harmful=by_part[Part.TEXT],
        image_harmful=by_part[Part.IMAGE],
        pair_harmful=by_part[Part.PAIR],
        pattern=judged.pattern if judged else None,
    )


def write_drop_list(
    path: Path, bench: str, threshold: float, scores: Mapping[str, Score]
) -> Dropped:
    """Write the list of pairs to leave out, the most leaking first, and say what is on it.

    Pairs are left out from the score `threshold` on.
    """
    leaking = [
        (-one.value, id, one.why)
        for id, one in scores.items()
        if one.value is not None and one.value >= threshold
    ]
    rows = ((bench, id, f"{-value:.4f}", why) for value, id, why in sorted(leaking))
    write_csv(rows, path, DROP_COLUMNS)
    unmeasured = sum(one.value is None for one in scores.values())
    return Dropped(threshold, path.name, len(leaking), len(scores) - len(leaking), unmeasured)
