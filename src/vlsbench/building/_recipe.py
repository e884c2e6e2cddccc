"""A recipe: everything that decides what is built, and how it is read; docs/build.md has the keys.

Unknown keys, missing models and categories that must not be generated each give one error that
names file and key.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta

from vlsbench.building._content import forbidden_category
from vlsbench.building._items import slug
from vlsbench.errors import VlsbenchError
from vlsbench.files import unreadable
from vlsbench.models import Price, price_of
from vlsbench.schemas import SchemaError, convert, parse_toml, parse_value

SHIPPED = ("lab", "vlsbench", "custom")
"""Recipes that come with the package, by name."""
_LEFT_OUT_BY_FALSE = (
    *("elements", "perceive", "draw", "near_duplicates", "perceive.most", "leak_filter.overlap"),
    *("near_duplicates.similarity", "contamination.similarity"),
    *("quota.per_subcategory", "quota.per_category"),
)
Count = Annotated[int, Meta(ge=1)]
Number = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
ROLES = ("writer", "rewriter", "eyes", "judge", "checker", "guard", "painter")


@dataclass(frozen=True, slots=True)
class Models:
    """Model specs by what they do."""

    judge: str
    """Leak filter: is the text harmful alone, does it keep its meaning?"""
    writer: str = ""
    """Path A: elements, descriptions, queries; and the descriptions of twins."""
    rewriter: str = ""
    eyes: str = ""
    """Looks at images: path B, and what was drawn."""
    checker: str = ""
    """Final filter; better not the same model as `judge`. Empty takes `judge`."""
    guard: str = ""
    """Says what is harmful in both filters, in the form of its family. Empty takes `judge` and
    `checker`, by prompt."""
    painter: str = ""


@dataclass(frozen=True, slots=True)
class Elements:
    """Path A: the risky things listed for each sub-category, and the pairs drafted for each."""

    per_subcategory: Count = 20
    drafts: Count = 1


@dataclass(frozen=True, slots=True)
class Perceive:
    """Path B: images that exist; licence and source go into every record."""

    images: str
    licence: str
    source: str
    column: str = "image"
    most: Count | None = None


@dataclass(frozen=True, slots=True)
class Detoxify:
    """Rewriting a query until it no longer tells what the image shows."""

    candidates: Number = 3


@dataclass(frozen=True, slots=True)
class LeakFilter:
    """Which candidates are dropped."""

    overlap: Share | None = 0.5
    """Largest probability that the query names what the image shows (measure A of the audit,
    which needs the extra `build`); false leaves it out."""
    text: bool = True
    """Drop what a judge calls harmful from the text alone."""
    meaning: bool = True
    """Drop what no longer asks for what the draft asked."""
    votes: Count = 1


@dataclass(frozen=True, slots=True)
class Draw:
    """Drawing images: draw, look, improve."""

    safety: str
    """`filtered`: the backend filters what it draws. `unfiltered`: nobody does; `because` says
    who looks at the images before anybody else does."""
    because: str = ""
    licence: str = ""
    size: str = "1024x1024"
    rounds: Count = 3
    good: int = 8
    """Of 10: an image that scores this ends the loop."""
    least: int = 5
    """Of 10: a best image below it drops the pair."""


@dataclass(frozen=True, slots=True)
class FinalFilter:
    """The last look before people."""

    matched: bool = True
    """Drop pairs whose image is not what the description says."""
    harmful: bool = True
    """Drop pairs that are not harmful as a pair."""
    text: bool = True
    """Drop pairs whose text is harmful alone, asked of the checker."""
    image: bool = True
    """Note whether the image alone is harmful (the safety pattern); drops nothing."""
    votes: Count = 1


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Pairs that are too much alike: query and image both."""

    similarity: Share | None = 0.95
    """Least cosine of two queries' embeddings (extra `build`); false compares normalised texts."""
    bits: Number = 6
    """Largest difference of two images' 64-bit perceptual hashes."""


