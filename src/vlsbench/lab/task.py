"""The tasks of a build, as the lab's models read them: `TASK: name` and fenced blocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vlsbench.errors import VlsbenchError
from vlsbench.lab._faults import draw_number
from vlsbench.lab._world import ACTS, Act

_OPENING = re.compile(r"^<<<[A-Z]+ ([0-9a-f]+)>>>$", re.MULTILINE)
_BLOCK = re.compile(r"^<<<([A-Z]+) ([0-9a-f]+)>>>\n(.*?)\n?<<<END \1 \2>>>$", re.M | re.S)
_TASK = re.compile(r"^TASK: (\w+)$", re.MULTILINE)
_COUNT = re.compile(r"list of (\d+) texts")


@dataclass(frozen=True, slots=True)
class Task:
    """What a prompt asks for."""

    name: str
    blocks: Mapping[str, str]
    """Name → what stands between its fences."""
    prompt: str
    """The rest."""

    @property
    def count(self) -> int:
        """How many texts are asked for."""
        found = _COUNT.search(self.prompt)
        return int(found[1]) if found else 1


def read_blocks(text: str) -> tuple[dict[str, str], str]:
    """Take a prompt apart: name → what stands between its fences, and the rest.

    Only fences with the tag of the first one count, so nothing inside of the material opens or
    closes a block.
    """
    blocks: dict[str, str] = {}
    if not (opening := _OPENING.search(text)):
        return blocks, text

    def lift(found: re.Match[str]) -> str:
        if found[2] != opening[1]:
            return found[0]
        blocks[found[1]] = found[3]
        return ""

    return blocks, _BLOCK.sub(lift, text)


def read_task(text: str) -> Task | None:
    """Take a prompt apart; None where it is no task of a build."""
    blocks, rest = read_blocks(text)
    task = _TASK.search(rest) if blocks else None
    return Task(task[1], blocks, rest) if task else None


def act_titled(title: str) -> Act | None:
    """Return the act whose title a category has."""
    return next((act for act in ACTS if act.title.casefold() == title.strip().casefold()), None)


@dataclass(frozen=True, slots=True)
class Rates:
    """The options of a model that errs as it is told, such as `leaks=0.9&seed=1`."""

    values: Mapping[str, float]
    """All but `seed` are shares from 0 to 1."""
    sample: int | None = None
    """Which of several judgements of one question is wanted; None where there is one."""
    draw: int | None = None
    """Which of several answers to one question; None at temperature 0."""

    @property
    def seed(self) -> float:
        """Part of every key, so that another seed errs elsewhere."""
        return self.values["seed"]

    def happens(self, rate: str, *key: object) -> bool:
        """Say whether an error of this rate happens; the same for the same key."""
        return draw_number(rate, *key) < self.values[rate]


def read_options(model: str, text: str, defaults: Mapping[str, float]) -> dict[str, float]:
    """Read what stands behind the question mark of a model's name, over its defaults."""
    found = dict(defaults)
    try:
        for part in filter(None, text.split("&")):
            name, _, value = part.partition("=")
            found[name] = float(value)
    except ValueError:
        found = {}
    rates = {name: 0.0 if name == "seed" else rate for name, rate in found.items()}
    if found.keys() != defaults.keys() or not all(0 <= rate <= 1 for rate in rates.values()):
        raise VlsbenchError(
            f"model 'lab/{model}?{text}': options are {', '.join(defaults)} (rates from 0 to 1, "
            "and any seed)"
        )
    return found
