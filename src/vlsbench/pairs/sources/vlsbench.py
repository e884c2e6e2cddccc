"""VLSBench: image-text pairs whose query does not give the image's risk away."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.pairs._image import FileImage, Image
from vlsbench.pairs._pair import Pair
from vlsbench.pairs._rows import (
    Embedded,
    Row,
    RowError,
    file_image,
    find,
    inside,
    pairs_from,
    read_json,
    read_parquet,
)
from vlsbench.pairs._source import Home, Rows
from vlsbench.registry import source


@source(
    "vlsbench",
    title="VLSBench",
    paper="2411.19939",
    licence="Apache-2.0",
    home=Home(
        hub="Foreshhh/vlsbench",
        revision="b56f6f6aad102fdb53f46e35fec96836bbe13001",
        sha256={"data.json": "a42245e79ab67fc9a08e4e35d3a4eba5ae85151d5ca5cd45821c53b22b175fdf"},
        files=("data.json", "imgs.tar"),
    ),
    size="2,241 pairs, 1,957 images (2.45 GB)",
    rows={"": 2241},
    layout="data.json with imgs/ or imgs.tar beside it; or the Parquet files (in . or data/)",
)
def vlsbench(root: Path, variant: str) -> Rows:
    """Yield the released pairs; an empty instruction is kept, as the published 2,241 have one."""
    shards = sorted(root.glob("*.parquet")) or sorted(root.glob("data/*.parquet"))
    if shards and not (root / "data.json").exists():
        place = count()
        for shard in shards:
            rows = read_parquet(shard)
            yield from pairs_from(shard.name, rows, lambda _, row: _embedded(row, next(place)))
        return
    image = _images(root)
    yield from pairs_from(
        "data.json",
        read_json(find(root, "data.json")),
        lambda _, row: _pair(row, row.id("instruction_id"), image(row.text("image_path"))),
    )


def _pair(row: Row, id: str, image: Image) -> Pair:
    if "instruction" not in row.fields:
        raise RowError("no 'instruction'")
    return Pair(
        id=id,
        query=row.maybe("instruction"),
        images=(image,),
        category=row.text("category"),
        subcategory=row.maybe("sub_category"),
        description=row.maybe("image_description"),
        reason=row.maybe("safety_reason"),
        source=row.maybe("source"),
    )


def _embedded(row: Row, place: int) -> Pair:
    """Make a pair of the Parquet form, which may lack the ids and the image paths."""
    cell = row.fields.get("image")
    if not isinstance(cell, Embedded):
        raise RowError("no image")
    id = row.id("instruction_id") if "instruction_id" in row.fields else str(place)
    # Images are shared by name, so the name, where there is one, is what clusters them.
    ref = row.maybe("image_path") or cell.names[0]
    image = replace(cell.images[0], ref=ref) if ref else cell.images[0]
    return _pair(row, id, image)


def _images(root: Path) -> Callable[[str], Image]:
    """Say where images are: in the folder, or as slices of the tar, which is never unpacked."""
    tar = root / "imgs.tar"
    if (root / "imgs").is_dir() or not tar.exists():
        return lambda name: file_image(root, name)
    members = _members(tar)

    def image(name: str) -> Image:
        ref = inside(name)
        if ref not in members:
            return FileImage(ref, tar / ref)
        return FileImage(ref, tar, *members[ref])

    return image


def _members(tar: Path) -> dict[str, tuple[int, int]]:
    """Return name → (offset, size) of the files in an uncompressed tar."""
    end = tar.stat().st_size
    members = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                if member.isreg():
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError("unexpected end of data")
                    name = member.name.removeprefix("./")
                    members[name] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise VlsbenchError(f"{tar}: cut off or no tar ({error}); fetch it again") from None
    return members
