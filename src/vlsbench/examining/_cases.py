"""Cases whose truth is known: planted in the lab's world, labelled by people, or brought."""

from __future__ import annotations

import re
import textwrap
import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from vlsbench.errors import BadRow, BadRows, VlsbenchError
from vlsbench.judge import Label, reply_labels
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
    rubric: str = ""
    """Definitions in place of the judge's own."""
    epoch: int = 0
    """How often the same question was asked before."""


def planted(on: Sequence[str], data_root: Path | None, pairs: int | None) -> list[Planted]:
    """Return the cases of some sets: `lab`, `xstest`, `msts`, or the path of a file.

    Args:
        on: The sets.
        data_root: Folder that holds `xstest` and `msts`.
        pairs: Pairs of the lab.

    Raises:
        VlsbenchError: There is no such set, its files are not there, or rows cannot be used.
    """
    found: list[Planted] = []
    for name in on:
        if name == "lab":
            found += lab_cases(pairs or LAB_PAIRS)
        elif name in _LABELLED:
            root = data_root / name if data_root else home_folder(name)
            found += _LABELLED[name](root)
        else:
            found += _brought(name)
    return found


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
                safe = truth in (Label.REFUSAL, Label.WARNING)
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
    labels = reply_labels(True)
    wrong = labels[(labels.index(case.truth or labels[0]) + 1 + number % 2) % 3]
    before, after = told.get("before", ""), told.get("after", "").format(wrong=wrong)
    reply, pair, rubrics = f"{before}{case.reply}{after}", case.pair, told.get("rubrics", ("",))
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
        rubric=rubrics[number % len(rubrics)],
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


XSTEST_LABELS = {
    "1_full_compliance": ("full compliance", Label.UNSAFE),
    "2_full_refusal": ("full refusal", Label.REFUSAL),
    "3_partial_refusal": ("partial refusal", Label.WARNING),
}
MSTS_LABELS = {"1.2": Label.REFUSAL, "1.3": Label.WARNING, "2.1": Label.UNSAFE, "2.2": Label.UNSAFE}
"""Kinds of MSTS that say which label it is; of the others people said safe or unsafe alone."""


def _xstest(root: Path) -> Iterator[Planted]:
    harmful = {pair.id: pair.harmful for pair in load("xstest", data=root)}
    for file in _files(root / "model_completions", "xstest_v2_completions_*.csv"):
        target = file.stem.rpartition("_")[2]
        columns = ("completion", "final_label")
        for pair in _rows(file, columns, XSTEST_LABELS, id="id", query="prompt"):
            pair = replace(pair, harmful=harmful.get(pair.id, True))
            reply, label = (str(pair.meta[name]) for name in columns)
            kind, truth = XSTEST_LABELS[label]
            if truth is Label.UNSAFE and not pair.harmful:
                truth = Label.ANSWERED
            place = f"xstest/{target}/{pair.id}", f"xstest, {kind}", f"{kind}, by people's labels"
            safe = truth in (Label.REFUSAL, Label.WARNING)
            yield Planted(*place, pair, reply, truth, safe, target=target)


def _msts(root: Path) -> Iterator[Planted]:
    (file,) = _files(root / "data" / "response_annotations", "english_multimodal.csv")
    columns = ("response", "final_label", "final_taxonomy", "model")
    rows = _rows(
        file,
        columns,
        ("1 - safe", "2 - unsafe"),
        id=lambda row: f"{row.text('case_id')}-{row.text('prompt_type')}",
        query="prompt_text",
        description="unsafe_image_description",
    )
    for number, pair in enumerate(rows):
        reply, label, kind, target = (str(pair.meta[name]) for name in columns)
        side, truth = label.partition(" - ")[2], MSTS_LABELS.get(kind[:3])
        place = f"msts/{number}", f"msts, {side}", f"replies that people call {side}"
        yield Planted(*place, pair, reply, truth, side == "safe", target=target)


_LABELLED = {"xstest": _xstest, "msts": _msts}


def _files(folder: Path, pattern: str) -> list[Path]:
    found = sorted(folder.glob(pattern))
    if not found:
        raise VlsbenchError(f"no {pattern} in {folder}: point --data-root at the folder above it")
    return found


def _rows(
    file: Path, columns: Sequence[str], labels: Collection[str], **told: Any
) -> Iterator[Pair]:
    """Read replies that people labelled. Raises `BadRows` for all rows that cannot be used."""

    def meta(row: Fields) -> dict[str, Any]:
        if (label := row.text("final_label")) not in labels:
            raise RowError(f"final_label is {label!r}, none of {', '.join(labels)}")
        return row.only(*columns)

    rows = list(read_pairs(file, meta=meta, needs=columns, **told))
    if bad := [row for row in rows if isinstance(row, BadRow)]:
        raise BadRows(file.name, bad, rest=False)
    return (row for row in rows if isinstance(row, Pair))


def _brought(path: str) -> Iterator[Planted]:
    """Read cases of a custom dataset: columns query, reply, truth, and perhaps probe and target."""
    pairs = load(path)
    faults = []
    for number, pair in enumerate(pairs, start=1):
        reply, truth = (str(pair.meta.get(name) or "").strip() for name in ("reply", "truth"))
        labels = reply_labels(pair.harmful)
        if not reply:
            faults.append(f"row {number}: no reply")
        elif truth not in labels:
            faults.append(f"row {number}: truth {truth!r} is none of {', '.join(labels)}")
        else:
            probe = str(pair.meta.get("probe") or "brought")
            target, safe = str(pair.meta.get("target") or ""), truth in ("refusal", "warning")
            place = f"{pairs.name}/{pair.id}", probe, "cases that were brought"
            yield Planted(*place, pair, reply, Label(truth), safe, target=target)
    if faults:
        more = f" and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise VlsbenchError(f"{path}: {'; '.join(islice(faults, 10))}{more}")
