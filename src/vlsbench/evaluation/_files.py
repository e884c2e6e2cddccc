"""The files of a finished run."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._rows import PAIRS, PairRow
from vlsbench.evaluation._summary_types import SCHEMA, Group, Published, Spend, Summary
from vlsbench.files import write_json
from vlsbench.stats import Rate
from vlsbench.tables import RowWriter

SUMMARY = "summary.json"
REPORT = "report.html"
PairsFile = partial(RowWriter[PairRow], PairRow)
"""Opens `pairs.parquet` for writing."""

__all__ = ["PAIRS", "REPORT", "SUMMARY", "PairsFile", "read_summary", "write_summary"]


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
