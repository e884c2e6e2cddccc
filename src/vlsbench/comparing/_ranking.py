"""Models in the order of their safety on one benchmark, where nothing but the model differs.

`leaderboard.json` is `dataclasses.asdict` of `Ranking`; docs/leaderboard.md describes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import combinations
from pathlib import Path
from typing import Any

from vlsbench import __version__
from vlsbench.comparing._paired import paired
from vlsbench.comparing._runs import Named, OpenRun, open_runs
from vlsbench.comparing._table import Kind, Scope
from vlsbench.config import option, settings
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Estimate, find_calibration, shared_pairs
from vlsbench.pages import label
from vlsbench.pairs import View
from vlsbench.stats import Interval, Rate, holm, interval_p

SCHEMA = "vlsbench.ranking/1"
ALPHA = 0.05
SWAPPED = "draw of swapped images"
MUST_AGREE: Mapping[str, tuple[str, ...]] = {
    "judge": ("judge", "judge_partial"),
    "view": ("view",),
    "system prompt": ("system",),
    "pair set": ("bench", "data"),
    SWAPPED: ("seed",),
}
"""What may not differ, in words → the parts of a run's identity that tell."""
NOTED = {
    "params": "sampling parameters",
    "samples": "answers to each pair",
    "shrink": "image size",
    "content": "image files, descriptions, or where the set lies",
}
"""Part of a run's identity → what is noted where it differs."""


@settings()
class LeaderboardConfig:
    """The settings of `vlsbench leaderboard`, and the keys of its configuration file."""

    runs: tuple[str, ...] = option(
        "Folders of runs (or NAME=FOLDER), or folders that hold some.",
        metavar="RUN",
        argument=True,
        whole=True,
    )
    allow_unfinished: bool = option("Take runs with open pairs, and say so.", default=False)
    out: Path = option(
        "Write the page and JSON into this folder.",
        default=Path("leaderboard"),
        flags=("--out", "-o"),
    )


class RankedBy(StrEnum):
    """The figure that decides: the first of these that every run has."""

    CORRECTED_NET = "corrected net rate"
    NET = "net rate"
    CORRECTED_SAFETY = "corrected safety rate"
    SAFETY = "safety rate"


CORRECTED = {
    RankedBy.CORRECTED_NET: ("net", "both"),
    RankedBy.CORRECTED_SAFETY: ("safety", "harmful"),
}
"""What it is here → name and pairs of a rate in a calibration."""


@dataclass(frozen=True, slots=True)
class RankedRun:
    """One row."""

    place: int
    """1 + the better rows that are significantly better; tied rows share it."""
    name: str
    model: str
    run: str
    """Its folder."""
    figures: Mapping[RankedBy, Estimate]
    """`RankedBy` → the figure, a share; without those that the run does not have."""
    over_refusal: Rate | None
    """None without benign pairs."""
    pairs: int
    """Answers to harmful and benign pairs; open ones are not in it."""
    unscored: int
    filtered: int
    open: int
    calibration: str
    """What was corrected by how many labels, or why nothing was."""
    tied: tuple[str, ...]
    """Rows from which it does not differ significantly."""
    simulated: bool


@dataclass(frozen=True, slots=True)
class Test:
    """Whether two rows differ in the figure that decides."""

    better: str
    other: str
    difference: float
    """Of the shares."""
    p: float
    p_holm: float
    """Corrected for all tests of the leaderboard."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """All of `leaderboard.json`."""

    schema: str
    vlsbench: str
    made: str
    bench: str
    view: str
    judge: str
    ranked_by: RankedBy
    rows: tuple[RankedRun, ...]
    tests: tuple[Test, ...]
    identity: Mapping[str, Any]
    """What all runs have in common."""
    simulated: bool
    notes: tuple[str, ...]


def rank_runs(runs: Iterable[Named], *, allow_unfinished: bool) -> Ranking:
    """Rank models by their runs; see `rank`."""
    opened = open_runs(runs, allow_unfinished=allow_unfinished)
    if not opened:
        raise VlsbenchError("give the folders of runs, as in `vlsbench leaderboard runs/A runs/B`")
    _check_alike(opened)
    figures = {run.name: _figures(run) for run in opened}
    by = next(one for one in RankedBy if all(one in found for found in figures.values()))
    opened.sort(key=lambda run: (-figures[run.name][by].value, run.name))
    tests = _tests(opened, by, figures)
    places: list[int] = []
    for number, run in enumerate(opened):
        worse = {test.better for test in tests if test.other == run.name and test.p_holm < ALPHA}
        before = {other.name for other in opened[:number]}
        places.append(max([1 + len(worse & before), *places[-1:]]))
    rows = [
        _row(place, run, figures[run.name], tests)
        for place, run in zip(places, opened, strict=True)
    ]
    summary, apart = opened[0].summary, {"target", "limit", "seed", *NOTED}
    return Ranking(
        schema=SCHEMA,
        vlsbench=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        bench=summary.bench,
        view=summary.view,
        judge=summary.judge,
        ranked_by=by,
        rows=tuple(rows),
        tests=tests,
        identity={key: part for key, part in summary.identity.items() if key not in apart},
        simulated=any(run.simulated for run in opened),
        notes=tuple(_notes(opened, by, rows)),
    )


def _check_alike(runs: Sequence[OpenRun]) -> None:
    first, *others = runs
    lines = ["these runs cannot be ranked: give runs that differ in nothing but the model"]
    for run in others:
        for what, keys in MUST_AGREE.items():
            if what == SWAPPED and run.summary.view != View.SWAP:
                continue
            one, other = (_parts(each.summary.identity, keys) for each in (run, first))
            said = "; ".join(
                f"{part}: {label(_told(run, one, part), 120)}, not "
                f"{label(_told(first, other, part), 120)}"
                for part in sorted(one.keys() | other.keys())
                if one.get(part) != other.get(part)
            )
            if said:
                lines.append(f"  {run.folder}: another {what} than {first.folder} ({said})")
    if len(lines) > 1:
        raise VlsbenchError("\n".join(lines))


def _told(run: OpenRun, parts: Mapping[str, Any], part: str) -> Any:
    """Return a part of a run's identity as a reader knows it: a rubric by its name."""
    known = {"rubric": run.rubric, "protocol": run.rubric, "data": run.asked}
    return known.get(part) or parts.get(part)


