"""The pairs that may be released, and what a release tells of them and how they came about."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from vlsbench.auditing import Card, caveats, read_card
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.files import write_jsonl
from vlsbench.pairs import Image, ImageError, Pair, PairSet, decode
from vlsbench.releasing._about import (
    ABOUT,
    Agreement,
    Content,
    Figure,
    Leakage,
    Made,
    ReleaseConfig,
    SourceCount,
    Statistics,
    SubcategoryCount,
    missing_content,
)
from vlsbench.releasing._card import terms
from vlsbench.reviewing import Role, Status
from vlsbench.schemas import convert, read_json, read_jsonl
from vlsbench.text import storable


@dataclass(frozen=True, slots=True)
class Entry:
    """One pair to release."""

    pair: Pair
    """Without its images, once they were read."""
    licence: str
    """Of its images."""
    images: tuple[tuple[str, Image], ...] = ()
    """Each with the SHA-256 and the extension of its bytes, once they were read."""


def twin_of(pair: Pair) -> str:
    """Return the pair that a pair is a twin of; empty for one that is none."""
    twin = pair.twin or pair.meta.get("twin_of")
    return twin if isinstance(twin, str) else ""


def choose(pairs: PairSet, settings: ReleaseConfig, excluded: Mapping[str, str]) -> list[Entry]:
    """Return the pairs to release.

    Raises:
        VlsbenchError: A source has no licence, an id to leave out is not in the set, or no pair is
            left.
    """
    unlicensed: Counter[str] = Counter()
    unknown = set(excluded)
    chosen: list[Entry] = []
    declared = pairs.source.licence if pairs.source else ""
    for pair in pairs:
        unknown.discard(pair.id)
        if pair.id not in excluded:
            own = pair.meta.get("image_licence")
            licence = own.strip() if isinstance(own, str) else ""
            licence = licence or settings.licences.get(pair.source) or declared
            unlicensed[pair.source] += not licence
            chosen.append(Entry(pair, licence))
    if unknown:
        raise VlsbenchError(
            f"{pairs.name} has no pair {', '.join(sorted(unknown)[:3])}: the list of pairs to keep "
            "or leave out belongs to another set or version"
        )
    if not chosen:
        raise VlsbenchError(f"{pairs.name}: no pair is left to release")
    if +unlicensed:
        named = ", ".join(f"{name or '(none named)'} ({n:,})" for name, n in (+unlicensed).items())
        raise VlsbenchError(
            f"{pairs.name}: no licence is known for images of these sources (pairs): {named}; give "
            "--source-licence 'SOURCE=LICENCE' for each ('=LICENCE' where none is named), or "
            "[licences] in --config"
        )
    return chosen


def content_of(pairs: PairSet, settings: ReleaseConfig, chosen: Sequence[Entry]) -> Content:
    """Return what is said of the pairs' content. Raises `VlsbenchError` where that is nothing."""
    if any(asdict(settings.content).values()):
        return settings.content
    declared = pairs.source.content if pairs.source else {}
    if not declared and any(entry.pair.harmful for entry in chosen):
        raise VlsbenchError(missing_content(list(asdict(settings.content))))
    told = dict(declared) or terms()["benign_content"]
    return convert(told, Content, f"{pairs.name}: content")


def gather(
    pairs: PairSet, chosen: Sequence[Entry], *, skip_bad: bool
) -> tuple[list[Entry], Counter[str]]:
    """Read every image; return the pairs by id, and by reason how many rows cannot be used.

    Raises:
        BadRows: Some images cannot be read, or some texts not be stored; lists every one.
    """
    names: dict[str, str] = {}
    bad: list[BadRow] = []
    found: list[Entry] = []
    for entry in chosen:
        pair, licence = entry.pair, entry.licence
        meta = {key: value for key, value in pair.meta.items() if key != "image_licence"}
        texts = [getattr(pair, name, licence) for name in ABOUT]
        try:
            if not pair.images:
                raise ImageError("has no image; only image-text pairs are released")
            json.dumps([*texts, dict(pair.labels), meta], ensure_ascii=False).encode()
            for image in pair.images:
                if image.ref not in names:
                    data = image.read()
                    decode(data, image.ref)
                    names[image.ref] = f"{data.sha256}.{data.extension}"
            images = tuple((names[image.ref], image) for image in pair.images)
            found.append(Entry(replace(pair, images=(), meta=meta), licence, images))
        except ImageError as error:
            file = pair.images[0].ref if pair.images else pairs.name
            bad.append(BadRow(file, pair.id, str(error)))
        except UnicodeError:
            named = storable(pair.id)
            bad.append(BadRow(pairs.name, named, "holds half a surrogate pair, which is not text"))
    if bad and not skip_bad:
        raise BadRows(pairs.name, bad)
    if not found:
        raise VlsbenchError(f"{pairs.name}: no pair is left to release")
    unusable = Counter({"unusable row": len(bad) + len(pairs.bad)})
    return sorted(found, key=lambda entry: entry.pair.id), unusable


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
