"""`pairs.parquet` of an audit: every pair with what the measures found, written as it comes."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from vlsbench.auditing.card._drop import Score
from vlsbench.auditing.judged._types import JudgedPair
from vlsbench.auditing.overlap._types import Channel, OverlapPair
from vlsbench.judge import Part

PAIRS = "pairs.parquet"
BATCH = 4096
"""Rows held before they are written."""
REALS = ("score", "topic_bits", "rank", "naming", "naming_reason", "naming_typographic")
FLAGS = ("harmful", "text_harmful", "image_harmful", "pair_harmful")
COLUMNS = (
    *("id", "category", "subcategory", "harmful", "query", "score", "why"),
    *("content_kind", "content", "topic_bits", "rank", "naming", "phrase"),
    *("naming_reason", "naming_typographic", "text_harmful", "image_harmful", "pair_harmful"),
    "pattern",
)
"""In the order of the file; docs/audit.md says what they hold."""


def _row(overlap: OverlapPair | None, judged: JudgedPair | None, score: Score) -> dict[str, Any]:
    pair = overlap or judged
    if pair is None:
        raise ValueError("a pair that nothing measured")
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= {
        "id": pair.id,
        "category": pair.category,
        "subcategory": pair.subcategory,
        "harmful": pair.harmful,
        "query": pair.query,
        "score": score.value,
        "why": score.why,
    }
    if overlap:
        content = overlap.reading(Channel.CONTENT)
        row |= {
            "content_kind": str(overlap.content_kind or ""),
            "topic_bits": overlap.topic,
            "rank": overlap.rank,
            "content": content.text if content else "",
            "phrase": content.phrase if content else "",
            "naming": overlap.naming,
        }
        for channel in (Channel.REASON, Channel.TYPOGRAPHIC):
            if reading := overlap.reading(channel):
                row[f"naming_{channel}"] = reading.naming
    if judged:
        row |= {f"{part}_harmful": judged.harmful_by(part) for part in Part}
        row["pattern"] = judged.pattern
    return row


class CardPairs:
    """Writes `pairs.parquet` in batches."""

    def __init__(self, path: Path) -> None:
        """Open the file for writing."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        kinds = dict.fromkeys(REALS, pa.float64()) | dict.fromkeys(FLAGS, pa.bool_())
        self._schema = pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[dict[str, Any]] = []

    def add(self, overlap: OverlapPair | None, judged: JudgedPair | None, score: Score) -> None:
        """Take one pair."""
        self._rows.append(_row(overlap, judged, score))
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        rows = [{name: _storable(value) for name, value in row.items()} for row in self._rows]
        self._writer.write_table(pa.Table.from_pylist(rows, schema=self._schema))
        self._rows.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None and self._rows:
                self._flush()
        finally:
            self._writer.close()


def _storable(value: Any) -> Any:
    # Half surrogates, legal in JSON, have no UTF-8 form.
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
