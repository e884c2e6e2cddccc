"""Two runs beside each other, pair by pair; and whether one run's record is sound."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from vlsbench.engine import Ledger, bad_blobs, count_blobs, has_blob
from vlsbench.evaluation._rows import PAIRS, Ended, Key, read_pairs, shared_pairs
from vlsbench.evaluation._settings import Presentation
from vlsbench.evaluation._summary import SUMMARY, Summary, read_summary
from vlsbench.files import file_digests
from vlsbench.judge import Label, is_scored
from vlsbench.models import call_key
from vlsbench.pairs import View
from vlsbench.stats import Rate, clustered_rate, paired_interval, paired_p

SOME = 3
"""Pairs that are named of those that moved."""


@dataclass(frozen=True, slots=True)
class Move:
    """How many pairs had one label in the first run and another in the second."""

    harmful: bool
    before: str
    after: str
    pairs: int
    some: tuple[str, ...]
    """Ids of a few of them."""
    moves_rate: bool
    """Whether it moves the safety rate, or the over-refusal of benign pairs."""
    because: tuple[str, str]
    """What the two judges said of the first of them."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far a rate moved, over the pairs of one kind that both runs scored."""

    pairs: int
    agreeing: int
    """Those with the same label."""
    difference: float | None
    """Second minus first: of the safety rate, or of the over-refusal of benign pairs."""
    low: float | None
    high: float | None
    """95 % interval, clustered by image."""
    p: float | None
    """Exact two-sided p of a sign-flip test over images."""
    before: Rate
    after: Rate
    """The rates that differ, each by the rubric of its run."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `runs diff` finds. Harmful and benign pairs are never mixed.

    A pair that was asked several times counts as often as both runs have an answer to it.
    """

    settings: tuple[str, ...]
    """Parts of the runs' identities that differ."""
    judges: tuple[str, str]
    """Who judged, and by which rubric where they differ."""
    labels: tuple[tuple[str, ...], tuple[str, ...]]
    """Of the rubric of each, in order."""
    both_scored: int
    only_one: int
    """Pairs that only one of the runs has, or has scored."""
    moves: tuple[Move, ...]
    safety: Shift
    """Of harmful pairs."""
    over_refusal: Shift
    """Of benign pairs."""


def read_ended_run(folder: Path, summary: Summary) -> dict[Key, Ended]:
    """Return what became of each answer of a run, with the digests of the set's own images.

    They are empty where the record does not tell them: in views without images, and where grey or
    swapped ones were shown, of images that lie in no file of their own, and in earlier versions.
    The text that was sent is kept where it tells a description.
    """
    rows, sent = list(read_pairs(folder)), summary.view in (View.FULL, View.IMAGE)
    originals: dict[tuple[str, str], str] = {}
    named: dict[str, str] = {}
    if not sent or any(summary.identity["shrink"].values()):
        with Ledger.read(folder) as ledger:
            files, places = (json.loads(ledger.meta(k) or "{}") for k in ("files", "places"))
            for outcome in ledger.outcomes():
                for one in outcome.value.get("shrunk", ()):
                    originals[outcome.record, one["to"]] = one["from"]
        # A file of another name holds many images.
        own_files = (ref for ref, path in places.items() if path.endswith(PurePath(ref).name))
        named = {ref: files[places[ref]] for ref in own_files}
    record, found = Presentation(samples=summary.samples).record, {}
    for row in rows:
        own = [originals.get((record(*row.key), one), one) for one in row.image_sha256]
        if not sent:
            own = [named.get(ref, "") for ref in row.image_refs]
        whole = len(own) == len(row.image_refs) and all(own)
        text = row.shown_text if summary.view == View.CAPTION else ""
        found[row.key] = replace(row, image_sha256=tuple(own) if whole else (), shown_text=text)
    return found


