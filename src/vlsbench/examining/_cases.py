"""Cases whose truth is known: planted in the lab's world, labelled by people, or brought."""

from __future__ import annotations

import random
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from vlsbench.config import Sample
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.judge import OURS, Definitions, Label
from vlsbench.pairs import (
    Fields,
    MadeImage,
    Pair,
    RowError,
    decode,
    encode,
    home_folder,
    load,
    read_pairs,
)

PLANTED: Mapping[str, Any] = tomllib.loads(
    files("vlsbench.examining").joinpath("planted.toml").read_text("utf-8")
)
REWORDED = [
    replace(
        OURS,
        harmful=Definitions(
            tuple(replace(one, definition=told[one.name]) for one in OURS.harmful.labels),
            told["policy"],
            told["guidance"],
        ),
    )
    for told in PLANTED["rubrics"]
]
"""Our rubric in other words."""
SAFE = (Label.REFUSAL, Label.WARNING)
LAB_PAIRS = 30
"""Pairs of the lab unless told otherwise; each probe has a case about each of them."""


@dataclass(frozen=True, slots=True)
class Planted:
    """A reply with what a judge should say of it."""

    id: str
    probe: str
    what: str
    """What the probe plants, in words."""
    pair: Pair
    reply: str
    truth: Label | None
    """None where people said no more than whether it is safe."""
    safe: bool
    """Whether the reply is safe; of a harmless request, whether it was declined."""
    base: str = ""
    """Id of the plain case that must get the same verdict; empty where the truth is asked for."""
    wording: str = ""
    """What the reply was worded from, which cases of a probe share; empty where it is its own."""
    target: str = ""
    """Who wrote the reply, where it was a model."""
    rubric: int = 0
    """Which of `REWORDED` stands in place of the judge's rubric, from 1; 0 is the judge's own."""
    epoch: int = 0
    """How often the same question was asked before."""


def planted(name: str, data_root: Path | None, sample: Sample) -> list[Planted]:
    """Return the cases of a set: `lab`, of so many pairs, or a sample of `xstest`, `msts`, a file.

    Raises:
        VlsbenchError: There is no such set, its files are not there, or rows cannot be used.
    """
    if name == "lab":
        return list(lab_cases(sample.limit or LAB_PAIRS))
    if name in PLANTED["people"]:
        cases = list(_labelled(name, data_root / name if data_root else home_folder(name)))
    else:
        cases = list(_brought(name))
    if sample.limit is None or sample.limit >= len(cases):
        return cases
    chosen = random.Random(sample.seed).sample(range(len(cases)), sample.limit)
    return [cases[number] for number in sorted(chosen)]


def lab_cases(pairs: int) -> Iterator[Planted]:
    """Plant every probe in the lab's leakless and benign pairs."""
    harmful = list(load(f"lab/leakless?n={pairs}"))
    benign = list(load(f"lab/benign?n={pairs}"))
    plain: list[Planted] = []
    for kind, those in (("right", harmful), ("benign", benign)):
        for probe, told in PLANTED[kind].items():
            replies = [(Label(k), one) for k, v in told.items() if k != "what" for one in v]
            # The labels in turn, so that every probe holds about as many of each.
            replies.sort(key=lambda item: told[item[0]].index(item[1]))
            for pair, (truth, reply) in zip(those, cycle(replies), strict=False):
                it = f"the {pair.meta['object']}"
                said = reply.format(it=it, why=pair.reason)
                safe = truth in SAFE
                place = f"{probe}/{pair.id}", probe, told["what"]
                case = Planted(*place, pair, said, truth, safe, wording=reply)
                plain += [case] * (probe == "plain")
                yield case
    for probe, told in PLANTED["flips"].items():
        for number, case in enumerate(plain):
            changed = _changed(case, probe, told, number)
            # One sentence stays the same, whichever way round it stands.
            if probe != "turned-round" or changed.reply != case.reply:
                yield changed


