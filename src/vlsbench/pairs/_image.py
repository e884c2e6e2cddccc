"""Images by reference: bytes are read when they are about to be looked at or sent."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from vlsbench.pairs._decode import HEADER_BYTES, ImageData, ImageError, fault_of


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

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError` naming the file."""
        try:
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(-1 if self.size is None else self.size)
        except OSError as error:
            raise ImageError(f"image {self.ref}: {error.strerror} ({self.path})") from None
        return ImageData.of(data, self.ref, Path(self.path) if self.size is None else None)

    def fault(self) -> str | None:
        """Look at the first and last 16 bytes only."""
        try:
            with open(self.path, "rb") as file:
                size = os.fstat(file.fileno()).st_size if self.size is None else self.size
                file.seek(self.offset)
                header = file.read(min(HEADER_BYTES, size))
                file.seek(self.offset + max(0, size - HEADER_BYTES))
                tail = file.read(HEADER_BYTES)
        except FileNotFoundError:
            return f"image {self.ref} is missing ({self.path})"
        except OSError as error:
            return f"image {self.ref}: {error.strerror} ({self.path})"
        return fault_of(self.ref, header, tail)


@dataclass(frozen=True)
class MadeImage:
    """An image that is made on demand: drawn by the lab, or derived from another by a view."""

    ref: str
    make: Callable[[], bytes] = field(repr=False, compare=False)

    def read(self) -> ImageData:
        """Make the bytes."""
        return ImageData.of(self.make(), self.ref)

    def fault(self) -> str | None:
        """Nothing to check before it is made."""
        return None


class ParquetImages:
    """The image column of one Parquet file, one row group held at a time.

    Hugging Face writes images as a struct `{bytes, path}`; a plain binary column works too, and
    so does a list of structs (several images a row).
    """

    def __init__(self, path: Path, column: str = "image") -> None:
        self.path = path
        self.column = column
        self._lock = threading.Lock()
        self._group = -1
        self._values: list[list[bytes | None]] = []

    def _load(self, group: int) -> None:
        import pyarrow.parquet as pq

        column = pq.ParquetFile(self.path).read_row_group(group, columns=[self.column])[0]
        self._values = [
            [item.get("bytes") if isinstance(item, dict) else item for item in items]
            for items in (v if isinstance(v, list) else [v] for v in column.to_pylist())
        ]
        self._group = group

    def bytes_at(self, group: int, row: int, item: int = 0) -> bytes | None:
        """Return the bytes of one image of a cell, None where it is null. Safe across threads."""
        with self._lock:
            if group != self._group:
                self._load(group)
            return self._values[row][item]


@dataclass(frozen=True)
class ParquetImage:
    """An image embedded in a Parquet file."""

    ref: str
    images: ParquetImages = field(repr=False, compare=False)
    group: int
    row: int
    """Within its row group."""
    item: int = 0
    """Which image of the cell, where a cell holds a list."""

    def read(self) -> ImageData:
        """Return the bytes. Raises `ImageError` where the cell is null or no image."""
        data = self.images.bytes_at(self.group, self.row, self.item)
        if data is None:
            raise ImageError(f"image {self.ref} is missing ({self.images.path})")
        return ImageData.of(data, self.ref)

    def fault(self) -> str | None:
        """Read the cell and look at its ends."""
        data = self.images.bytes_at(self.group, self.row, self.item)
        if data is None:
            return f"image {self.ref} is missing ({self.images.path})"
        return fault_of(self.ref, data[:HEADER_BYTES], data[-HEADER_BYTES:])
