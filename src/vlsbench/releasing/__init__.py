"""Releasing a set: Parquet and imagefolder, with a card, Croissant, checksums and provenance."""

from vlsbench.releasing._config import parse_pairs, read_config, settings_of, split_of
from vlsbench.releasing._gather import Watch
from vlsbench.releasing._release import release
from vlsbench.releasing._types import (
    CARD,
    CHANGELOG,
    CHECKSUMS,
    CROISSANT,
    DATA,
    FOLDER,
    PROVENANCE,
    RELEASE_JSON,
    Agreement,
    Changes,
    Column,
    Content,
    Figure,
    Kind,
    Leakage,
    Made,
    Release,
    Settings,
    Split,
    Statistics,
)
from vlsbench.releasing._verify import Verified, verify
from vlsbench.releasing._write import Beside, write_release

__all__ = [
    "CARD",
    "CHANGELOG",
    "CHECKSUMS",
    "CROISSANT",
    "DATA",
    "FOLDER",
    "PROVENANCE",
    "RELEASE_JSON",
    "Agreement",
    "Beside",
    "Changes",
    "Column",
    "Content",
    "Figure",
    "Kind",
    "Leakage",
    "Made",
    "Release",
    "Settings",
    "Split",
    "Statistics",
    "Verified",
    "Watch",
    "parse_pairs",
    "read_config",
    "release",
    "settings_of",
    "split_of",
    "verify",
    "write_release",
]
