"""Paired differences between two runs on the same pairs, and their correction for many tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from vlsbench.comparing._runs import OpenRun
from vlsbench.comparing._table import FULL, Difference, Kind, Scope, key_of
from vlsbench.evaluation import Ended, shared_pairs
from vlsbench.judge import is_scored
from vlsbench.stats import Interval, difference_interval, holm, paired_interval, paired_p


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