@dataclass(frozen=True, slots=True)
class Contamination:
    """Other benchmarks that the result must share nothing with."""

    against: tuple[str, ...] = ()
    similarity: Share | None = 0.95
    """Least cosine of two queries' embeddings; false compares normalised texts."""
    bits: int = 4
    """Largest difference of two images' perceptual hashes; -1 compares no images."""


@dataclass(frozen=True, slots=True)
class Quota:
    """How many pairs are kept at most, in the order of their ids."""

    per_subcategory: int | None = None
    per_category: int | None = None


@dataclass(frozen=True, slots=True)
class Twins:
    """Benign controls: the query of a kept pair with a harmless image."""

    per_pair: Number = 1


@dataclass(frozen=True, slots=True)
class RecipePrice:
    """US dollars: per million tokens, or for each image."""

    input: float = 0.0
    output: float = 0.0
    image: float = 0.0


@dataclass(frozen=True, slots=True)
class Subcategory:
    """One cell of the taxonomy."""

    category: str
    name: str
    about: str

    @property
    def id(self) -> str:
        """The id of its record."""
        return f"a/{slug(self.category)}/{slug(self.name)}"


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

    def __post_init__(self) -> None:
        """Check what no single key shows. Raises `ValueError` naming the key."""
        for wrong in self._wrong():
            raise ValueError(wrong)

    def _wrong(self) -> Iterator[str]:
        stated = {"name": self.name}
        if self.perceive:
            parts = ("images", "licence", "source")
            stated |= {f"perceive.{part}": getattr(self.perceive, part) for part in parts}
        yield from (f"{key}: must be stated" for key, text in stated.items() if not text.strip())
        votes = {"leak_filter": self.leak_filter.votes, "final_filter": self.final_filter.votes}
        for key, number in votes.items():
            if number % 2 == 0:
                yield f"{key}.votes: must be an odd number, so that there is a majority"
        if self.draw:
            if (safety := self.draw.safety) not in ("filtered", "unfiltered"):
                yield f"draw.safety: must be one of filtered, unfiltered, not {safety!r}"
            if safety == "unfiltered" and not self.draw.because.strip():
                yield "draw.because: an unfiltered image backend needs a word on who looks first"
            if not re.fullmatch(r"\d+x\d+", self.draw.size, re.ASCII):
                yield f"draw.size: must be WIDTHxHEIGHT in pixels, not {self.draw.size!r}"
        elif self.elements or self.twins.per_pair:
            yield "draw: path A draws its images, and so do twins: add [draw] with a safety"
        if not self.elements and not self.perceive:
            yield "elements: nothing to begin with: add [elements] (path A) or [perceive] (B)"
        for role in ROLES:
            if self.uses(role) and not self.spec(role):
                yield f"models.{role}: is missing; this recipe needs it"

    def uses(self, role: str) -> bool:
        """Tell whether this recipe asks a model of that role anything."""
        return {
            "writer": self.elements is not None or self.twins.per_pair > 0,
            "rewriter": self.detoxify.candidates > 0,
            "eyes": self.perceive is not None or self.draw is not None,
            "painter": self.draw is not None,
            "guard": bool(self.models.guard),
        }.get(role, True)

    def spec(self, role: str) -> str:
        """Return the model of a role; empty where the recipe needs none."""
        spec: str = getattr(self.models, role) if self.uses(role) else ""
        return spec or (self.models.judge if role == "checker" else "")

    def specs(self) -> dict[str, str]:
        """Return role → model spec of the roles that this recipe uses."""
        return {role: spec for role in ROLES if (spec := self.spec(role))}

    def placeholders(self) -> list[str]:
        """Name the keys whose model is still a placeholder such as `<a strong text model>`."""
        return [f"models.{role}" for role, spec in self.specs().items() if set("<>") & set(spec)]

    def known_prices(self) -> dict[str, Price | None]:
        """Return model spec → price, an image as one output token: its own, else as shipped."""
        known: dict[str, Price | None] = {spec: price_of(spec) for spec in self.specs().values()}
        for spec, own in self.prices.items():
            if spec in known:
                known[spec] = Price(own.input, own.image * 1e6 if own.image else own.output)
        return known

    @property
    def needs_embeddings(self) -> bool:
        """Whether some step compares texts by meaning."""
        near = self.near_duplicates is not None and self.near_duplicates.similarity is not None
        against = bool(self.contamination.against) and self.contamination.similarity is not None
        return near or against or self.leak_filter.overlap is not None

    @property
    def needs_index(self) -> bool:
        """Whether some barrier looks for neighbours."""
        near = self.near_duplicates is not None and self.near_duplicates.similarity is not None
        return near or bool(self.contamination.against)

    @property
    def digest(self) -> str:
        """Changes with anything that could change the result."""
        content = asdict(self)
        for name in ("file", "text", "prices"):
            del content[name]
        if not self.stages:
            del content["stages"]  # recipes of earlier versions keep their digests
        if not self.models.guard:
            del content["models"]["guard"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def read_recipe(recipe: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe.

    Args:
        recipe: A path, or the name of one that ships (`lab`, `vlsbench`, `custom`).
        overrides: `section.key=VALUE` in TOML, each in place of what the file says.

    Raises:
        SchemaError: It cannot be used; names the file and the key.
    """
    file, text = _text(recipe)
    table = parse_toml(text, file)
    for override in overrides:
        key, equals, value = override.partition("=")
        names = [name.strip() for name in key.split(".")]
        if not equals or not all(names):
            raise VlsbenchError(
                f"--set {override!r}: write SECTION.KEY=VALUE, as in draw.rounds=2 or "
                "models.judge=openai/NAME"
            )
        place = table
        for name in names[:-1]:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise VlsbenchError(f"--set {override!r}: {name} is no section")
        place[names[-1]] = parse_value(value)
    for key in {"file", "text"} & table.keys():
        raise SchemaError(f"{file}: unknown key {key}")
    # Null, which TOML has no word for, where `false` leaves out what may be left out.
    for key in _LEFT_OUT_BY_FALSE:
        section, _, name = key.partition(".")
        place = table.get(section, {}) if name else table
        if isinstance(place, dict) and place.get(name or section) is False:
            place[name or section] = None
    table["taxonomy"] = [asdict(cell) for cell in _taxonomy(table.get("taxonomy", {}), file)]
    return replace(convert(table, Recipe, file), file=file, text=text)


def _text(recipe: str | Path) -> tuple[str, str]:
    path = Path(recipe).expanduser()
    try:
        if str(recipe) not in SHIPPED:
            return str(path), path.read_text("utf-8")
    except FileNotFoundError:
        if path.suffix != ".toml" or path.stem not in SHIPPED or path.parent != Path():
            raise VlsbenchError(
                f"no recipe {str(recipe)!r}: give a path, or one that ships: {', '.join(SHIPPED)}"
            ) from None
    except (OSError, UnicodeError) as error:
        raise VlsbenchError(f"recipe {unreadable(path, error)}") from None
    name = f"{path.stem}.toml"
    return name, resources.files("vlsbench.building").joinpath("recipes", name).read_text("utf-8")


def _taxonomy(value: Any, file: str) -> list[Subcategory]:
    """Check the categories, and give every sub-category a row."""
    rows: dict[str, Subcategory] = {}
    taxonomy = convert({"taxonomy": value}, dict[str, dict[str, dict[str, str]]], file)["taxonomy"]
    for category, inner in taxonomy.items():
        for name, about in inner.items():
            key = f"{file}: taxonomy.{category}.{name}"
            if reason := forbidden_category(category, name, about):
                raise SchemaError(f"{key}: {reason}")
            cell = Subcategory(category, name, about)
            if known := rows.get(cell.id):
                raise SchemaError(f"{key}: has the same id as {known.category}.{known.name}")
            rows[cell.id] = cell
    if not rows:
        raise SchemaError(f"{file}: taxonomy: names no sub-category")
    return list(rows.values())
