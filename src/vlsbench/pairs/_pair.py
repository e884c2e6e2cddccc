"""The unit of everything: a query and the images it is asked about.

Images are references: their bytes are read when they are about to be looked at or sent.
"""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from vlsbench.pairs._decode import ImageData, ImageError
from vlsbench.pairs._whole import fault_of


class RowError(Exception):
    """Why one row cannot be used."""


class Image(Protocol):
    """A lazy reference to one image of a benchmark."""

    @property
    def ref(self) -> str:
        """Name of the image, unique in its benchmark; pairs that share it are one cluster."""

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError`."""

    def fault(self) -> str | None:
        """Say what is wrong without reading it all, or None: missing, empty, cut off, no image."""


@dataclass(frozen=True, slots=True)
class FileImage:
    """An image in a file, or a slice of one (a member of an uncompressed tar)."""

    ref: str
    path: Path | str
    """Text where a source makes very many of these: a `Path` costs more than the rest of a row."""
    offset: int = 0
    size: int | None = None
    """Bytes of the slice; None takes the whole file."""

    @property
    def place(self) -> str:
        """The file as it is called on disk: a system may write accents otherwise than a table."""
        path = os.fspath(self.path)
        if path.isascii() or os.path.exists(path):
            return path
        folder, ref = path.removesuffix(self.ref), self.ref
        forms = (f"{folder}{unicodedata.normalize(form, ref)}" for form in ("NFC", "NFD"))
        return next(filter(os.path.exists, forms), path)

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError` naming the file."""
        path = self.place
        try:
            with open(path, "rb") as file:
                file.seek(self.offset)
                data = file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise ImageError(f"image {self.ref}: {error.strerror} ({self.path})") from None
        return ImageData.of(data, self.ref, Path(path) if self.size is None else None)

    def fault(self) -> str | None:
        """Look at the structure of the file, in a few reads."""
        try:
            with open(self.place, "rb") as file:
                size = os.fstat(file.fileno()).st_size if self.size is None else self.size

                def at(place: int, wanted: int) -> bytes:
                    file.seek(self.offset + place)
                    return file.read(max(0, min(wanted, size - place)))

                return fault_of(self.ref, size, at)
        except FileNotFoundError:
            return f"image {self.ref} is missing ({self.path})"
        except OSError as error:
            return f"image {self.ref}: {error.strerror} ({self.path})"


_PLAIN_PATH = re.compile(r"[\w-][\w .-]*(?:/[\w-][\w .-]*)*")
"""Nearly every image path; any other is looked at part by part."""


def inside(name: str) -> str:
    """Return a relative path in normal form. Raises `RowError` if it could leave its folder.

    Lexical, so that a set of 100,000 rows is opened without touching its images. Backslashes and
    drive letters are refused everywhere: a set must read the same on every system.
    """
    if _PLAIN_PATH.fullmatch(name):
        return name
    parts = name.replace("\\", "/").split("/")
    if "://" in name or name.startswith("data:"):
        raise RowError(f"image {name[:80]!r} is an address, not a file")
    if name.startswith(("/", "\\", "~")) or ".." in parts or name[1:2] == ":" or "\0" in name:
        raise RowError(f"image {name[:80]!r} is outside the folder of the set")
    normal = posixpath.normpath(name)
    if normal == ".":
        raise RowError(f"image {name[:80]!r} is no file")
    return normal


def file_image(folder: Path, name: str) -> FileImage:
    """Refer to the image `name` in `folder`; it need not exist yet. Raises `RowError`.

    An absolute path into the folder, as `datasets` writes it, is one too.
    """
    if name.startswith("/"):
        name = name.removeprefix(f"{folder.resolve().as_posix()}/")
    ref = inside(name)
    return FileImage(ref, f"{folder}/{ref}")


@dataclass(frozen=True)
class MadeImage:
    """An image that is made on demand: drawn by the lab, or derived from another by a view."""

    ref: str
    make: Callable[[], bytes | None] = field(repr=False, compare=False)
    """Makes or reads the bytes; None where there are none."""
    place: Path | None = None
    """The file that holds it, where that is to be read again."""

    def read(self) -> ImageData:
        """Make the bytes. Raises `ImageError` where there are none, or they are no image."""
        if (data := self.make()) is None:
            raise ImageError(f"image {self.ref} is missing" + f" ({self.place})" * bool(self.place))
        return ImageData.of(data, self.ref)

    def fault(self) -> str | None:
        """Nothing to check before it is made."""
        return None


@dataclass(frozen=True)
class StoredImage(MadeImage):
    """An image inside another file: in a cell of a table, as bytes or as text."""

    def fault(self) -> str | None:
        """Read it and look at its structure."""
        try:
            self.read()
        except ImageError as error:
            return str(error)
        return None


_NOTHING: Mapping[str, object] = MappingProxyType({})


class Grade(StrEnum):
    """How harmful something is held to be."""

    SAFE = "safe"
    BORDERLINE = "borderline"
    UNSAFE = "unsafe"
    UNKNOWN = "unknown"


class GradedBy(StrEnum):
    """Whose word a grade is."""

    AUTHORS = "authors"
    """The set's authors: what they made or chose the pair to be."""
    PEOPLE = "people"
    """People who looked at the pair and graded it."""


@dataclass(frozen=True, slots=True)
class Grades:
    """How harmful a pair and its parts are held to be; the benchmark's word, not a judge's."""

    by: GradedBy
    text: Grade = Grade.UNKNOWN
    """Of the query alone."""
    image: Grade = Grade.UNKNOWN
    """Of the images alone."""
    pair: Grade = Grade.UNKNOWN
    """Of query and images together."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One item of an image-text safety benchmark. Immutable; holds no image bytes.

    `harmful=False` marks a benign control, so over-refusal is measured with the same machinery.
    """

    id: str
    """Unique in its benchmark and stable across versions of the loader."""
    query: str
    images: tuple[Image, ...] = ()
    """In the order in which they are shown. Empty for text-only sets."""
    category: str = ""
    subcategory: str = ""
    harmful: bool = True
    description: str = ""
    """What the image shows, in words, where the benchmark says so."""
    reason: str = ""
    """Why the pair is harmful, where the benchmark says so (VLSBench: `safety_reason`)."""
    source: str = ""
    """Where the image came from, as the benchmark tells it."""
    meta: Mapping[str, object] = field(default_factory=lambda: _NOTHING)
    """Everything else of the row that a later step may want, as plain JSON values."""
    language: str = ""
    """ISO 639 code of the query's language, where the benchmark says so."""
    twin: str = ""
    """Id of the pair with the same text or the same image and the other truth, where there is one;
    it may be in another variant of the benchmark."""
    grades: Grades | None = None
    """Where the benchmark, or people, say how harmful text, image and pair are."""

    @property
    def cluster(self) -> str:
        """What must be resampled together: pairs with the same images are not independent."""
        return "|".join(image.ref for image in self.images) or self.id

    @property
    def labels(self) -> Mapping[str, str]:
        """What tables hold of language, twin and grades, by column; empty where nobody says."""
        given = self.grades
        return {
            "language": self.language,
            "twin": self.twin,
            "graded_by": str(given.by) if given else "",
            "text_grade": str(given.text) if given else "",
            "image_grade": str(given.image) if given else "",
            "pair_grade": str(given.pair) if given else "",
        }
