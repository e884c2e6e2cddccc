"""What a release tells of its pairs: counts, findings, and how each came about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vlsbench.auditing import Card, caveats, read_card
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_jsonl
from vlsbench.releasing._about import (
    Agreement,
    Figure,
    Leakage,
    Made,
    SourceCount,
    Statistics,
    SubcategoryCount,
)
from vlsbench.releasing._pairs import Entry, twin_of
from vlsbench.reviewing import Role, Status
from vlsbench.schemas import convert, read_json, read_jsonl


def statistics(entries: Sequence[Entry]) -> Statistics:
    """Count pairs and images. All are counted; nothing is an estimate."""
    pairs = [entry.pair for entry in entries]
    ids = {pair.id for pair in pairs}
    uses = Counter(name for entry in entries for name in {name for name, _ in entry.images})
    kinds = Counter((pair.category, pair.subcategory, pair.harmful) for pair in pairs)
    sources = Counter((entry.pair.source, entry.licence) for entry in entries)
    return Statistics(
        subcategories=tuple(
            SubcategoryCount(*name, kinds[*name, True], kinds[*name, False])
            for name in sorted({(pair.category, pair.subcategory) for pair in pairs})
        ),
        sources=tuple(SourceCount(*of, count) for of, count in sorted(sources.items())),
        shared=sum(count > 1 for count in uses.values()),
        twins=sum(twin_of(pair) in ids and not pair.harmful for pair in pairs),
    )


def leakage(path: Path, bench: str) -> Leakage:
    """Read the `card.json` of an audit of `bench`. Raises `VlsbenchError`."""
    card = read_card(path)
    if card.bench != bench and not card.bench.startswith(f"{bench} without "):
        raise VlsbenchError(
            f"{path} is the leakage card of {card.bench}, not of {bench}: run `vlsbench audit` on "
            "the set that is released"
        )
    return Leakage(tuple(_figures(card)), card.pairs, card.simulated, caveats(card))


def _figures(card: Card) -> Iterator[Figure]:
    if card.overlap and (leak := card.leak):
        name = "queries that name what their image shows (measure A, corrected)"
        yield Figure(name, leak.value, leak.low, leak.high, leak.n)
    if card.judged:
        rate, corrected = card.judged.group.vsil, card.judged.group.corrected
        name = "harmful pairs that are harmful by their text alone (measure B, corrected)"
        yield Figure(name, corrected.value, corrected.low, corrected.high, rate.n)
        yield Figure("the same, as judged", rate.rate, rate.low, rate.high, rate.n)
    if card.behaviour and (gain := card.behaviour.gain):
        name = f"safety rate gained by seeing the image, {card.behaviour.model} (measure C)"
        yield Figure(name, gain.value, gain.low, gain.high, gain.n)


def agreement(path: Path, bench: str) -> Agreement:
    """Read what `vlsbench review status --json` printed of `bench`. Raises `VlsbenchError`."""
    status = read_json(path, Status)
    if status.bench != bench:
        raise VlsbenchError(f"{path} is of the review of {status.bench}, not of {bench}")
    found = tuple(
        Figure(str(one.question), one.alpha, one.low, one.high, one.n, "alpha")
        for one in status.agreement
    )
    return Agreement(
        found, sum(one.role is Role.REVIEWER and one.done > 0 for one in status.people)
    )


@dataclass(frozen=True, slots=True)
class _Call:
    key: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class _Step:
    calls: tuple[_Call, ...] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """What is read of a line of a build's provenance."""

    id: str
    ended: str = ""
    stage: str = ""
    reason: str = ""
    steps: tuple[_Step, ...] = ()


def copy_provenance(
    path: Path, to: Path, released: Collection[str], excluded: Mapping[str, str]
) -> Made:
    """Write the provenance of a build, without its quarantined records.

    The line of a finished record that is not released says why (`left_out`).

    Raises:
        VlsbenchError: A line is not as `vlsbench build` writes it, or a released pair has none.
    """
    known: set[str] = set()
    calls: set[int] = set()
    models, reasons = Counter[str](), Counter[str]()

    def lines() -> Iterator[dict[str, Any]]:
        for line in read_jsonl(path, dict[str, Any]):
            one = convert(line, _Line, f"{path}, record {len(known) + 1}", foreign=True)
            if one.id in known:
                raise VlsbenchError(f"{path}: record {one.id} occurs twice")
            known.add(one.id)
            for call in (call for step in one.steps for call in step.calls):
                # What a record was made from is in the lines of all its children: each call counts
                # once. A number for the key, since there may be millions.
                if (key := hash(call.key)) not in calls:
                    calls.add(key)
                    models[call.model or "unknown"] += 1
            reason = excluded.get(one.id, "")
            if one.ended == "dropped":
                reason = ": ".join(filter(None, (one.stage, one.reason))) or "dropped"
            elif one.ended == "released" and one.id not in released:
                reason = reason or "not in the set"
                line["left_out"] = reason
            reasons.update([reason] if reason else ())
            if one.ended != "quarantined":
                yield line

    written = write_jsonl(lines(), to)
    if missing := sorted(set(released) - known):
        raise VlsbenchError(
            f"{path} has no line for {len(missing):,} released pairs ({', '.join(missing[:3])}): "
            "it is the provenance of another set, or incomplete"
        )
    return Made(len(known), written, dict(reasons.most_common()), dict(models.most_common()))
