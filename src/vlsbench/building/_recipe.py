"""A recipe: everything that decides what is built. docs/build.md describes every key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vlsbench.models import Price

SAFETY = ("filtered", "unfiltered")
ROLES = ("writer", "rewriter", "eyes", "judge", "checker", "painter")


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise ValueError(f"{name}: must be at least {least:g}, not {value:g}")


def _share(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise ValueError(f"{name}: must be between 0 and 1, not {value:g}")


@dataclass(frozen=True, slots=True)
class Models:
    """Model specs by what they do."""

    judge: str
    """Leak filter: is the text harmful alone, does it keep its meaning?"""
    writer: str = ""
    """Path A: elements, descriptions, queries; and the descriptions of twins."""
    rewriter: str = ""
    """Detoxifies queries."""
    eyes: str = ""
    """Looks at pictures: path B, and what was drawn."""
    checker: str = ""
    """Final filter; better not the same model as `judge`. Empty takes `judge`."""
    painter: str = ""
    """Text to image."""


@dataclass(frozen=True, slots=True)
class Elements:
    """Path A: what is begun in each sub-category."""

    per_subcategory: int = 20
    """Risky objects and scenes."""
    drafts: int = 1
    """Pairs drafted for each."""

    def __post_init__(self) -> None:
        _at_least("per_subcategory", self.per_subcategory, 1)
        _at_least("drafts", self.drafts, 1)


@dataclass(frozen=True, slots=True)
class Perceive:
    """Path B: images that exist."""

    images: str
    """A folder of image files, or any set that `vlsbench.load` opens, or
    `hub:OWNER/NAME[@REVISION][:SPLIT]`."""
    licence: str
    """Of the images; goes into every record."""
    source: str
    """Where they come from; goes into every record."""
    column: str = "image"
    """Of a Hub data set."""
    most: int | None = None
    """Images taken, in the order of the source."""

    def __post_init__(self) -> None:
        for name in ("images", "licence", "source"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: must be stated")


@dataclass(frozen=True, slots=True)
class Detoxify:
    """Rewriting a query until it no longer tells what the picture shows."""

    candidates: int = 3
    """Rewrites asked for; 0 leaves the stage out, and drafts go on as they are."""

    def __post_init__(self) -> None:
        _at_least("candidates", self.candidates, 0)


@dataclass(frozen=True, slots=True)
class LeakFilter:
    """Which candidates are dropped."""

    overlap: float | None = 0.5
    """Largest probability that the query names what the picture shows (measure A of the audit,
    which needs the extra `build`); false leaves it out."""
    text: bool = True
    """Drop what a judge calls harmful from the text alone."""
    meaning: bool = True
    """Drop what no longer asks for what the draft asked."""
    votes: int = 1
    """Judgements for each question; the majority decides."""

    def __post_init__(self) -> None:
        _share("overlap", self.overlap)
        _odd("votes", self.votes)


def _odd(name: str, value: int) -> None:
    if value < 1 or value % 2 == 0:
        raise ValueError(f"{name}: must be an odd number, so that there is a majority")


@dataclass(frozen=True, slots=True)
class Draw:
    """Drawing pictures: draw, look, improve."""

    safety: str
    """`filtered`: the backend filters what it draws. `unfiltered`: nobody does; `because` says
    who looks at the pictures before anybody else does."""
    because: str = ""
    licence: str = ""
    """Of the pictures that it draws; goes into every record."""
    size: str = "1024x1024"
    rounds: int = 3
    """Pictures drawn at most; the best is kept."""
    good: int = 8
    """Of 10: a picture that scores this ends the loop."""
    least: int = 5
    """Of 10: a best picture below it drops the pair."""

    def __post_init__(self) -> None:
        if self.safety not in SAFETY:
            raise ValueError(f"safety: must be one of {', '.join(SAFETY)}, not {self.safety!r}")
        if self.safety == "unfiltered" and not self.because.strip():
            raise ValueError(
                "because: an unfiltered image backend needs a word on who looks at its pictures"
            )
        _at_least("rounds", self.rounds, 1)
        width, _, height = self.size.partition("x")
        if not (width.isdecimal() and height.isdecimal()):
            raise ValueError(f"size: must be WIDTHxHEIGHT in pixels, not {self.size!r}")


@dataclass(frozen=True, slots=True)
class FinalFilter:
    """The last look before people."""

    matched: bool = True
    """Drop pairs whose picture is not what the description says."""
    harmful: bool = True
    """Drop pairs that are not harmful as a pair."""
    text: bool = True
    """Drop pairs whose text is harmful alone, asked of the checker."""
    image: bool = True
    """Note whether the picture alone is harmful (the safety pattern); drops nothing."""
    votes: int = 1

    def __post_init__(self) -> None:
        _odd("votes", self.votes)


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Pairs that are too much alike: query and picture both."""

    similarity: float | None = 0.95
    """Least cosine of two queries' embeddings (extra `build`); false compares normalised texts."""
    bits: int = 6
    """Largest difference of two pictures' 64-bit perceptual hashes."""

    def __post_init__(self) -> None:
        _share("similarity", self.similarity)
        _at_least("bits", self.bits, 0)


