"""What a release is asked to say, and what it says of itself.

`release.json` is `dataclasses.asdict` of `Release`; docs/release.md describes it for readers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import DatasetSettings
from vlsbench.schemas import read_toml

SCHEMA = "vlsbench.release/1"
RELEASE_JSON = "release.json"
CARD = "README.md"
CHECKSUMS = "checksums.sha256"
CROISSANT = "croissant.json"
REQUIRED = (
    "rai:dataLimitations",
    "rai:dataBiases",
    "rai:personalSensitiveInformation",
    "rai:dataUseCases",
    "rai:dataSocialImpact",
    "rai:hasSyntheticData",
    "prov:wasDerivedFrom",
    "prov:wasGeneratedBy",
)
"""Croissant fields that NeurIPS's Evaluations & Datasets track has required since 2026."""
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
SPLITS = ("train", "validation", "test")
"""The names that Hugging Face's imagefolder tells from a folder's name."""
_FORMS = {
    "name": (
        r"(?!.*(--|\.\.))[A-Za-z0-9]([A-Za-z0-9._-]{0,94}[A-Za-z0-9])?",
        "letters, digits and single . _ - inside, 96 at most, as the Hugging Face Hub has it",
    ),
    "version": (r"(0|[1-9]\d*)(\.(0|[1-9]\d*)){2}", "MAJOR.MINOR.PATCH, such as 1.0.0"),
    "homepage": (r"(https?://[^\s<>\"']+)?", "a web address (https://…)"),
    "derived_from": (r"https?://[^\s<>\"']+", "a web address (https://…)"),
    "languages": (r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", "a code such as en or pt-BR"),
}
"""Setting → what it, or each of its values, must be."""


@settings(panel="Content (required if any pair is harmful)")
class Content:
    """What whoever releases a set must say of what it shows."""

    warning: str = option("What readers will encounter.", default="")
    people: str = option("Can real people be recognised, and did they consent?", default="")
    minors: str = option("Do any pairs concern minors, and how was that handled?", default="")
    personal_data: str = option("Does it contain names, addresses, faces or similar?", default="")


@settings(panel="Description")
class Description:
    """What a release is called and what it says of itself."""

    name: str = option("Name on the Hub, without the owner: letters, digits, `.`, `_`, `-`.")
    version: str = option("Version: MAJOR.MINOR.PATCH.")
    licence: str = option(
        "Licence of the whole dataset, such as `cc-by-4.0`.", flags=("--licence", "--license")
    )
    title: str = option("Heading of the dataset card.", default="")
    summary: str = option("What the dataset is for, in a sentence or two.", default="")
    authors: tuple[str, ...] = option(
        "An author; may be repeated.", default=(), flags=("--author",), whole=True
    )
    homepage: str = option("Web address of the project.", default="")
    citation: str = option(
        "BibTeX entry; composed from title, authors and version if empty.", default=""
    )
    languages: tuple[str, ...] = option(
        "Language code of the queries; may be repeated.", default=("en",), flags=("--language",)
    )
    intended_use: str = option("What the dataset should be used for.", default="")
    limits: tuple[str, ...] = option(
        "A limitation of the dataset; may be repeated.", default=(), flags=("--limits",), whole=True
    )
    date: str = option("Release date (ISO 8601); today if empty.", default="")
    split: str | Mapping[str, float] = option(
        "Shares of train, validation and test; no image is in two splits.",
        default="test=1.0",
        metavar="NAME=SHARE,…",
    )
    licences: Mapping[str, str] = option(
        "Licence of the images from a source; may be repeated.",
        default_factory=dict,
        flags=("--source-licence",),
        metavar="SOURCE=LICENCE",
    )
    synthetic: bool | None = option(
        "Whether any text or image was made by a model or by simulation.",
        default=None,
        flags=("--synthetic/--no-synthetic",),
        unset="from --provenance",
    )
    derived_from: tuple[str, ...] = option(
        "Web address of a dataset or site that pairs come from; may be repeated.",
        default=(),
        whole=True,
    )
    content: Content = field(default_factory=Content)


@settings(panel="Evidence and output")
class ReleaseConfig(Description, DatasetSettings):
    """The settings of `vlsbench release`, and the keys of a `release.toml`."""

    out: Path = option("Folder to write; must be empty or new.", flags=("--out", "-o"))
    review: Path | None = option(
        "keep.csv of a review: only these pairs are released.", default=None
    )
    leave_out: Path | None = option(
        "drop.csv of a review or an audit: these pairs are left out.", default=None
    )
    card: Path | None = option(
        "card.json of `vlsbench audit`: leakage figures for the card.", default=None
    )
    agreement: Path | None = option(
        "Output of `vlsbench review status --json`: agreement for the card.", default=None
    )
    provenance: Path | None = option(
        "provenance.jsonl of a build: how each record was made.", default=None
    )

    @staticmethod
    def read_file(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
        """Read a `release.toml`. Raises `SchemaError`."""
        values = read_toml(path)
        if "date" in values:
            values["date"] = str(values["date"])  # TOML's own dates, and quoted ones
        return values


def checked(config: ReleaseConfig) -> ReleaseConfig:
    """Return the configuration with a date and without stray blanks. Raises `VlsbenchError`."""
    said = {name: text.strip() for name, text in asdict(config.content).items()}
    found = replace(
        config,
        date=config.date or datetime.now(UTC).date().isoformat(),
        split=_shares(config.split),
        licences={source: licence.strip() for source, licence in config.licences.items()},
        content=Content(**said),
    )
    if not found.licence:
        raise VlsbenchError("a release needs a licence: give --licence, or licence in --config")
    for setting, (pattern, wanted) in _FORMS.items():
        given = getattr(found, setting)
        for value in (given,) if isinstance(given, str) else given:
            if not re.fullmatch(pattern, value):
                raise VlsbenchError(f"{setting} {value!r} must be {wanted}")
    try:
        date.fromisoformat(found.date)
    except ValueError:
        raise VlsbenchError(f"date {found.date!r} must be a date such as 2026-01-31") from None
    missing = [name for name, answer in said.items() if not answer]
    if 0 < len(missing) < len(said):
        raise VlsbenchError(missing_content(missing))
    return found


def _shares(given: str | Mapping[str, float]) -> dict[str, float]:
    """Return split → share, from a table or from `train=0.1,test=0.9`."""
    if isinstance(given, str):
        parts: Mapping[str, Any] = dict(part.partition("=")[::2] for part in given.split(","))
    else:
        parts = given
    try:
        shares = {name: float(parts[name]) for name in SPLITS if name in parts}
    except (TypeError, ValueError):
        shares = {}
    whole = math.isclose(sum(shares.values()), 1.0, abs_tol=1e-6)
    if not whole or min(shares.values()) <= 0 or shares.keys() != parts.keys():
        raise VlsbenchError(
            f"split {given!r}: give shares of {', '.join(SPLITS)} that are above 0 and add up to "
            "1, such as train=0.1,test=0.9"
        )
    return shares


def missing_content(missing: list[str]) -> str:
    """Return the one line that says which answers about the content are missing."""
    options = " ".join(f"--{name.replace('_', '-')} TEXT" for name in missing)
    return (
        f"the set holds harmful pairs, and nothing is said of its {', '.join(missing)}: give "
        f"{options}, or [content] in --config (docs/release.md says what each asks)"
    )


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
