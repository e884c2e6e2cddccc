"""Rubrics: which labels a reply can get, what they mean, and which side each counts for.

A rubric is a TOML file; those that ship are in `rubrics/`. What a rubric says is put into a judge's
prompt; the fences, the order (explanation first) and the form of the answer are not its business.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from vlsbench.config import record
from vlsbench.errors import VlsbenchError
from vlsbench.judge._verdict import Label
from vlsbench.schemas import convert, parse_toml, read_toml
from vlsbench.text import did_you_mean, disarm

SHIPPED = ("vlsbench", "paper", "siuo", "harm-grade")
"""Names of the rubrics that ship."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9 _-]{0,38}[a-z0-9])?")
_RESERVED = (Label.FILTERED, Label.UNSCORED, "open", "all")
_MARKERS = ("<<<", ">>>")
_ASKS = "choose one label:"


class Side(StrEnum):
    """What a label counts for."""

    SAFE = "safe"
    UNSAFE = "unsafe"
    NEITHER = "neither"
    """In the denominator of all rates. Of a benign pair: no refusal, and not as asked either."""
    DECLINED = "declined"
    """Of a benign pair: over-refusal."""
    ANSWERED = "answered"
    """Of a benign pair: what should happen there."""


SIDES = {
    "harmful": (Side.SAFE, Side.UNSAFE, Side.NEITHER),
    "benign": (Side.DECLINED, Side.ANSWERED, Side.NEITHER),
}
"""Kind of pairs → the sides of its labels; of the first two a rubric needs a label each."""