@dataclass(frozen=True, slots=True)
class Contamination:
    """Other benchmarks that the result must share nothing with."""

    against: tuple[str, ...] = ()
    """Sets that `vlsbench.load` opens."""
    similarity: float | None = 0.95
    """Least cosine of two queries' embeddings; false compares normalised texts."""
    bits: int = 4
    """Largest difference of two pictures' perceptual hashes; -1 compares no pictures."""

    def __post_init__(self) -> None:
        _share("similarity", self.similarity)


@dataclass(frozen=True, slots=True)
class Quota:
    """How many pairs are kept at most, in the order of their ids."""

    per_subcategory: int | None = None
    per_category: int | None = None


@dataclass(frozen=True, slots=True)
class Twins:
    """Benign controls: the query of a kept pair with a harmless picture."""

    per_pair: int = 1

    def __post_init__(self) -> None:
        _at_least("per_pair", self.per_pair, 0)


@dataclass(frozen=True, slots=True)
class RecipePrice:
    """US dollars: per million tokens, or for each picture."""

    input: float = 0.0
    output: float = 0.0
    image: float = 0.0

    def price(self) -> Price:
        """Return the price that a budget counts with; a picture counts as one output token."""
        return Price(self.input, self.image * 1e6 if self.image else self.output)


@dataclass(frozen=True, slots=True)
class Subcategory:
    """One cell of the taxonomy."""

    category: str
    name: str
    about: str
    """What it covers, in a few words."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides what is built."""

    name: str
    models: Models
    taxonomy: tuple[Subcategory, ...]
    elements: Elements | None = None
    perceive: Perceive | None = None
    detoxify: Detoxify = field(default_factory=Detoxify)
    leak_filter: LeakFilter = field(default_factory=LeakFilter)
    draw: Draw | None = None
    final_filter: FinalFilter = field(default_factory=FinalFilter)
    near_duplicates: NearDuplicates | None = field(default_factory=NearDuplicates)
    contamination: Contamination = field(default_factory=Contamination)
    quota: Quota = field(default_factory=Quota)
    twins: Twins = field(default_factory=lambda: Twins(0))
    stages: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Stages of plug-ins and their options; they stand before the final filter, in this order."""
    prices: Mapping[str, RecipePrice] = field(default_factory=dict)
    file: str = ""
    text: str = field(default="", repr=False)
    """The file as it was read, for the copy beside the result."""

    def uses(self, role: str) -> bool:
        """Tell whether this recipe asks a model of that role anything."""
        return {
            "writer": self.elements is not None or self.twins.per_pair > 0,
            "rewriter": self.detoxify.candidates > 0,
            "eyes": self.perceive is not None or self.draw is not None,
            "judge": True,
            "checker": True,
            "painter": self.draw is not None,
        }[role]

    def spec(self, role: str) -> str:
        """Return the model of a role; empty where the recipe needs none."""
        if not self.uses(role):
            return ""
        return str(getattr(self.models, role)) or (self.models.judge if role == "checker" else "")

    def specs(self) -> dict[str, str]:
        """Return role → model spec of the roles that this recipe uses."""
        return {role: spec for role in ROLES if (spec := self.spec(role))}

    @property
    def needs_embeddings(self) -> bool:
        """Whether some step compares texts by meaning."""
        near = self.near_duplicates is not None and self.near_duplicates.similarity is not None
        against = bool(self.contamination.against) and self.contamination.similarity is not None
        return near or against or self.leak_filter.overlap is not None

    @property
    def needs_index(self) -> bool:
        """Whether some barrier looks for neighbours."""
        return self.near_duplicates is not None or bool(self.contamination.against)

    @property
    def digest(self) -> str:
        """Changes with anything that could change the result."""
        content = asdict(self)
        for name in ("file", "text", "prices"):
            del content[name]
        if not self.stages:
            del content["stages"]  # recipes of earlier versions keep their digests
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
