"""The pairs that may be released: chosen by their texts, then decoded image by image."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.pairs import Image, ImageError, Pair, PairSet, decode
from vlsbench.releasing._about import ABOUT
from vlsbench.releasing._card import terms
from vlsbench.releasing._settings import Content, ReleaseConfig, missing_content
from vlsbench.schemas import convert
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
