"""Path B's images: a folder, a set that `vlsbench.load` opens, or a data set of the Hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vlsbench.building._recipe import Perceive
from vlsbench.building._writing import Found
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.pairs import FileImage, Image, MadeImage, load
from vlsbench.text import first_line

HUB = "hub:"
_HUB = re.compile(r"hub:(\w[\w.-]*/\w[\w.-]*)(?:@(\w[\w./-]*))?(?::(\w[\w.\[\]%:-]*))?", re.ASCII)
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def find_images(settings: Perceive) -> Iterator[tuple[str, Found]]:
    """Walk name and image, in the order of the source.

    Raises:
        VlsbenchError: There is no such folder or set, or no image in it.
    """
    found = False
    for name, image in _images(settings):
        found = True
        yield name, Found(image, settings.licence, settings.source)
    if not found:
        raise VlsbenchError(f"perceive.images: no image in {settings.images}")


def _images(settings: Perceive) -> Iterator[tuple[str, Image]]:
    if settings.images.startswith(HUB):
        yield from _of_the_hub(settings)
        return
    folder = Path(settings.images).expanduser()
    if folder.is_dir() and not list(folder.glob("metadata.*")):
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                name = path.relative_to(folder).as_posix()
                yield name, FileImage(name, path)
        return
    seen: set[str] = set()
    for pair in load(settings.images):
        for image in pair.images:
            if image.ref not in seen:
                seen.add(image.ref)
                yield image.ref, image


def _of_the_hub(settings: Perceive) -> Iterator[tuple[str, MadeImage]]:
    if not find_spec("datasets"):
        raise MissingExtra(f"perceive.images = {settings.images!r}", "build")
    found = _HUB.fullmatch(settings.images)
    if not found:
        raise VlsbenchError(
            f"perceive.images: {settings.images!r} is not hub:OWNER/NAME[@REVISION][:SPLIT]"
        )
    import datasets
    from huggingface_hub import snapshot_download

    name, revision, split = found[1], found[2] or None, found[3] or "train"
    # False, not None: a token stored on the machine must not be sent without being asked for.
    token = os.environ.get("HF_TOKEN") or False
    try:
        # Whole and kept, under its commit: a build walks its images several times.
        folder = snapshot_download(name, repo_type="dataset", revision=revision, token=token)
        rows: Any = datasets.load_dataset(folder, split=split)
        if settings.column not in rows.column_names:
            raise ValueError(f"no column {settings.column!r} among {', '.join(rows.column_names)}")
        rows = rows.cast_column(settings.column, datasets.Image(decode=False))
    except Exception as error:  # the libraries fail in their own and their file systems' ways
        raise VlsbenchError(
            f"perceive.images: {settings.images} cannot be opened: {first_line(error)}"
        ) from None
    for place in range(len(rows)):
        ref = f"{name}/{split}/{place:06d}"
        yield ref, MadeImage(ref, partial(_bytes_of, rows, settings.column, place))


def _bytes_of(rows: Any, column: str, place: int) -> bytes:
    """Return an image of a data set: from its row, or from a file that was downloaded with it."""
    from huggingface_hub import constants

    cell = rows[place][column] or {}
    if cell.get("bytes"):
        return bytes(cell["bytes"])
    # A row can name any file of this machine; only what came with the data set is read.
    path = Path(cell.get("path") or "").resolve()
    ours = path.is_relative_to(Path(constants.HF_HUB_CACHE).resolve())
    return path.read_bytes() if ours and path.is_file() else b""
