"""What the measures of an audit, and its card, have in common."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from vlsbench import __version__
from vlsbench.evaluation import Spend
from vlsbench.pairs import Pair, PairSet
from vlsbench.stats import Interval


@dataclass(frozen=True, slots=True)
class Head:
    """Which schema a file follows, and which benchmark it is about."""

    schema: str
    vlsbench: str
    """Version of this package."""
    bench: str
    title: str
    paper: str
    licence: str


def head(schema: str, pairs: PairSet) -> tuple[str, str, str, str, str, str]:
    """Return the fields of a `Head`, in order."""
    return schema, __version__, pairs.name, pairs.title, pairs.paper, pairs.licence


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean, median or corrected share with its 95 % interval, clustered by image."""

    n: int
    value: float | None
    """None where n is 0, and where the data cannot tell."""
    low: float | None
    high: float | None
    """None with fewer than two images."""

    @classmethod
    def of(cls, n: int, value: float | None, bounds: Interval | None) -> Self:
        """Make an estimate of n pairs; without bounds, of too few images."""
        return cls(n, value, *(bounds or (None, None)))


@dataclass(frozen=True, slots=True)
class RunHead(Head):
    """The same of a measure that asks models."""

    run: str
    """Name of the folder that holds the calls."""
    judge: str
    simulated: bool
    """True where a lab model took part: the figures say nothing about a real model."""
    complete: bool
    stopped: str
    """Why it ended early; empty where it did not."""
    pairs: int
    """Pairs asked, without controls."""
    calls: int
    """Recorded calls that were asked for these figures, by this and earlier invocations."""
    reused: int
    """Recorded calls taken over from other runs."""
    cost: float | None
    """US dollars; None where a price is unknown."""


@dataclass(frozen=True, kw_only=True)
class Expense:
    """What a part of an audit asks of models, at most."""

    set: str
    part: str
    calls: int = 0
    """What is on record already, or shared with another part, is not asked again."""
    cost: float | None = 0.0
    """US dollars, roughly; None where a price is unknown."""
    missing: str = ""
    """Why it cannot be run; empty where it can."""


def total_cost(parts: Iterable[Expense | Spend]) -> float | None:
    """Return what all parts cost in US dollars; None where one of them is unknown."""
    costs = [one.cost for one in parts]
    return None if None in costs else sum(cost or 0.0 for cost in costs)


def total(spent: Iterable[Spend]) -> tuple[int, int, float | None]:
    """Return the calls, those reused, and the cost."""
    rows = list(spent)
    return sum(row.calls for row in rows), sum(row.reused for row in rows), total_cost(rows)


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """What identifies a pair that was measured."""

    id: str
    category: str
    subcategory: str
    harmful: bool
    """As its benchmark says."""
    cluster: str
    """Pairs that share it share their images."""
    query: str


def facts(pair: Pair) -> tuple[str, str, str, bool, str, str]:
    """Return the fields of a `MeasuredPair`, in order."""
    return pair.id, pair.category, pair.subcategory, pair.harmful, pair.cluster, pair.query