def _changed(case: Planted, probe: str, told: Mapping[str, Any], number: int) -> Planted:
    labels = OURS.labels(True)
    wrong = labels[(labels.index(str(case.truth)) + 1 + number % 2) % 3]
    before, after = told.get("before", ""), told.get("after", "").format(wrong=wrong)
    reply, pair = f"{before}{case.reply}{after}", case.pair
    if probe == "turned-round":
        reply = " ".join(reversed(re.split(r"(?<=[.!?]) +", reply)))
    if "image" in told:
        pair = replace(pair, images=(_speaking(pair, told["image"].format(wrong=wrong)),))
    return replace(
        case,
        id=f"{probe}/{pair.id}",
        probe=probe,
        what=told["what"],
        pair=pair,
        reply=reply,
        base=case.id,
        rubric=1 + number % len(REWORDED) if probe == "rubric-reworded" else 0,
        epoch=int(probe == "asked-again"),
    )


def _speaking(pair: Pair, text: str) -> MadeImage:
    """Return a pair's image with a text below it."""

    def make(image: Any = pair.images[0]) -> bytes:
        from PIL import Image, ImageDraw, ImageFont

        picture = decode(image.read())
        lines = textwrap.wrap(text, 40)
        side = max(picture.width, 480)
        whole = Image.new("RGB", (side, picture.height + 30 * len(lines) + 20), "white")
        whole.paste(picture, ((side - picture.width) // 2, 0))
        font = ImageFont.load_default(size=22)
        ImageDraw.Draw(whole).text((10, picture.height + 8), "\n".join(lines), "black", font)
        return encode(whole, image.ref).data

    return MadeImage(f"speaking-{pair.images[0].ref}-{pair.id}", make)


def _labelled(name: str, root: Path) -> Iterator[Planted]:
    """Read replies that people labelled. Raises `BadRows` for all rows that cannot be used."""
    told = PLANTED["people"][name]
    named = told["columns"]
    files = sorted(root.glob(told["files"]))
    if not files:
        raise VlsbenchError(f"no {told['files']} in {root}: point --data-root at the folder above")

    def meta(row: Fields) -> dict[str, str]:
        label = row.text(named["label"])
        kinds = (kind for mark, kind in told["labels"].items() if label.startswith(mark))
        if (found := next(kinds, None)) is None:
            raise RowError(f"{named['label']} is {label!r}, which is not known")
        target = row.maybe(named["target"]) if "target" in named else ""
        return {
            "kind": found[0],
            "truth": found[1],
            "reply": row.text(named["reply"]),
            "by": target,
        }

    def harmful(row: Fields) -> bool:
        return "type" not in row.fields or row.text("type").startswith("contrast_")

    columns = {key: named[key] for key in ("id", "query", "description") if key in named}
    for file in files:
        rows = list(read_pairs(file, meta=meta, harmful=harmful, **columns))
        if bad := [row for row in rows if isinstance(row, BadRow)]:
            raise BadRows(file.name, bad, rest=False)
        for number, pair in enumerate(row for row in rows if isinstance(row, Pair)):
            kind, truth, reply, target = map(str, pair.meta.values())
            label = Label(truth) if truth else None
            if label is Label.UNSAFE and not pair.harmful:
                label = Label.ANSWERED
            yield Planted(
                id=f"{name}/{file.stem}/{number}",
                probe=f"{name}, {kind}",
                what=f"{kind}, as people labelled it",
                pair=pair,
                reply=reply,
                truth=label,
                safe=kind == "safe" or label in SAFE,
                target=target or file.stem.rpartition("_")[2],
            )


def _brought(path: str) -> Iterator[Planted]:
    """Read cases of a custom dataset: columns query, reply, truth, and perhaps probe and target."""
    pairs = load(path)
    faults = []
    for number, pair in enumerate(pairs, start=1):
        reply, truth = (str(pair.meta.get(name) or "").strip() for name in ("reply", "truth"))
        labels = OURS.labels(pair.harmful)
        if not reply:
            faults.append(f"row {number}: no reply")
        elif truth not in labels:
            faults.append(f"row {number}: truth {truth!r} is none of {', '.join(labels)}")
        else:
            probe = str(pair.meta.get("probe") or "brought")
            target, safe = str(pair.meta.get("target") or ""), truth in SAFE
            place = f"{pairs.name}/{pair.id}", probe, "cases that were brought"
            yield Planted(*place, pair, reply, Label(truth), safe, target=target)
    if faults:
        more = f" and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise VlsbenchError(f"{path}: {'; '.join(islice(faults, 10))}{more}")
