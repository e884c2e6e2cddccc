"""Parquet with embedded images, as Hugging Face `datasets` reads it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from vlsbench.releasing._types import Column, Kind

ROWS = 32
"""Rows of a group: readers hold a group's images at a time."""
SHARD_BYTES = 500_000_000
"""Of images in one file, as the Hub recommends."""
_DTYPES = {
    Kind.TEXT: "string", Kind.JSON: "string", Kind.BOOL: "bool", Kind.INT: "int64",
    Kind.FLOAT: "float64",
}  # fmt: skip
_REPEATED = ("category", "subcategory", "source", "image_licence")


def features(columns: Sequence[Column]) -> dict[str, Any]:
    """Return the columns as `datasets.Features.to_dict` writes them."""
    image = {"_type": "Image"}
    found: dict[str, Any] = {}
    for column in columns:
        if column.kind is Kind.IMAGE:
            found[column.name] = image
        elif column.kind is Kind.IMAGES:
            found[column.name] = [image]
        else:
            found[column.name] = {"dtype": _DTYPES[column.kind], "_type": "Value"}
    return found


def schema(columns: Sequence[Column]) -> Any:
    """Return the Arrow schema, with what makes `datasets` see images rather than structs."""
    import pyarrow as pa

    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    types = {
        Kind.IMAGE: image, Kind.IMAGES: pa.list_(pa.field("element", image)),
        Kind.TEXT: pa.string(), Kind.JSON: pa.string(), Kind.BOOL: pa.bool_(),
        Kind.INT: pa.int64(), Kind.FLOAT: pa.float64(),
    }  # fmt: skip
    about = {"info": {"features": features(columns)}}
    return pa.schema(
        [(column.name, types[column.kind]) for column in columns],
        metadata={"huggingface": json.dumps(about)},
    )


def shards(sizes: Sequence[int], most: int) -> list[range]:
    """Cut rows into runs whose images have about `most` bytes, at the ends of row groups.

    Args:
        sizes: Bytes of each row's images.
        most: Bytes of one run.
    """
    found: list[range] = []
    start = held = 0
    for group in range(0, len(sizes), ROWS):
        size = sum(sizes[group : group + ROWS])
        if held and held + size > most:
            found.append(range(start, group))
            start, held = group, 0
        held += size
    return [*found, range(start, len(sizes))]


def write(
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
        for column in columns:
            if column.kind is Kind.IMAGE:
                row[column.name] = {"bytes": image(row[column.name]), "path": row[column.name]}
            elif column.kind is Kind.IMAGES:
                row[column.name] = [{"bytes": image(n), "path": n} for n in row[column.name]]
        return row

    kind = schema(columns)
    plain = [c.name for c in columns if c.kind not in (Kind.IMAGE, Kind.IMAGES)]
    with pq.ParquetWriter(
        path, kind, compression="zstd", use_dictionary=list(_REPEATED), write_statistics=plain
    ) as writer:
        for group in _groups(rows):
            table = pa.Table.from_pylist([embedded(row) for row in group], schema=kind)
            writer.write_table(table, row_group_size=ROWS)


def _groups(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    for row in rows:
        group.append(row)
        if len(group) == ROWS:
            yield group
            group = []
    if group:
        yield group
