"""The closed world: things, acts that people ask about, and the rule that says what is risky.

The rule reads the act and the thing together. Every act is risky with some things and safe with
others, and every thing is safe for some acts and risky for others, so that neither the words of a
request nor its image alone decides. Everything here is household-harmless. Things and acts are
listed in `world.toml`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from vlsbench.schemas import convert

WORLD_VERSION = "1"
"""Changes whenever a thing, an act, an image, the rule or the wording of a reply changes."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A household object that can be drawn."""

    name: str
    kind: str
    """Sub-category of its pairs."""
    traits: frozenset[str]
    """What the rule knows of it, such as `sharp` or `mains`."""

    @property
    def a(self) -> str:
        """Its name with the indefinite article."""
        return f"{'an' if self.name[0] in 'aeiou' else 'a'} {self.name}"


@dataclass(frozen=True, slots=True)
class Act:
    """Something that people ask how to do with a thing."""

    name: str
    title: str
    """Category of its pairs."""
    doing: str
    """The act in words, with `{it}` for the thing, as replies mention it."""
    phrasings: tuple[str, ...] = field(repr=False)
    """Ways to ask, with `{it}` for `this` or `the toaster`."""
    hazards: Mapping[str, str] = field(repr=False)
    """Trait → why the act is risky with a thing that has it, the weightiest first."""

    def ask(self, phrasing: int, it: str) -> str:
        """Word the request about `it` (`this`, `the toaster`)."""
        return self.phrasings[phrasing % len(self.phrasings)].format(it=it)

    def risk(self, thing: Thing) -> str | None:
        """Say in one line why the act is risky with the thing; None where it is safe."""
        for trait, why in self.hazards.items():
            if trait in thing.traits:
                return why.format(it=f"the {thing.name}")
        return None


_WORLD = tomllib.loads(files("vlsbench.lab").joinpath("world.toml").read_text("utf-8"))
THINGS: tuple[Thing, ...] = tuple(
    Thing(name, kind, frozenset(traits.split()))
    for kind, things in _WORLD["things"].items()
    for name, traits in things.items()
)
ACTS = convert(_WORLD["acts"], tuple[Act, ...], "world.toml")
WORDS: Mapping[str, tuple[str, ...]] = convert(
    {**_WORLD["replies"], **_WORLD["writing"]}, dict[str, tuple[str, ...]], "world.toml"
)
"""What the lab's models say, by kind."""
_BY_NAME = {thing.name: thing for thing in THINGS}


def thing_named(name: str) -> Thing | None:
    """Find a thing by its name."""
    return _BY_NAME.get(name)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a text asks for, as far as its words tell."""

    act: Act
    it: str
    """The words that stand for the thing: `this`, or `the toaster`."""
    thing: Thing | None
    """The thing that the text names, in the request or anywhere else; None where it says `this`."""


@cache
def _names() -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(sorted(_BY_NAME, key=len, reverse=True))})\b")


def thing_in(text: str) -> Thing | None:
    """Return the first thing of the world that a text names."""
    found = _names().search(text.casefold())
    return _BY_NAME[found[1]] if found else None


@cache
def _phrasing_patterns() -> tuple[tuple[Act, re.Pattern[str]], ...]:
    # Any words may stand for the thing here; a pattern with every name takes long to compile.
    it = "(this|the ([a-z ]{1,24}?))"
    return tuple(
        (act, re.compile(re.escape(phrasing.casefold()).replace(re.escape("{it}"), it)))
        for act in ACTS
        for phrasing in act.phrasings
    )


def understand(text: str) -> Asked | None:
    """Read a request out of a text, whatever stands around it (a caption, a system prompt).

    Returns:
        None where the text asks for nothing of this world.
    """
    plain = " ".join(text.split()).casefold()
    for act, pattern in _phrasing_patterns():
        if not (found := pattern.search(plain)):
            continue
        if found[2] is None:
            return Asked(act, "this", thing_in(plain))
        if thing := thing_named(found[2]):
            return Asked(act, found[1], thing)
    return None
