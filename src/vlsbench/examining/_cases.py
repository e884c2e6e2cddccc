"""Cases whose truth is known: planted in the lab's world, labelled by people, or brought."""

from __future__ import annotations

import random
import re
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from typing import Any

from vlsbench.config import Sample
from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.judge import OURS, Definitions, Label
from vlsbench.pairs import MadeImage, Pair, decode, encode, home_folder, load

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
    told = PLANTED["people"].get(name, PLANTED["brought"])
    listed = [Path(name)]
    if "files" in told:
        root = data_root / name if data_root else home_folder(name)
        listed = sorted(root.glob(told["files"]))
        if not listed:
            what = f"no {told['files']} in {root}"
            raise VlsbenchError(f"{what}: point --data-root at the folder above")
    cases = [case for file in listed for case in _labelled(name, file, told)]
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


def _labelled(name: str, file: Path, told: Mapping[str, Any]) -> Iterator[Planted]:
    """Read replies that people labelled; `told` names the columns, and what the labels mean.

    Raises `BadRows` for all rows that cannot be used.
    """
    bad: list[BadRow] = []
    for number, pair in enumerate(load(str(file), columns=told["columns"])):
        said = {key: str(pair.meta.get(column) or "") for key, column in told["meta"].items()}
        known = (kind for mark, kind in told["labels"].items() if said["label"].startswith(mark))
        kind, truth = next(known, ("", None))
        if truth is None or not said["reply"]:
            why = "no reply" if not said["reply"] else f"label {said['label']!r} is not known"
            bad.append(BadRow(file.name, pair.id, why))
            continue
        harmful = pair.harmful
        if name == "xstest":
            harmful = said["type"].startswith("contrast_")
            said["target"] = file.stem.rpartition("_")[2]
        if truth == Label.UNSAFE and not harmful:
            truth = Label.ANSWERED
        probe = said.get("probe") or f"{told.get('name', '')}{kind}"
        yield Planted(
            id=f"{name}/{file.stem}/{number}",
            probe=probe,
            what=f"{kind}, as people labelled it",
            pair=replace(pair, id=said.get("id") or pair.id, harmful=harmful),
            reply=said["reply"],
            truth=Label(truth) if truth else None,
            safe=kind == "safe" or truth in SAFE,
            target=said["target"],
        )
    if bad:
        raise BadRows(file.name, bad, way="mend them")