@dataclass(frozen=True, slots=True)
class RubricLabel:
    """A label that a reply can get."""

    name: str
    side: str
    """One of `SIDES`."""
    definition: str = ""
    words: str = ""
    """What the judge writes, with the label's number, in place of the name."""
    grade: float | None = None
    """How harmful it is; a rubric whose labels have grades has a mean grade."""
    marks: tuple[str, ...] = ()
    """What else holds of replies with it, such as `effective`: a rate of its own."""


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a judge is told of the labels of harmful, or of benign, pairs."""

    labels: tuple[RubricLabel, ...] = ()
    """From the safest, or most declining, to the least."""
    policy: str = ""
    """Stands before the labels; `{and_images}` becomes ` with its image` where there is one."""
    guidance: str = ""
    """Stands after them."""


@dataclass(frozen=True, slots=True)
class CategoryRules:
    """What a judge is told otherwise of the harmful pairs of one category."""

    policy: str = ""
    """Added to the general one."""
    definitions: Mapping[str, str] = field(default_factory=dict)
    """Label → definition, in place of the general one."""


@dataclass(frozen=True)
class Rubric:
    """Labels and their definitions, of replies to harmful pairs and to benign ones."""

    harmful: Definitions
    benign: Definitions = field(default_factory=Definitions)
    """Ours where it has no labels."""
    categories: Mapping[str, CategoryRules] = field(default_factory=dict)
    context: Literal["image", "description", "both"] | None = None
    """What tells the judge about the image, where the rubric goes with one way alone."""
    title: str = ""
    name: str = ""
    """By default the name of its file."""

    def _kind(self, harmful: bool) -> Definitions:
        return self.harmful if harmful else self.benign

    def labels(self, harmful: bool, *sides: str) -> tuple[str, ...]:
        """Return the names of the labels, of all or of some sides, in order."""
        labels = self._kind(harmful).labels
        return tuple(label.name for label in labels if not sides or label.side in sides)

    def side(self, harmful: bool, label: str) -> str:
        """Return what a label counts for."""
        return next(one.side for one in self._kind(harmful).labels if one.name == label)

    @cached_property
    def safe(self) -> tuple[str, ...]:
        """Labels of harmful pairs that count as safe."""
        return self.labels(True, Side.SAFE)

    @cached_property
    def declined(self) -> tuple[str, ...]:
        """Labels of benign pairs that count as over-refusal."""
        return self.labels(False, Side.DECLINED)

    def parts(self, harmful: bool) -> tuple[str, ...]:
        """Return the labels that say more than the rate of their side does."""
        labels = self._kind(harmful).labels
        sizes = Counter(label.side for label in labels)
        return tuple(one.name for one in labels if sizes[one.side] > 1 or one.side == Side.NEITHER)

    @cached_property
    def marks(self) -> dict[str, tuple[str, ...]]:
        """Mark → labels of harmful pairs with it; `safe and MARK` → those that are safe too."""
        found: dict[str, tuple[str, ...]] = {}
        for mark in dict.fromkeys(mark for one in self.harmful.labels for mark in one.marks):
            marked = tuple(one.name for one in self.harmful.labels if mark in one.marks)
            both = tuple(name for name in marked if name in self.safe)
            found |= {f"safe and {mark}": both} | ({mark: marked} if marked != both else {})
        return found

    @cached_property
    def grades(self) -> dict[str, float]:
        """Label of harmful pairs → its grade; empty where they have none."""
        return {one.name: one.grade for one in self.harmful.labels if one.grade is not None}

    @property
    def threshold(self) -> float | None:
        """The least grade that is unsafe; None without grades."""
        unsafe = self.labels(True, Side.UNSAFE)
        return min(self.grades[name] for name in unsafe) if self.grades else None

    @property
    def said(self) -> str:
        """What it is, in a sentence, for whoever reads the figures."""
        title = f" ({self.title})" if self.title else ""
        threshold = f"; unsafe from grade {self.threshold:g} on" if self.grades else ""
        return f"Rubric {self.name}{title}; safe: {', '.join(self.safe)}{threshold}."

    @cached_property
    def digest(self) -> str:
        """Digest of all that decides verdicts and what they count for."""
        told = {**record(self), "name": "", "title": ""}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def identity(self) -> dict[str, str]:
        """What a judge's identity says of it: its digest, or what earlier versions said."""
        before: tuple[tuple[str, dict[str, str]], ...]
        before = (("vlsbench", {}), ("paper", {"protocol": "paper"}))
        known = (said for name, said in before if _shipped(name).digest == self.digest)
        return next(known, {"rubric": self.digest})

    def written(self, harmful: bool) -> list[tuple[int | None, str, str]]:
        """Return how a judge writes each label: number or None, words, and the label's name."""
        return [
            (number if one.words else None, one.words or one.name, one.name)
            for number, one in enumerate(self._kind(harmful).labels, start=1)
        ]

    def text(
        self, harmful: bool, *, and_images: str = " with its image", category: str = ""
    ) -> str:
        """Return the definitions, as judges and people who label the same replies read them."""
        kind = self._kind(harmful)
        rules = self.categories.get(category, CategoryRules()) if harmful else CategoryRules()
        policy = " ".join(filter(None, (kind.policy.strip(), rules.policy.strip())))
        if not policy.casefold().endswith(_ASKS):
            policy = f"{policy} {_ASKS.capitalize()}".strip()
        lines = [policy.replace("{and_images}", and_images)]
        for one, (number, words, name) in zip(kind.labels, self.written(harmful), strict=True):
            mark = f"{number}, " if number else ""
            defined = (rules.definitions.get(name) or one.definition).strip()
            lines.append(f"- {mark}{json.dumps(words)}" + f": {defined}" * bool(defined))
        return "\n".join([*lines, *filter(None, [kind.guidance.strip()])])


def rubric_of_sides(rubrics: Sequence[Rubric]) -> Rubric:
    """Return what judges by different rubrics vote on: a label for each side that they know."""

    def known(harmful: bool, kind: Definitions) -> Definitions:
        sides = {side for one in rubrics for side in Side if one.labels(harmful, side)}
        return replace(kind, labels=tuple(label for label in kind.labels if label.side in sides))

    whole = _shipped("sides")
    return replace(whole, harmful=known(True, whole.harmful), benign=known(False, whole.benign))


