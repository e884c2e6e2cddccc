"""VLSBench: image-text pairs whose query does not give the image's risk away."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import (
    Fields,
    FileImage,
    Image,
    RowError,
    Rows,
    file_image,
    find,
    inside,
)
from vlsbench.pairs.sources._declared import by_authors, read_english, shipped


@shipped("vlsbench")
def vlsbench(root: Path, variant: str) -> Rows:
    """Yield the released pairs; an empty instruction is kept, as the published 2,241 have one."""
    shards = sorted(root.glob("*.parquet")) or sorted(root.glob("data/*.parquet"))
    table = next((f for f in (root / "data.json", root / "data/data.json") if f.exists()), None)
    embedded = bool(shards) and not table
    files = shards if embedded else [table or find(root, "data.json")]
    # A clone of the authors' repository has its table, and perhaps its images, in `data/`.
    images_in = table.parent if table and _has_images(table.parent) else root
    in_folder = _images(images_in)
    places = count()

    def id(row: Fields) -> str:
        # The Parquet form may lack the ids and the image paths.
        place = str(next(places))
        given = not embedded or "instruction_id" in row.fields
        return row.id("instruction_id") if given else place

    def query(row: Fields) -> str:
        if "instruction" not in row.fields:
            raise RowError("no 'instruction'")
        return row.maybe("instruction")

    def images(row: Fields) -> tuple[Image, ...]:
        # Images are shared by name, so the name, where there is one, is what clusters them.
        if embedded:
            return (row.image("image", row.maybe("image_path")),)
        return (in_folder(row.text("image_path")),)

    for file in files:
        yield from read_english(
            file,
            id=id,
            query=query,
            images=images,
            category="category",
            subcategory="sub_category",
            description="image_description",
            reason="safety_reason",
            source="source",
            grades=by_authors("S?U"),
        )


def _has_images(folder: Path) -> bool:
    return (folder / "imgs").is_dir() or (folder / "imgs.tar").exists()


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
