"""Path B's images: a folder, a set that `vlsbench.load` opens, or a data set of the Hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from vlsbench.building._perceive import Found
from vlsbench.building._recipe import Perceive
from vlsbench.errors import MissingExtra, VlsbenchError
from vlsbench.pairs import FileImage, Image, MadeImage, PairSet

HUB = "hub:"
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


def find_images(
    settings: Perceive, open_set: Callable[[str], PairSet]
) -> Iterator[tuple[str, Found]]:
    """Walk name and image, in the order of the source.

    Args:
        settings: Says where they are.
        open_set: Opens a benchmark by its name or path.

    Raises:
        MissingExtra: A data set of the Hub needs `datasets`.
        VlsbenchError: There is no such folder or set, or no image in it.
    """
    found = False
    for name, image in _images(settings, open_set):
        found = True
        yield name, Found(image, settings.licence, settings.source)
    if not found:
        raise VlsbenchError(f"perceive.images: no image in {settings.images}")


def _images(settings: Perceive, open_set: Callable[[str], PairSet]) -> Iterator[tuple[str, Image]]:
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
    for pair in open_set(settings.images):
        for image in pair.images:
            if image.ref not in seen:
                seen.add(image.ref)
                yield image.ref, image


def _of_the_hub(settings: Perceive) -> Iterator[tuple[str, MadeImage]]:
    if not find_spec("datasets"):
        raise MissingExtra(f"perceive.images = {settings.images!r}", "build")
    import datasets

    name, _, split = settings.images.removeprefix(HUB).partition(":")
    try:
        rows = datasets.load_dataset(name, split=split or "train", streaming=True)
        rows = rows.cast_column(settings.column, datasets.Image(decode=False))
    except Exception as error:  # the library fails in its own and its file systems' ways
        raise VlsbenchError(
            f"perceive.images: {settings.images} cannot be opened: {error}"
        ) from None
    for place, row in enumerate(rows):
        data = row[settings.column]["bytes"]
        ref = f"{name}/{split or 'train'}/{place:06d}"
        yield ref, MadeImage(ref, partial(bytes, data or b""))