@cache
def _shipped(name: str) -> Rubric:
    text = files("vlsbench.judge").joinpath("rubrics", f"{name}.toml").read_text("utf-8")
    return _checked(parse_toml(text, f"{name}.toml"), f"{name}.toml", name)


def read_rubric(rubric: str | os.PathLike[str] | Rubric) -> Rubric:
    """Return a rubric by its name or from a TOML file; an object is checked.

    Raises:
        VlsbenchError: There is none of that name, or the file is none; names file and key.
    """
    if isinstance(rubric, Rubric):
        return _checked(record(rubric), "rubric", rubric.name or "own")
    text = os.fspath(rubric)
    if text in SHIPPED:
        return _shipped(text)
    path = Path(text).expanduser()
    if not path.suffix and not path.exists():
        near = did_you_mean(text, SHIPPED)
        raise VlsbenchError(
            f"no rubric {text!r}: {near}there are {', '.join(SHIPPED)}, or the path of a TOML file"
        )
    return _checked(read_toml(path), str(path), path.stem)


def _checked(tree: dict[str, Any], where: str, name: str) -> Rubric:
    found = convert(tree, Rubric, where)
    if not found.benign.labels:
        found = replace(found, benign=_shipped("vlsbench").benign)
    found = replace(found, name=found.name or name)
    if faults := [*_faults(found)]:
        raise VlsbenchError("\n  ".join(f"{where}: {fault}" for fault in faults))
    return found


def _faults(rubric: Rubric) -> Iterator[str]:
    """Say what is wrong with a rubric, each time with the key."""
    for kind, sides in SIDES.items():
        labels = getattr(rubric, kind).labels
        for place, one in enumerate(labels):
            key = f"{kind}.labels[{place}]"
            if not _NAME.fullmatch(one.name) or one.name in _RESERVED:
                yield (
                    f"{key}.name: {one.name!r} cannot be a label: use up to 40 lower-case "
                    f"letters, digits, spaces, - and _, and none of {', '.join(_RESERVED)}"
                )
            if one.name in [other.name for other in labels[:place]]:
                yield f"{key}.name: label {one.name!r} occurs twice"
            if one.side not in sides:
                near = did_you_mean(one.side, sides)
                yield f"{key}.side: invalid value {one.side!r}: {near}choose {', '.join(sides)}"
        given = {one.side for one in labels}
        for side in sides[:2]:
            if side not in given and given <= {*sides}:
                yield f"{kind}.labels: no label counts as {side}; give one of them that side"
        if len({bool(one.words) for one in labels}) > 1:
            yield f"{kind}.labels: give all labels words, or none"
        if kind == "benign" and (odd := [one.name for one in labels if one.grade or one.marks]):
            yield f"benign.labels: grades and marks are of harmful pairs, not of {', '.join(odd)}"
    grades = rubric.grades
    if 0 < len(grades) < len(rubric.harmful.labels):
        yield "harmful.labels: give all labels a grade, or none"
    elif grades:
        unsafe_labels = rubric.labels(True, Side.UNSAFE)
        safe, unsafe = ([grades[name] for name in names] for names in (rubric.safe, unsafe_labels))
        if safe and unsafe and max(safe) >= min(unsafe):
            yield "harmful.labels: every unsafe label needs a higher grade than every safe one"
    for name, rules in rubric.categories.items():
        if unknown := rules.definitions.keys() - {*rubric.labels(True)}:
            yield (
                f"categories.{name}.definitions: no label {', '.join(sorted(unknown))}; there are "
                f"{', '.join(rubric.labels(True))}"
            )
    for key, text in _texts(record(rubric), ""):
        if any(marker in text for marker in _MARKERS) or disarm(text) != text:
            yield (
                f"{key}: holds <<<, >>> or a chat template's control token, which mark what is to "
                "be judged; write it without"
            )


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _texts(one, f"{key}.{name}".lstrip("."))
    elif isinstance(value, list):
        for place, one in enumerate(value):
            yield from _texts(one, f"{key}[{place}]")


OURS = _shipped("vlsbench")
"""The default."""
