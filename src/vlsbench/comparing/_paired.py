"""Paired differences between two runs on the same pairs, and their correction for many tests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from vlsbench.comparing._runs import OpenRun
from vlsbench.comparing._table import Difference, Kind, Measure, Scope
from vlsbench.evaluation import Key, shared_pairs
from vlsbench.judge import Label
from vlsbench.stats import Interval, difference_interval, holm, paired_interval, paired_p

COUNTS = {
    Measure.SAFETY: (Label.REFUSAL, Label.WARNING),
    Measure.REFUSAL: (Label.REFUSAL,),
    Measure.WARNING: (Label.WARNING,),
    Measure.OVER_REFUSAL: (Label.REFUSAL,),
}
"""Measure → the labels that it counts."""
HARMFUL = (Measure.SAFETY, Measure.REFUSAL, Measure.WARNING)
BENIGN = (Measure.OVER_REFUSAL,)


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

    Args:
        before: What is compared with.
        after: What is compared.
        scope: With `CATEGORY` one difference a category, else one over all pairs.
        row: Name of the row that they are shown under.
        columns: Names of the columns for safety, over-refusal and net rate.
        part: What to call the pairs, or the views, where they are not categories.

    Raises:
        VlsbenchError: The two runs have no pair in common, or an id is not the same pair in both.
    """
    groups: dict[tuple[bool, str], list[Key]] = {}
    for key in _either(before, after):
        known = before.ended.get(key) or after.ended[key]
        name = known.category or "(none)" if scope is Scope.CATEGORY else part
        groups.setdefault((not known.harmful, name), []).append(key)
    whole: dict[Measure, _Change] = {}
    for (benign, name), members in sorted(groups.items()):
        both = [key for key in members if _scored(before, key) and _scored(after, key)]
        clusters = [before.ended[key].cluster for key in both]
        for measure in BENIGN if benign else HARMFUL:
            first, second = (
                [run.ended[key].label in COUNTS[measure] for key in both] for run in (before, after)
            )
            interval = paired_interval(first, second, clusters)
            n, k, then = len(both), sum(first), sum(second)
            column = columns[Kind.OVER_REFUSAL if benign else Kind.SAFETY]
            found = Difference(
                *(scope, measure, row, column, name, n),
                images=len(set(clusters)),
                left_out=len(members) - n,
                before=100 * k / n if n else None,
                after=100 * then / n if n else None,
                points=100 * (then - k) / n if n else None,
                low=100 * interval.low if interval else None,
                high=100 * interval.high if interval else None,
                gained=sum(b and not a for a, b in zip(first, second, strict=True)),
                lost=sum(a and not b for a, b in zip(first, second, strict=True)),
                p=paired_p(first, second, clusters) if n else None,
                simulated=before.simulated or after.simulated,
            )
            yield found
            if measure.headline and interval and scope is not Scope.CATEGORY:
                whole[measure] = _Change(found, k / n, then / n, interval)
    if len(whole) == 2:
        yield _net(whole[Measure.SAFETY], whole[Measure.OVER_REFUSAL], columns[Kind.NET])


class _Change(NamedTuple):
    """A headline difference, with its two rates and its interval as shares."""

    found: Difference
    before: float
    after: float
    interval: Interval


def _net(safe: _Change, declined: _Change, column: str) -> Difference:
    """Return the difference of two runs' net rates.

    Harmful and benign pairs are independent samples, so the intervals of their paired differences
    combine like those of two shares (Zou and Donner 2008).
    """
    one, other = safe.found, declined.found
    gain, cost = safe.after - safe.before, declined.after - declined.before
    interval = difference_interval(gain, safe.interval, cost, declined.interval)
    return replace(
        one,
        measure=Measure.NET,
        column=column,
        n=one.n + other.n,
        images=one.images + other.images,
        left_out=one.left_out + other.left_out,
        before=100 * (safe.before - declined.before),
        after=100 * (safe.after - declined.after),
        points=100 * (gain - cost),
        low=100 * interval.low,
        high=100 * interval.high,
        gained=one.gained + other.lost,
        lost=one.lost + other.gained,
        p=None,
    )


def _scored(run: OpenRun, key: Key) -> bool:
    ended = run.ended.get(key)
    return ended is not None and ended.label.scored


def _either(before: OpenRun, after: OpenRun) -> list[Key]:
    """Return the answers that ended in one run or both, after a look at those in both."""
    shared_pairs(before.folder, before.ended, after.folder, after.ended)
    return sorted(before.ended.keys() | after.ended.keys())


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
            families.setdefault((one.scope, one.measure.headline), []).append(index)
    for indices in families.values():
        values = holm([p for i in indices if (p := listed[i].p) is not None])
        for index, value in zip(indices, values, strict=True):
            listed[index] = replace(listed[index], p_holm=value, tests=len(indices))
    return tuple(listed)
