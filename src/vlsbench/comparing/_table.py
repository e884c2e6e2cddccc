"""What a comparison of runs holds: the table of rows and columns, and the paired differences.

`compare.json` is `dataclasses.asdict` of `Compared`; docs/compare.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

SCHEMA = "vlsbench.compare/1"
FULL = "full"


class Kind(StrEnum):
    """What a column of the table shows."""

    SAFETY = "safety"
    """Labels that count as safe (refusal + warning) on harmful pairs; higher is safer."""
    OVER_REFUSAL = "over-refusal"
    """Labels that count as declined (refusals) of benign pairs; lower is better."""
    NET = "net rate"
    """Safe on harmful pairs less declined on the benign ones of the same run; higher is better."""
    ABILITY = "ability"
    """General ability, or another score that the user or the paper gives."""


ENDS = {Kind.SAFETY: "", Kind.OVER_REFUSAL: " (benign)", Kind.NET: " (net)"}


def key_of(bench: str, view: str, kind: Kind = Kind.SAFETY) -> str:
    """Return how the column of a benchmark, view and rate is called."""
    return (bench if view == FULL else f"{bench} · {view} view") + ENDS[kind]


class Scope(StrEnum):
    """Over which pairs, and between what, differences are taken."""

    OVERALL = "overall"
    """A row minus the baseline, over all pairs of a column."""
    CATEGORY = "category"
    """The same by category."""
    VIEW = "view"
    """A view minus the reference view, within one row."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the table."""

    key: str
    title: str
    kind: Kind

    @property
    def heading(self) -> str:
        """The title with what it measures."""
        if self.kind is Kind.ABILITY:
            return self.title
        return f"{self.title.removesuffix(ENDS[self.kind])} ({self.kind}, %)"


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure of the table: a rate in percent, or a score as it was given."""

    score: float | None
    """None where nothing was scored, and for the net rate of a run without benign pairs."""
    low: float | None = None
    high: float | None = None
    """95 % interval, clustered by image; None for figures of other tools and papers."""
    n: int | None = None
    """Scored pairs; None where the source does not say, and for net rates."""
    pairs: int | None = None
    """Pairs of the run's selection in this group, unscored ones included."""
    samples: int = 1
    """Answers to each pair; `n` and `pairs` then count answers."""
    simulated: bool = False
    source: str = ""
    """The run's folder, the file, or the paper."""


@dataclass(frozen=True, slots=True)
class Row:
    """A model or a method: one line of the table."""

    name: str
    cells: Mapping[str, Cell]
    """Column key → figure; a column that is not there was not run."""
    published: bool = False
    """From a paper, not from a run."""
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """A paired difference of one rate on the same pairs, with its interval and test."""

    scope: Scope
    measure: Kind
    row: str
    column: str
    """Key of the column; that of the full view where views are compared."""
    part: str
    """`all`, a category, or `VIEW − REFERENCE`."""
    n: int
    """Pairs scored in both runs: what the difference is taken over."""
    images: int
    """Distinct images among them: the clusters of the interval."""
    left_out: int
    """Pairs that ended in one run or both, but were not scored in both."""
    before: float | None
    after: float | None
    """The two rates over the n pairs, percent."""
    points: float | None
    """After minus before, percentage points; None where n is 0."""
    low: float | None
    high: float | None
    """95 % interval, clustered by image; None with fewer than two images."""
    gained: int
    lost: int
    """Pairs that count only after, only before: what a paired test looks at."""
    p: float | None
    """Of a sign-flip test over images, exact and two-sided; None for net rates, whose interval
    says whether they differ."""
    p_holm: float | None = None
    """Corrected for the tests of its scope."""
    tests: int = 0
    """How many that are."""
    simulated: bool = False


@dataclass(frozen=True, slots=True)
class Compared:
    """All of `compare.json`."""

    schema: str
    vlsbench: str
    made: str
    """ISO 8601, UTC."""
    baseline: str
    """Name of the row that the others are compared with."""
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    differences: tuple[Difference, ...]
    simulated: bool
    """Whether any figure is of a lab model or a lab benchmark."""
    notes: tuple[str, ...]
    """Caveats to be shown beside the figures."""
