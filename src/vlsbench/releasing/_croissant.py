"""The set as Croissant 1.0 with the fields of responsible AI.

Format: docs.mlcommons.org/croissant/docs/croissant-spec.html and croissant-rai-spec.html; the
context is that of the specification's appendix 1.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from vlsbench.releasing._about import Figure, Kind, Release
from vlsbench.releasing._card import environment, figure_interval, figure_value

_TYPES = {
    Kind.IMAGE: "sc:ImageObject", Kind.IMAGES: "sc:ImageObject", Kind.TEXT: "sc:Text",
    Kind.JSON: "sc:Text", Kind.BOOL: "sc:Boolean", Kind.INT: "cr:Int64", Kind.FLOAT: "cr:Float64",
}  # fmt: skip


def croissant(
    release: Release, shards: Mapping[str, tuple[int, str]], context: Mapping[str, Any]
) -> str:
    """Return `croissant.json`.

    Args:
        release: What is released.
        shards: Parquet file → bytes and SHA-256.
        context: What the card says as well.
    """
    # Whatever the template prints becomes JSON.
    template = environment(_json).get_template("croissant.json")
    sources = ", ".join(
        f"{row.source or 'no source named'} ({row.pairs:,} pairs, {row.licence})"
        for row in release.statistics.sources
    )
    text = template.render(
        {**context, "shards": shards, "sources": sources},
        licence=_licence(release.licence),
        types=_TYPES,
        said=_said,
    )
    about = {name: value for name, value in json.loads(text).items() if value not in ("", [])}
    return json.dumps(about, indent=1, ensure_ascii=False) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _licence(licence: str) -> str:
    """Return the licence's page where it is an SPDX identifier in the usual form."""
    low = licence.lower()
    known = {"apache-2.0": "Apache-2.0", "mit": "MIT", "cc0-1.0": "CC0-1.0", "odbl": "ODbL-1.0"}
    name = known.get(low) or (low.upper() if low.startswith("cc-by") else "")
    return f"https://spdx.org/licenses/{name}.html" if name and " " not in name else licence


def _said(figures: Iterable[Figure]) -> list[str]:
    said = []
    for one in figures:
        kind = "Krippendorff's alpha " if one.unit == "alpha" else ""
        within = f" (95 % interval {figure_interval(one)})" if one.low is not None else ""
        said.append(f"{one.name}: {kind}{figure_value(one)}{within}, n = {one.n:,}")
    return said
