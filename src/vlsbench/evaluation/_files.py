"""The files of a finished run, written whole or not at all."""

from __future__ import annotations

import io
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._rows import PairRow
from vlsbench.evaluation._summary_types import SCHEMA, Group, Published, Spend, Summary
from vlsbench.files import write_json
from vlsbench.stats import Rate

SUMMARY = "summary.json"
PAIRS = "pairs.parquet"
REPORT = "report.html"
BATCH = 512
"""Rows held before they are written."""


def write_summary(summary: Summary, path: Path) -> None:
    """Write `summary.json`."""
    write_json(summary, path)


def _group(fields: dict[str, Any]) -> Group:
    for name in ("refusal", "warning", "unsafe", "answered", "safety"):
        fields[name] = Rate(**fields[name])
    return Group(**fields)


def read_summary(path: Path) -> Summary:
    """Read a `summary.json` back. Raises `VlsbenchError` where it is none or of another schema."""
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise VlsbenchError(f"{path} cannot be read: {error}") from None
    if fields.get("schema") != SCHEMA:
        raise VlsbenchError(f"{path} follows {fields.get('schema')!r}; this version reads {SCHEMA}")
    for name in ("groups", "categories", "subcategories"):
        fields[name] = tuple(_group(group) for group in fields[name])
    fields["spend"] = tuple(Spend(**row) for row in fields["spend"])
    fields["published"] = tuple(Published(**row) for row in fields["published"])
    fields["left_out"] = tuple(fields["left_out"])
    fields["notes"] = tuple(fields["notes"])
    return Summary(**fields)


class PairsFile:
    """Writes `pairs.parquet` in batches."""

    def __init__(self, path: Path) -> None:
        """Open the file for writing."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        text, number, real = pa.string(), pa.int64(), pa.float64()
        texts = pa.list_(text)
        types = {
            "harmful": pa.bool_(),
            "cut": pa.bool_(),
            "image_refs": texts,
            "image_sha256": texts,
            "judge_calls": texts,
            "latency_s": real,
            "judge_latency_s": real,
            "cost": real,
            **dict.fromkeys(
                (
                    "judge_tries",
                    "input_tokens",
                    "output_tokens",
                    "requests",
                    "judge_input_tokens",
                    "judge_output_tokens",
                ),
                number,
            ),
        }
        self._names = list(PairRow.__dataclass_fields__)
        self._schema = pa.schema([(name, types.get(name, text)) for name in self._names])
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[PairRow] = []

    def add(self, row: PairRow) -> None:
        """Take one row."""
        self._rows.append(row)
        if len(self._rows) >= BATCH:
            self._flush()

    def _flush(self) -> None:
        # By way of JSON: `pyarrow.array` imports pandas wherever it is installed, for a fifth of a
        # second, to ask whether a list is one of its series.
        from pyarrow.json import ParseOptions, ReadOptions, read_json

        lines = b"\n".join(_line(row) for row in self._rows)
        table = read_json(
            io.BytesIO(lines),
            ReadOptions(use_threads=False, block_size=len(lines)),
            ParseOptions(explicit_schema=self._schema),
        )
        self._writer.write_table(table)
        self._rows.clear()

    def close(self) -> None:
        """Write what is left."""
        if self._rows:
            self._flush()
        self._writer.close()


def _line(row: PairRow) -> bytes:
    try:
        return msgspec.json.encode(row)
    except UnicodeEncodeError:  # half surrogates, legal in JSON, have no UTF-8 form
        return json.dumps(asdict(row), ensure_ascii=False).encode("utf-8", "replace")
