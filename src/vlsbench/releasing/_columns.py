"""The columns of a release, and the Parquet files that `datasets` reads images from.

The columns are the fields of a pair, and one for each key of `Pair.meta`.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from vlsbench.releasing._about import Column, Kind

ABOUT = {
    "id": "unique, stable across releases",
    "query": "the text that is asked with the image",
    "category": "of the risk",
    "subcategory": "of the risk",
    "harmful": "false for a benign control",
    "description": "what the image shows, in words",
    "reason": "why the pair is harmful",
    "source": "where the image is from",
    "image_licence": "licence of the image",
}
"""Text and truth columns of every release, in order, and what they hold."""
_RESERVED = frozenset(
    (*ABOUT, "question", "prompt", "instruction", "text", "image", "image_path", "file_name",
     "images", "file_names", "sub_category", "image_description", "safety_reason", "split")
)  # fmt: skip
"""Names that a reader of the generic form or of imagefolder would take for something else."""
_TYPES = {
    Kind.TEXT: "string", Kind.JSON: "string", Kind.BOOL: "bool", Kind.INT: "int64",
    Kind.FLOAT: "float64",
}  # fmt: skip
"""Kind → its type, as Arrow and `datasets` both call it."""
ROWS = 32
"""Rows of a group: readers hold a group's images at a time."""


def columns_of(metas: Iterable[Mapping[str, object]], several_images: bool) -> tuple[Column, ...]:
    """Return all columns, those of every release first, the others in alphabetical order.

    Args:
        metas: `Pair.meta` of every pair.
        several_images: Whether any pair has more than one image.
    """
    kinds: dict[str, set[Kind]] = {}
    for meta in metas:
        for key, value in meta.items():
            kinds.setdefault(key, set()).update(_kinds(value))
    image = Column("image", Kind.IMAGE, "the image, named by the SHA-256 of its bytes")
    if several_images:
        image = Column("images", Kind.IMAGES, "the images in order, named by their SHA-256")
    fixed = [
        Column(name, Kind.BOOL if name == "harmful" else Kind.TEXT, about)
        for name, about in ABOUT.items()
    ]
    taken = {column.name for column in fixed} | {image.name}
    others = []
    for key in sorted(kinds):
        taken.add(name := _column_name(key, taken))
        kind, *more = kinds[key] or {Kind.TEXT}
        others.append(Column(name, Kind.JSON if more else kind, "", key))
    return (fixed[0], image, *fixed[1:], *others)


def _kinds(value: object) -> set[Kind]:
    """Return the kind of column that a plain JSON value fits; empty for null."""
    match value:
        case None:
            return set()
        case bool():
            return {Kind.BOOL}
        case int():
            return {Kind.INT if -(2**63) <= value < 2**63 else Kind.JSON}
        case float():
            return {Kind.FLOAT} if math.isfinite(value) else set()
        case _:
            return {Kind.TEXT if isinstance(value, str) else Kind.JSON}


def _column_name(key: str, taken: set[str]) -> str:
    """Return a name that every reader takes for a column of its own."""
    name = re.sub(r"\W", "_", key, flags=re.ASCII)[:60]
    special = name in _RESERVED or name.endswith(("_file_name", "_file_names"))
    if special or not name or not name[0].isalpha():
        name = f"meta_{name}".replace("_file_name", "_filename")
    unique, number = name, 2
    while unique in taken:
        unique, number = f"{name}_{number}", number + 1
    return unique


def cell(kind: Kind, value: object) -> Any:
    """Return a value of `meta` as its column holds it.

    A text that is not there is empty rather than null: imagefolder could not tell a split without
    any from one of another type.
    """
    plain = _finite(value)
    if kind in (Kind.TEXT, Kind.JSON) and plain is None:
        return ""
    return json.dumps(plain, ensure_ascii=False, sort_keys=True) if kind is Kind.JSON else plain


def _finite(value: object) -> Any:
    """Return a value with null for numbers that JSON has no form for."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def schema(columns: Sequence[Column]) -> Any:
    """Return the Arrow schema, with what makes `datasets` see images rather than structs."""
    import pyarrow as pa

    image, feature = pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"_type": "Image"}
    types: dict[str, Any] = {}
    features: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            types[column.name], features[column.name] = image, feature
        elif column.kind is Kind.IMAGES:
            types[column.name] = pa.list_(pa.field("element", image))
            features[column.name] = [feature]
        else:
            name = _TYPES[column.kind]
            types[column.name] = pa.type_for_alias(name)
            features[column.name] = {"dtype": name, "_type": "Value"}
    about = json.dumps({"info": {"features": features}})
    return pa.schema(list(types.items()), metadata={"huggingface": about})


def write_parquet(
    path: Path,
    columns: Sequence[Column],
    rows: Iterable[dict[str, Any]],
    image: Callable[[str], bytes],
) -> None:
    """Write one shard. The same rows give the same bytes.

    Args:
        path: File to write.
        columns: Of the schema.
        rows: Column → value; an image column holds names of images.
        image: From a name to the bytes.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def embedded(row: dict[str, Any]) -> dict[str, Any]:
        if "images" in row:
            return row | {"images": [{"bytes": image(n), "path": n} for n in row["images"]]}
        return row | {"image": {"bytes": image(row["image"]), "path": row["image"]}}

    kind, waiting = schema(columns), iter(rows)
    repeated = ["category", "subcategory", "source", "image_licence"]
    plain = [c.name for c in columns if c.kind not in (Kind.IMAGE, Kind.IMAGES)]
    with pq.ParquetWriter(
        path, kind, compression="zstd", use_dictionary=repeated, write_statistics=plain
    ) as writer:
        while group := [embedded(row) for row in islice(waiting, ROWS)]:
            writer.write_table(pa.Table.from_pylist(group, schema=kind), row_group_size=ROWS)
