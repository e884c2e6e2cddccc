"""Releasing a set: Parquet and imagefolder, with a card, Croissant, checksums and provenance."""

from vlsbench.releasing._about import Release
from vlsbench.releasing._pairs import Watch
from vlsbench.releasing._records import assign_splits
from vlsbench.releasing._settings import Content, ReleaseConfig
from vlsbench.releasing._verify import Verified, verify
from vlsbench.releasing._write import release, write_release

__all__ = [
    "Content",
    "Release",
    "ReleaseConfig",
    "Verified",
    "Watch",
    "assign_splits",
    "release",
    "verify",
    "write_release",
]
