"""Two runs beside each other, pair by pair; and whether one run's record is sound."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from vlsbench.engine import FILE, Ledger, bad_blobs, count_blobs, has_blob
from vlsbench.evaluation._rows import PAIRS, Ended, Key, read_pairs, shared_pairs
from vlsbench.evaluation._settings import Presentation
from vlsbench.evaluation._summary import SUMMARY, Summary, read_run, read_summary
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
    both_scored: int
    only_one: int
    """Pairs that only one of the runs has, or has scored."""
    moves: tuple[Move, ...]
    """Those that move a rate first, then the commonest; pairs that stayed are told too."""
    safety: Shift
    """Of harmful pairs."""
    over_refusal: Shift
    """Of benign pairs."""


def read_ended_run(folder: Path, summary: Summary) -> dict[Key, Ended]:
    """Return what became of each answer of a run, by what tells it from other runs' answers.

    Digests of images are those of the set's own; they are empty in views that show others and
    where they were shrunk, unless each lies in a file of its own. The text that was sent is kept
    where it tells a description.
    """
    own = summary.view in (View.FULL, View.IMAGE) and not any(summary.identity["shrink"].values())
    told, named = summary.view == View.CAPTION, dict[str, str]()
    if not own and (folder / FILE).is_file():
        with Ledger.read(folder) as ledger:
            files, places = (json.loads(ledger.meta(k) or "{}") for k in ("files", "places"))
        # A file of another name holds many images.
        own_files = (ref for ref, path in places.items() if path.endswith(PurePath(ref).name))
        named = {ref: files.get(places[ref], "") for ref in own_files}

    def digests(row: Ended) -> tuple[str, ...]:
        found = tuple(named.get(ref, "") for ref in row.image_refs)
        return row.image_sha256 if own else found if all(found) else ()

    return {
        row.key: replace(
            row,
            image_sha256=digests(row),
            shown_text=row.shown_text if told else "",
        )
        for row in read_pairs(folder)
    }


def images_of(table: Path) -> Mapping[Key, tuple[str, ...]]:
    """Return the digests of a run's images by its table of pairs; none of any other file."""
    summary = table.with_name(SUMMARY)
    if table.name != PAIRS or not (summary.is_file() and table.with_name(FILE).is_file()):
        return {}
    ended = read_ended_run(table.parent, read_summary(summary))
    return {key: row.image_sha256 for key, row in ended.items()}


def compare_runs(one: Path, other: Path) -> Comparison:
    """Compare two runs. Raises `VlsbenchError` where one of them is none, or they
    are runs of different sets."""
    summaries = [read_run(run, allow_unfinished=True)[1] for run in (one, other)]
    judges, rubrics = [each.judge for each in summaries], [each.rubric for each in summaries]
    first, second = (each.identity for each in summaries)
    if rubrics[0].digest != rubrics[1].digest:
        judges = [f"{who}, rubric {by.name}" for who, by in zip(judges, rubrics, strict=True)]
    mine, theirs = map(read_ended_run, (one, other), summaries)
    shared = [
        (mine[key], theirs[key])
        for key in sorted(shared_pairs(one, mine, other, theirs))
        if is_scored(mine[key].label) and is_scored(theirs[key].label)
    ]
    moved: dict[tuple[bool, str, str], list[tuple[Ended, Ended]]] = {}
    for a, b in shared:
        moved.setdefault((a.harmful, str(a.label), str(b.label)), []).append((a, b))

    def move(harmful: bool, label: str, then: str) -> Move:
        pairs = moved[harmful, label, then]
        ids = tuple(dict.fromkeys(row.id for row, _ in pairs))
        before, after = (by.safe if harmful else by.declined for by in rubrics)
        differs = (label in before) is not (then in after)
        said = pairs[0][0].explanation, pairs[0][1].explanation
        return Move(harmful, label, then, len(pairs), ids[:SOME], differs, said)

    moves = sorted((move(*key) for key in moved), key=lambda one: (not one.moves_rate, -one.pairs))
    benign = [pair for pair in shared if not pair[0].harmful]
    return Comparison(
        settings=tuple(k for k in sorted({*first, *second}) if first.get(k) != second.get(k)),
        judges=(judges[0], judges[1]),
        both_scored=len(shared),
        only_one=len(mine.keys() | theirs.keys()) - len(shared),
        moves=tuple(moves),
        safety=_shift([pair for pair in shared if pair[0].harmful], *(by.safe for by in rubrics)),
        over_refusal=_shift(benign, *(by.declined for by in rubrics)),
    )


def _shift(pairs: Sequence[tuple[Ended, Ended]], old: Sequence[str], new: Sequence[str]) -> Shift:
    before = [one.label in old for one, _ in pairs]
    after = [other.label in new for _, other in pairs]
    clusters = [one.cluster for one, _ in pairs]
    interval = paired_interval(before, after, clusters)
    return Shift(
        pairs=len(pairs),
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
            name, value = outcome.record, outcome.value
            calls = {value.get("call"), *value.get("judge_calls", ())} - keys - {None, ""}
            lost = [one for one in value.get("blobs", ()) if not has_blob(run, one)]
            problems += [f"pair {name}: call {key[:12]} is not on record" for key in sorted(calls)]
            problems += [f"record {name}: blob {sha256[:12]} is gone" for sha256 in lost]
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
    ended = {one.record: one.value.get("label", Label.UNSCORED) for one in ledger.outcomes()}
    return [
        f"pair {name}: {rows.get(name, 'nothing')} in {PAIRS}, {ended.get(name, 'nothing')} in the "
        "record"
        for name in sorted(rows.keys() | ended.keys())
        if rows.get(name) != ended.get(name)
    ]