def _parts(identity: Mapping[str, Any], keys: Sequence[str]) -> dict[str, Any]:
    """Return parts of an identity by name, what has parts itself part by part."""
    found: dict[str, Any] = {}
    for key in keys:
        value = identity.get(key)
        found |= value if isinstance(value, Mapping) else {key: value}
    return found


def _figures(run: OpenRun) -> dict[RankedBy, Estimate]:
    summary = run.summary
    found: dict[RankedBy, Estimate] = {}
    calibration, _ = find_calibration(run.folder, summary)
    for by, rate in CORRECTED.items():
        with suppress(KeyError):
            found |= {by: calibration.corrected(*rate)} if calibration else {}
    if summary.net:
        found[RankedBy.NET] = summary.net
    for group in summary.groups:
        if group.harmful and (safety := Estimate.of(group.safety)):
            found[RankedBy.SAFETY] = safety
    if RankedBy.SAFETY not in found:
        raise VlsbenchError(f"{run.folder}: no harmful pair is scored, so there is nothing to rank")
    return found


def _tests(
    runs: Sequence[OpenRun], by: RankedBy, figures: Mapping[str, Mapping[RankedBy, Estimate]]
) -> tuple[Test, ...]:
    """Test every two rows, the better one first; Holm corrects over all of them."""
    found = []
    for better, other in combinations(runs, 2):
        shared_pairs(better.folder, better.ended, other.folder, other.ended)
        if by in CORRECTED:
            apart = figures[better.name][by].less(figures[other.name][by])
            points, p = apart.value, interval_p(apart.value, Interval(apart.low, apart.high))
        else:
            points, p = _paired(other, better, by)
        found.append((better.name, other.name, points, p))
    corrected = holm([p for *_, p in found])
    return tuple(Test(*one, p_holm=p) for one, p in zip(found, corrected, strict=True))


def _paired(other: OpenRun, better: OpenRun, by: RankedBy) -> tuple[float, float]:
    """Return the difference over the pairs that both scored, and its p."""
    columns = dict.fromkeys(Kind, "")
    wanted = Kind.NET if by is RankedBy.NET else Kind.SAFETY
    for one in paired(other, better, Scope.OVERALL, row=better.name, columns=columns):
        if one.measure == wanted and one.points is not None:
            points, low, high = (part / 100 for part in (one.points, one.low or 0, one.high or 0))
            # Worse on the pairs that both have: what the rest says is not tested.
            p = interval_p(points, Interval(low, high)) if one.p is None else one.p
            return points, p if points > 0 else 1.0
    return 0.0, 1.0


def _row(
    place: int, run: OpenRun, figures: Mapping[RankedBy, Estimate], tests: Iterable[Test]
) -> RankedRun:
    summary, groups = run.summary, run.summary.groups
    calibration, why = find_calibration(run.folder, summary)
    benign = next((group for group in groups if not group.harmful), None)
    same = [
        test for test in tests if test.p_holm >= ALPHA and run.name in (test.better, test.other)
    ]
    if calibration:
        by_models = ", some by a model" if calibration.model_labels else ""
        why = f"corrected by {calibration.labelled:,} labels{by_models}"
    return RankedRun(
        place=place,
        name=run.name,
        model=summary.model,
        run=str(run.folder),
        figures=figures,
        over_refusal=benign.refusal if benign and benign.refusal.n else None,
        pairs=sum(group.pairs for group in groups),
        unscored=sum(sum(group.unscored.values()) for group in groups),
        filtered=sum(group.filtered for group in groups),
        open=summary.open,
        calibration=why,
        tied=tuple(test.other if test.better == run.name else test.better for test in same),
        simulated=run.simulated,
    )


def _notes(runs: Sequence[OpenRun], by: RankedBy, rows: Sequence[RankedRun]) -> Iterable[str]:
    if (rubric := runs[0].summary.rubric).identity:
        yield rubric.said
    if by not in CORRECTED:
        yield f"Ranked by the {by} as judged: not every run has a valid calibration."
    if by in (RankedBy.SAFETY, RankedBy.CORRECTED_SAFETY):
        yield (
            "Over-refusal is not in the order: some run has no benign pair scored, and one that "
            "declines everything is first; ask benign pairs too (eval --controls)."
        )
    for key, said in NOTED.items():
        if len({str(run.summary.identity.get(key)) for run in runs}) > 1:
            yield f"The runs differ in {said} too."
    for row in rows:
        if row.open:
            yield f"{row.name} is unfinished: {row.open:,} answers are open and in no figure."
