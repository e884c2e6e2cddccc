"""Paired differences between two runs on the same pairs, and their correction for many tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from vlsbench.comparing._runs import OpenRun
from vlsbench.comparing._table import Difference, Kind, Scope
from vlsbench.evaluation import Ended, shared_pairs
from vlsbench.judge import is_scored
from vlsbench.stats import Interval, difference_interval, holm, paired_interval, paired_p


def _counts(run: OpenRun, *, harmful: bool) -> dict[str, tuple[str, ...]]:
    """Return measure or label → the labels that it counts."""
    rubric = run.summary.rubric
    if not harmful:
        return {Kind.OVER_REFUSAL: rubric.declined}
    return {Kind.SAFETY: rubric.safe, **{label: (label,) for label in rubric.parts(True)}}


def paired(
    before: OpenRun,
    after: OpenRun,
    scope: Scope,
    *,
    row: str,
    columns: Mapping[Kind, str],
    part: str = "all",
) -> Iterator[Difference]:
    """Yield the differences between two runs of one benchmark, uncorrected.

    By category where the scope is `CATEGORY`; else over all pairs, which `part` names.
    """
    shared_pairs(before.folder, before.ended, after.folder, after.ended)
    groups: dict[tuple[bool, str], list[tuple[Ended | None, Ended | None]]] = {}
    for key in sorted(before.ended.keys() | after.ended.keys()):
        first, second = before.ended.get(key), after.ended.get(key)
        known = first or after.ended[key]
        name = known.category or "(none)" if scope is Scope.CATEGORY else part
        groups.setdefault((not known.harmful, name), []).append((first, second))
    found: dict[str, Difference] = {}
    for (benign, name), members in sorted(groups.items(), key=lambda item: item[0]):
        both = [(a, b) for a, b in members if a and b and is_scored(a.label) and is_scored(b.label)]
        clusters = [first.cluster for first, _ in both]
        n = len(both)
        old, new = (_counts(run, harmful=not benign) for run in (before, after))
        for measure in [name for name in old if name in new]:
            then = [first.label in old[measure] for first, _ in both]
            now = [second.label in new[measure] for _, second in both]
            interval = paired_interval(then, now, clusters)
            found[measure] = Difference(
                *(scope, measure, row, columns[Kind.OVER_REFUSAL if benign else Kind.SAFETY], name),
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
            yield found[measure]
    safe, declined = found.get(Kind.SAFETY), found.get(Kind.OVER_REFUSAL)
    if scope is not Scope.CATEGORY and safe and declined and safe.n and declined.n:
        yield _net(safe, declined, columns[Kind.NET])


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
    """Correct p for many tests by Holm's method, each table that is shown being one family.

    The headline measures (safety, over-refusal) of a scope are one family; refusal and warning,
    which part the safety rate, are another.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    listed = list(differences)
    families: dict[tuple[Scope, bool], list[int]] = {}
    for index, one in enumerate(listed):
        if one.p is not None:
            families.setdefault((one.scope, one.headline), []).append(index)
    for indices in families.values():
        values = holm([p for i in indices if (p := listed[i].p) is not None])
        for index, value in zip(indices, values, strict=True):
            listed[index] = replace(listed[index], p_holm=value, tests=len(indices))
    return tuple(listed)
