"""Content-addressed files of a run: what was sent or made and lies nowhere else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from vlsbench.files import file_sha256

FOLDER = "blobs"


def _place(folder: Path, sha256: str) -> Path:
    return folder / FOLDER / sha256[:2] / sha256


def put_blob(folder: Path, data: bytes, sha256: str) -> Path:
    """Store bytes under their digest, durably and whole or not at all."""
    place = _place(folder, sha256)
    if place.exists():
        return place
    place.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=".part-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, place)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return place


def get_blob(folder: Path, sha256: str) -> bytes | None:
    """Return stored bytes, None where there are none."""
    place = _place(folder, sha256)
    return place.read_bytes() if place.is_file() else None


def has_blob(folder: Path, sha256: str) -> bool:
    """Tell whether bytes are stored under a digest."""
    return _place(folder, sha256).is_file()


def count_blobs(folder: Path) -> int:
    """Count what is stored."""
    return sum(1 for place in (folder / FOLDER).glob("??/*") if not place.name.startswith("."))


def bad_blobs(folder: Path) -> Iterator[str]:
    """Name the blobs whose content does not have the digest they are stored under."""
    for place in sorted((folder / FOLDER).glob("??/*")):
        if not place.name.startswith(".part-") and file_sha256(place) != place.name:
            yield place.name