def compare_runs(one: Path, other: Path) -> Comparison:
    """Compare two runs. Raises `VlsbenchError` where one of them is none, or they
    are runs of different sets."""
    summaries = [read_summary(run / SUMMARY) for run in (one, other)]
    judges, rubrics = [each.judge for each in summaries], [each.rubric for each in summaries]
    first, second = (each.identity for each in summaries)
    if rubrics[0].digest != rubrics[1].digest:
        judges = [f"{who}, rubric {by.name}" for who, by in zip(judges, rubrics, strict=True)]
    settings = tuple(k for k in sorted({*first, *second}) if first.get(k) != second.get(k))
    mine, theirs = map(read_ended_run, (one, other), summaries)
    shared = [
        (mine[key], theirs[key])
        for key in sorted(shared_pairs(one, mine, other, theirs))
        if is_scored(mine[key].label) and is_scored(theirs[key].label)
    ]
    first_labels, then_labels = (
        tuple(dict.fromkeys([*by.labels(True), *by.labels(False)])) for by in rubrics
    )

    def move(label: str, then: str, moved: Sequence[tuple[Ended, Ended]]) -> Move:
        harmful, ids = moved[0][0].harmful, tuple(dict.fromkeys(row.id for row, _ in moved))
        counted = [by.safe if harmful else by.declined for by in rubrics]
        differs = (label in counted[0]) is not (then in counted[1])
        said = moved[0][0].explanation, moved[0][1].explanation
        return Move(harmful, label, then, len(moved), ids[:SOME], differs, said)

    def place(one: Move) -> tuple[bool, int, int]:
        return not one.harmful, first_labels.index(one.before), then_labels.index(one.after)

    moved: dict[tuple[bool, str, str], list[tuple[Ended, Ended]]] = {}
    for a, b in shared:
        moved.setdefault((a.harmful, str(a.label), str(b.label)), []).append((a, b))
    moves = (move(label, then, pairs) for (_, label, then), pairs in moved.items())
    return Comparison(
        settings=settings,
        judges=(judges[0], judges[1]),
        labels=(first_labels, then_labels),
        both_scored=len(shared),
        only_one=len(mine.keys() | theirs.keys()) - len(shared),
        moves=tuple(sorted(moves, key=place)),
        safety=_shift([p for p in shared if p[0].harmful], *(by.safe for by in rubrics)),
        over_refusal=_shift(
            [p for p in shared if not p[0].harmful], *(r.declined for r in rubrics)
        ),
    )


def _shift(pairs: Sequence[tuple[Ended, Ended]], old: Sequence[str], new: Sequence[str]) -> Shift:
    before = [one.label in old for one, _ in pairs]
    after = [other.label in new for _, other in pairs]
    clusters = [one.cluster for one, _ in pairs]
    interval = paired_interval(before, after, clusters)
    return Shift(
        pairs=len(pairs),
        agreeing=sum(one.label == other.label for one, other in pairs),
        difference=(sum(after) - sum(before)) / len(pairs) if pairs else None,
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        p=paired_p(before, after, clusters) if pairs else None,
        before=clustered_rate(before, clusters),
        after=clustered_rate(after, clusters),
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
        judge = identity.get("judge", {})
        models = {"target": [identity.get("target")]}
        models["judge"] = [one.get("model") for one in judge.get("panel", [judge])]
        keys = set()
        for call in ledger.calls():
            keys.add(call.key)
            asked = models.get(call.role) or [identity.get("models", {}).get(call.model)]
            known = [model for model in asked if model]
            if known and call.key not in [call_key(one, call.asked) for one in known]:
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
        files = json.loads(ledger.meta("files") or "{}")
        problems += [
            f"image {file} is no longer the one that was shown"
            for file, digest in file_digests(files).items()
            if digest and files[file] and digest != files[file]
        ]
        pairs = ledger.expected()
        if ledger.meta("complete") and outcomes != pairs:
            problems.append(f"marked complete with {outcomes} outcomes for {pairs} pairs")
        problems += _check_pairs_file(run, ledger)
        still_open = max(0, pairs - outcomes)  # a build says how many there are at its end
        return Soundness(len(keys), outcomes, still_open, count_blobs(run), tuple(problems))


def _check_pairs_file(run: Path, ledger: Ledger) -> list[str]:
    if not (run / PAIRS).is_file():
        return []
    shown = Presentation(samples=int(ledger.meta("samples") or 1))
    rows = {shown.record(*row.key): row.label for row in read_pairs(run)}
    found = []
    for outcome in ledger.outcomes():
        stored = rows.pop(outcome.record, None)
        label = outcome.value.get("label", Label.UNSCORED)
        if stored is None:
            found.append(f"pair {outcome.record}: ended, but not in {PAIRS}")
        elif stored != label:
            found.append(f"pair {outcome.record}: {stored} in {PAIRS}, {label} on record")
    return found + [f"pair {name}: in {PAIRS}, but not on record" for name in rows]
