"""Two runs beside each other, pair by pair; and whether one run's record is sound."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.engine import Ledger, bad_blobs, count_blobs, has_blob
from vlsbench.evaluation._rows import PAIRS, read_pairs, shared_pairs
from vlsbench.judge import Label
from vlsbench.models import call_key_of
from vlsbench.stats import paired_interval, paired_p

SAFE = (Label.REFUSAL, Label.WARNING)


@dataclass(frozen=True, slots=True)
class Move:
    """How many pairs had one label in the first run and another in the second."""

    before: str
    after: str
    pairs: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `runs diff` finds."""

    settings: tuple[str, ...]
    """Parts of the runs' identities that differ."""
    both_scored: int
    only_one: int
    """Pairs that only one of the runs has, or has scored."""
    agreeing: int
    moves: tuple[Move, ...]
    both_harmful: int
    safety_difference: float | None
    """Second minus first, over the harmful pairs that both scored."""
    safety_low: float | None
    safety_high: float | None
    p: float | None
    """Exact two-sided p of a sign-flip test over images."""


def _identity(run: Path) -> dict[str, Any]:
    with Ledger.read(run) as ledger:
        found: dict[str, Any] = json.loads(ledger.meta("identity") or "{}")
        return found


def compare_runs(one: Path, other: Path) -> Comparison:
    """Compare two runs. Raises `VlsbenchError` where one of them is none, or they
    are runs of different sets."""
    first, second = _identity(one), _identity(other)
    settings = tuple(k for k in sorted({*first, *second}) if first.get(k) != second.get(k))
    mine, theirs = ({row.id: row for row in read_pairs(run)} for run in (one, other))
    shared = [
        key
        for key in shared_pairs(one, mine, other, theirs)
        if mine[key].label.scored and theirs[key].label.scored
    ]
    moves = Counter((str(mine[key].label), str(theirs[key].label)) for key in shared)
    harmful = sorted(key for key in shared if mine[key].harmful and theirs[key].harmful)
    before = [mine[key].label in SAFE for key in harmful]
    after = [theirs[key].label in SAFE for key in harmful]
    clusters = [mine[key].cluster for key in harmful]
    interval = paired_interval(before, after, clusters)
    return Comparison(
        settings=settings,
        both_scored=len(shared),
        only_one=len(mine.keys() | theirs.keys()) - len(shared),
        agreeing=sum(count for (a, b), count in moves.items() if a == b),
        moves=tuple(Move(a, b, n) for (a, b), n in sorted(moves.items())),
        both_harmful=len(harmful),
        safety_difference=(sum(after) - sum(before)) / len(harmful) if harmful else None,
        safety_low=interval.low if interval else None,
        safety_high=interval.high if interval else None,
        p=paired_p(before, after, clusters) if harmful else None,
    )


@dataclass(frozen=True, slots=True)
class Soundness:
    """What `runs verify` finds."""

    calls: int
    outcomes: int
    open: int
    blobs: int
    problems: tuple[str, ...]


def verify_run(run: Path) -> Soundness:
    """Check a run: database, keys against requests, digests, outcomes against calls and files."""
    with Ledger.read(run) as ledger:
        problems = [f"database: {complaint}" for complaint in ledger.integrity()]
        identity = json.loads(ledger.meta("identity") or "{}")
        models = {
            "target": identity.get("target"),
            "judge": identity.get("judge", {}).get("model"),
        }
        keys = set()
        for call in ledger.calls():
            keys.add(call.key)
            model = models.get(call.role) or identity.get("models", {}).get(call.model)
            if model and call_key_of(model, call.request) != call.key:
                problems.append(f"call {call.key[:12]}: request does not belong to its key")
        outcomes = 0
        for outcome in ledger.outcomes():
            outcomes += 1
            wanted = [outcome.value.get("call"), *outcome.value.get("judge_calls", ())]
            problems += [
                f"pair {outcome.record}: call {key[:12]} is not on record"
                for key in wanted
                if key and key not in keys
            ]
            problems += [
                f"record {outcome.record}: blob {sha256[:12]} is gone"
                for sha256 in outcome.value.get("blobs", ())
                if not has_blob(run, sha256)
            ]
        problems += [f"blob {name}: content has another digest" for name in bad_blobs(run)]
        pairs = int(ledger.meta("pairs") or 0)
        if ledger.meta("complete") and outcomes != pairs:
            problems.append(f"marked complete with {outcomes} outcomes for {pairs} pairs")
        problems += _check_pairs_file(run, ledger)
        still_open = max(0, pairs - outcomes)  # a build says how many there are at its end
        return Soundness(len(keys), outcomes, still_open, count_blobs(run), tuple(problems))


def _check_pairs_file(run: Path, ledger: Ledger) -> list[str]:
    if not (run / PAIRS).is_file():
        return []
    rows = {row.id: row.label for row in read_pairs(run)}
    found = []
    for outcome in ledger.outcomes():
        stored = rows.pop(outcome.record, None)
        label = outcome.value.get("label", Label.UNSCORED)
        if stored is None:
            found.append(f"pair {outcome.record}: ended, but not in {PAIRS}")
        elif stored != label:
            found.append(f"pair {outcome.record}: {stored} in {PAIRS}, {label} on record")
    return found + [f"pair {name}: in {PAIRS}, but not on record" for name in rows]
