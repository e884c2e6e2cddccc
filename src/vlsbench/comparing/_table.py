"""What a comparison of runs holds: the table of rows and columns, and the paired differences.

`compare.json` is `dataclasses.asdict` of `Compared`; docs/compare.md describes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from vlsbench.comparing._runs import OpenRun
from vlsbench.evaluation import Ended, shared_pairs
from vlsbench.judge import is_scored
from vlsbench.stats import Interval, difference_interval, holm, paired_interval, paired_p

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
    k: int | None = None
    n: int | None = None
    """Hits and scored pairs; None where the source does not say, and for net rates."""
    pairs: int | None = None
    """Pairs of the run's selection in this group, unscored ones included."""
    samples: int = 1
    """Answers to each pair; `k`, `n` and `pairs` then count answers."""
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


def paired(before: OpenRun, after: OpenRun, scope: Scope) -> Iterator[Difference]:
    """Yield the differences between two runs of one benchmark, uncorrected.

    By category where the scope is `CATEGORY`; else over all pairs.
    """
    shared_pairs(before.folder, before.ended, after.folder, after.ended)
    (bench, view), whole = after.place, "all"
    if scope is Scope.VIEW:
        view, whole = FULL, f"{view} − {before.summary.view}"
    groups: dict[tuple[bool, str], list[tuple[Ended | None, Ended | None]]] = {}
    for key in sorted(before.ended.keys() | after.ended.keys()):
        first, second = before.ended.get(key), after.ended.get(key)
        known = first or after.ended[key]
        part = known.category or "(none)" if scope is Scope.CATEGORY else whole
        groups.setdefault((not known.harmful, part), []).append((first, second))
    found: dict[Kind, Difference] = {}
    for (benign, part), members in sorted(groups.items(), key=lambda item: item[0]):
        kind = Kind.OVER_REFUSAL if benign else Kind.SAFETY
        rubrics = (before.summary.rubric, after.summary.rubric)
        old, new = (rubric.declined if benign else rubric.safe for rubric in rubrics)
        both = [(a, b) for a, b in members if a and b and is_scored(a.label) and is_scored(b.label)]
        clusters = [first.cluster for first, _ in both]
        n = len(both)
        then = [first.label in old for first, _ in both]
        now = [second.label in new for _, second in both]
        interval = paired_interval(then, now, clusters)
        found[kind] = Difference(
            *(scope, kind, after.name, key_of(bench, view, kind), part),
            n=n,
            images=len(set(clusters)),
            left_out=len(members) - n,
            before=100 * sum(then) / n if n else None,
            after=100 * sum(now) / n if n else None,
            points=100 * (sum(now) - sum(then)) / n if n else None,
            low=100 * interval.low if interval else None,
            high=100 * interval.high if interval else None,
            gained=sum(b and not a for a, b in zip(then, now, strict=True)),
            lost=sum(a and not b for a, b in zip(then, now, strict=True)),
            p=paired_p(then, now, clusters) if n else None,
            simulated=before.simulated or after.simulated,
        )
        yield found[kind]
    safe, declined = found.get(Kind.SAFETY), found.get(Kind.OVER_REFUSAL)
    if scope is not Scope.CATEGORY and safe and declined and safe.n and declined.n:
        yield _net(safe, declined, key_of(bench, view, Kind.NET))


def _net(safe: Difference, declined: Difference, column: str) -> Difference:
    """Return the difference of two runs' net rates.

    Harmful and benign pairs are independent samples, so the intervals of their paired differences
    combine like those of two shares (Zou and Donner 2008).
    """
    gain, cost = safe.points or 0.0, declined.points or 0.0
    gains = Interval(safe.low or 0.0, safe.high or 0.0)
    costs = Interval(declined.low or 0.0, declined.high or 0.0)
    interval = difference_interval(gain, gains, cost, costs)
    return replace(
        safe,
        measure=Kind.NET,
        column=column,
        n=safe.n + declined.n,
        images=safe.images + declined.images,
        left_out=safe.left_out + declined.left_out,
        before=(safe.before or 0.0) - (declined.before or 0.0),
        after=(safe.after or 0.0) - (declined.after or 0.0),
        points=gain - cost,
        low=interval.low,
        high=interval.high,
        gained=safe.gained + declined.lost,
        lost=safe.lost + declined.gained,
        p=None,
    )


def corrected(differences: Iterable[Difference]) -> tuple[Difference, ...]:
    """Correct p for many tests by Holm's method, each table that is shown being one family."""
    listed = list(differences)
    for scope in Scope:
        family = [i for i, one in enumerate(listed) if one.scope is scope and one.p is not None]
        values = holm([p for i in family if (p := listed[i].p) is not None])
        for index, value in zip(family, values, strict=True):
            listed[index] = replace(listed[index], p_holm=value, tests=len(family))
    return tuple(listed)
