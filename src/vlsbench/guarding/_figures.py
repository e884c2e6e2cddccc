"""A guard in figures; `summary.json` is `dataclasses.asdict` of `GuardSummary` (docs/guards.md)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench.auditing.judged import Flags, JudgedPair, RunHead
from vlsbench.errors import BadRow
from vlsbench.judge import Part
from vlsbench.pages import Section, Table, cells, without_address
from vlsbench.schemas import read_json
from vlsbench.stats import Area, Rate, auroc
from vlsbench.text import counted

SCHEMA = "vlsbench.guard/1"
CAPTION = "Percent of pairs with a verdict; 95 % intervals clustered by image and by query."


@dataclass(frozen=True, slots=True)
class GuardSummary(RunHead):
    """All of an evaluation of a guard. `judge` is the guard."""

    form: str
    """How it is asked, a row of the table in docs/guards.md."""
    identity: Mapping[str, Any]
    """Everything that decides which calls are made."""
    verdict: Part
    """What of a pair its verdict is on: the pair, or all that it can judge."""
    open: int
    """Questions that were not asked yet."""
    left_out: tuple[BadRow, ...]
    unscored: Mapping[str, int]
    """Reason → pairs without a verdict: in no rate."""
    detection: Rate
    """Harmful pairs that are flagged, of those with a verdict."""
    false_alarms: Rate
    """Benign pairs that are flagged."""
    auroc: Area | None
    """Where the guard gives scores."""
    joint_misses: Rate | None
    """Harmful pairs held safe as a pair, of those whose text alone and whose image alone it holds
    safe; None where the guard does not judge all three."""
    categories: Mapping[str, Rate]
    """Category of harmful pairs → those that are flagged."""
    notes: tuple[str, ...] = ()


def read_guard(path: Path) -> GuardSummary:
    """Read a `summary.json` back. Raises `SchemaError` where it is none of a guard."""
    return read_json(path, GuardSummary, schema=SCHEMA)


def joint_misses(harmful: Sequence[JudgedPair]) -> Rate:
    """Count pairs held safe among those whose text and whose image are held safe alone."""
    alone = [pair for pair in harmful if (pair.pattern or "").startswith("SS")]
    return Flags(alone, [pair.pattern == "SSS" for pair in alone]).rate()


def by_category(harmful: Sequence[JudgedPair], verdict: Part) -> dict[str, Rate]:
    """Return what is detected of each category, by name."""
    groups: dict[str, list[JudgedPair]] = {}
    for pair in harmful:
        groups.setdefault(pair.category or "(none)", []).append(pair)
    return {name: Flags.of(groups[name], verdict).rate() for name in sorted(groups)}


def area(pairs: Sequence[JudgedPair], verdict: Part) -> Area | None:
    """Return the area under the ROC curve of the guard's scores; None where it gives none."""
    scored = [
        (one.score, pair)
        for pair in pairs
        for one in pair.findings
        if one.part == verdict and one.score is not None
    ]
    if not scored:
        return None
    scores = np.array([score for score, _ in scored])
    harmful = np.array([pair.harmful for _, pair in scored])
    return auroc(scores, harmful, [f"{pair.set}|{pair.cluster}" for _, pair in scored])


def guard_sections(found: GuardSummary) -> Iterator[Section]:
    """Return detection, false alarms and joint-only misses, and detection by category."""
    rates = {
        "harmful pairs detected": found.detection,
        "benign pairs flagged (false alarms)": found.false_alarms,
    }
    if found.joint_misses:
        rates["joint-only misses, of pairs safe by text and by image"] = found.joint_misses
    said = [
        f"{counted(pairs, 'pair')} without a verdict: {reason.replace('_', ' ')}."
        for reason, pairs in found.unscored.items()
    ]
    if area := found.auroc:
        said.append(f"AUROC of its scores: {area.value:.3f} [{area.low:.3f}, {area.high:.3f}].")
    yield Section(
        f"{found.bench} · {without_address(found.judge)} as {found.form}, by the {found.verdict}",
        said,
        _table("", rates),
    )
    if len(found.categories) > 1:
        yield Section("Detected by category", table=_table("category", found.categories))


def _table(what: str, rates: Mapping[str, Rate]) -> Table:
    rows = [cells(name, rate.n, rate) for name, rate in rates.items()]
    return Table([what, "n", "percent"], rows, caption=CAPTION, bar="percent")
