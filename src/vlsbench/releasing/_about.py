"""What a release says of itself: the files beside its data, and the shape of `release.json`.

`release.json` is `dataclasses.asdict` of `Release`; docs/release.md describes it for readers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from vlsbench.releasing._settings import Content

SCHEMA = "vlsbench.release/1"
RELEASE_JSON = "release.json"
CARD = "README.md"
CHECKSUMS = "checksums.sha256"
CROISSANT = "croissant.json"
PROVENANCE = "provenance.jsonl"
DATA = "data"
"""Folder of the Parquet shards."""
ABOUT = {
    "id": "unique, stable across releases",
    "query": "the text that is asked with the image",
    "category": "of the risk",
    "subcategory": "of the risk",
    "harmful": "false for a benign control",
    "description": "what the image shows, in words",
    "reason": "why the pair is harmful",
    "source": "where the image is from",
    "image_licence": "licence of the image",
}
"""Text and truth columns of every release, in order, and what they hold."""
LABELS = {
    "language": "ISO 639 code of the query's language",
    "twin": "id of the pair with the same text or image and the other truth",
    "graded_by": "whose the grades are: authors or people",
    "text_grade": "harm of the query alone: safe, borderline, unsafe, unknown",
    "image_grade": "harm of the images alone",
    "pair_grade": "harm of query and images together",
}
"""Columns of a release some of whose pairs have them; keys of `Pair.labels`."""


class Kind(StrEnum):
    IMAGE = "image"
    IMAGES = "images"
    TEXT = "text"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    JSON = "json"
    """Text that is JSON: values of several kinds, lists, objects."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: Kind
    about: str
    origin: str = ""
    """Name in the set it was made from, where that could not be a column's name here."""


@dataclass(frozen=True, slots=True)
class Split:
    name: str
    pairs: int
    harmful: int
    images: int
    files: tuple[str, ...]
    """Parquet shards, in order."""


@dataclass(frozen=True, slots=True)
class SubcategoryCount:
    category: str
    subcategory: str
    harmful: int
    benign: int


@dataclass(frozen=True, slots=True)
class SourceCount:
    source: str
    licence: str
    pairs: int


@dataclass(frozen=True, slots=True)
class Statistics:
    subcategories: tuple[SubcategoryCount, ...]
    sources: tuple[SourceCount, ...]
    shared: int
    """Images that several pairs use."""
    twins: int
    """Benign pairs with the query of a harmful one."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured share or coefficient with its interval."""

    name: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    unit: str = "share"
    """`share`, shown in percent, or `alpha` (Krippendorff's)."""


@dataclass(frozen=True, slots=True)
class Leakage:
    figures: tuple[Figure, ...]
    pairs: int
    """Audited; where it is not the number of released pairs, the audit was of another state."""
    simulated: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Agreement:
    figures: tuple[Figure, ...]
    reviewers: int
    """People with at least one complete verdict."""


@dataclass(frozen=True, slots=True)
class Made:
    records: int
    """Lines that were given."""
    written: int
    """Lines in the release: of its records, what they descend from, and what was dropped."""
    dropped: Mapping[str, int]
    """Reason → records, the most frequent first."""
    models: Mapping[str, int]
    """Model → calls."""


@dataclass(frozen=True, slots=True)
class Release:
    schema: str
    vlsbench: str
    name: str
    version: str
    title: str
    date: str
    licence: str
    dataset: str
    pairs: int
    harmful: int
    images: int
    """Distinct ones, by content."""
    gated: bool
    """Access asks for consent; always so where a pair is harmful."""
    simulated: bool
    """Pairs of the lab, or made with its models: nothing here is about the real world."""
    content: Content
    splits: tuple[Split, ...]
    columns: tuple[Column, ...]
    statistics: Statistics
    left_out: Mapping[str, int]
    """Reason → pairs of the set that are not released."""
    synthetic: bool | None = None
    """Whether a model or a simulation made any of it; None where nobody says."""
    leakage: Leakage | None = None
    agreement: Agreement | None = None
    made: Made | None = None
