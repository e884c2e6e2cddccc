"""VLSBench: image-text pairs whose query does not give the image's risk away."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from itertools import count
from pathlib import Path

from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Fields, FileImage, Image, RowError, Rows, file_image, inside
from vlsbench.pairs.sources._declared import read_declared


def read(root: Path, variant: str) -> Rows:
    """Yield the released pairs; an empty instruction is kept, as the published 2,241 have one."""
    # A clone of the authors' repository has its table, and perhaps its images, in `data/`.
    in_data = (root / "data/data.json").exists() and not (root / "data.json").exists()
    in_folder = _images(root / "data" if in_data and _has_images(root / "data") else root)
    places = count()

    def id(row: Fields) -> str:
        # The Parquet form may lack the ids and the image paths.
        place = str(next(places))
        given = "image" not in row.fields or "instruction_id" in row.fields
        return row.id("instruction_id") if given else place

    def query(row: Fields) -> str:
        if "instruction" not in row.fields:
            raise RowError("no 'instruction'")
        return row.maybe("instruction")

    def images(row: Fields) -> tuple[Image, ...]:
        # Images are shared by name, so the name, where there is one, is what clusters them.
        if "image" in row.fields:
            return (row.image("image", row.maybe("image_path")),)
        return (in_folder(row.text("image_path")),)

    return read_declared("vlsbench", root, variant, id=id, query=query, images=images)


def _has_images(folder: Path) -> bool:
    return (folder / "imgs").is_dir() or (folder / "imgs.tar").exists()


def _images(root: Path) -> Callable[[str], Image]:
    """Say where images are: in the folder, or as slices of the tar, which is never unpacked."""
    tar = root / "imgs.tar"
    if (root / "imgs").is_dir() or not tar.exists():
        return lambda name: file_image(root, name)
    end = tar.stat().st_size
    slices = {}
    try:
        with tarfile.open(tar, "r:") as archive:
            for member in archive:
                if member.isreg():
                    slices[member.name.removeprefix("./")] = member.offset_data, member.size
                    if member.offset_data + member.size > end:
                        raise tarfile.ReadError("unexpected end of data")
    except tarfile.TarError as error:
        raise VlsbenchError(f"{tar}: cut off or no tar ({error}); fetch it again") from None

    def image(name: str) -> Image:
        ref = inside(name)
        return FileImage(ref, tar, *slices[ref]) if ref in slices else FileImage(ref, tar / ref)

    return image
