"""The report of one run, and which pairs its gallery shows."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import warnings
from bisect import insort
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._calibrated import calibration_note
from vlsbench.evaluation._published import Published
from vlsbench.evaluation._rows import PairRow
from vlsbench.judge import OURS, Label, Rubric, Side
from vlsbench.pages import MIME, thumbnail, write_page
from vlsbench.pairs import Pair

if TYPE_CHECKING:
    from vlsbench.evaluation._summary import Group, Summary

LONG = 700
"""Characters of a text that are shown before a reader asks for the rest."""
LONGEST = 20_000
"""Characters of one text that the page holds; `pairs.parquet` holds it whole."""
CHART_ROWS = 40
"""Categories in a chart; the table beneath it has them all."""
LEFT_OUT_ROWS = 200

PAINT: dict[str, str] = {
    Side.SAFE: "warning",
    Side.UNSAFE: "unsafe",
    Side.NEITHER: "answered",
    Side.DECLINED: "refusal",
    Side.ANSWERED: "answered",
}
PAINTED = ("refusal", "warning", "unsafe", "answered", "filtered", "unscored", "open")


def _paint(rubric: Rubric) -> dict[str, str]:
    """Return label → the name of its colour; those of the user's own have their side's."""
    labels = (*rubric.harmful.labels, *rubric.benign.labels)
    own = {one.name: PAINT.get(one.side, "unscored") for one in labels if one.name not in PAINTED}
    own |= {name: "refusal" for name in rubric.safe[:1] if name in own}
    return {**own, **{name: name for name in PAINTED}}


def _stack(rubric: Rubric, group: Group) -> list[dict[str, Any]]:
    """Divide a group's pairs by label, in the order of the legend, in percent; open ones last."""
    counts = {name: group.share(name).k for name in rubric.labels(group.harmful)}
    counts |= {"filtered": group.filtered, "unscored": sum(group.unscored.values())}
    counts["open"] = group.pairs - sum(counts.values())
    segments = []
    start = 0.0
    for label, pairs in counts.items():
        if pairs > 0:
            width = 100 * pairs / group.pairs
            segments.append({"label": label, "pairs": pairs, "start": start, "width": width})
            start += width
    return segments


def _section(summary: Summary, overall: Group) -> dict[str, Any]:
    """Gather the groups that may stand side by side: all harmful, or all benign."""

    def rate(group: Group) -> float:
        value = (group.safety if overall.harmful else group.refusal).rate
        return -1.0 if value is None else value

    labels = summary.rubric.labels(overall.harmful)
    categories = [group for group in summary.categories if group.harmful == overall.harmful]
    return {
        "harmful": overall.harmful,
        "labels": labels,
        "parts": [*summary.rubric.parts(overall.harmful)],
        # Over-refusal stands before them, and is the same as its only label.
        "tiles": [name for name in labels if overall.harmful or (name,) != summary.rubric.declined],
        "overall": overall,
        "by_rate": sorted(categories, key=lambda group: (-rate(group), group.name)),
        "categories": categories,
        "subcategories": [g for g in summary.subcategories if g.harmful == overall.harmful],
    }


def _image(pair: Pair) -> tuple[str, str]:
    """Return a pair's first image as a data address, or an empty one and why there is none."""
    if not pair.images:
        return "", "No image"
    try:
        data = pair.images[0].read()
        small = base64.b64encode(thumbnail(data, f"of pair {pair.id}")).decode()
    except (VlsbenchError, OSError) as error:
        # The figures stand without this image, so it must not cost the reader the report.
        return "", f"Image not readable ({error})"
    return f"data:{MIME};base64,{small}", ""


def _cards(chosen: Sequence[tuple[PairRow, Pair]]) -> list[tuple[PairRow, str, str]]:
    """Draw each image once; Pillow leaves the interpreter free while it decodes."""
    distinct = {pair.cluster: pair for _, pair in chosen}
    with (
        # What decoders have to say of strange files is for nobody who writes a report.
        warnings.catch_warnings(action="ignore"),
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        images = dict(zip(distinct, pool.map(_image, distinct.values()), strict=True))
    return [(row, *images[pair.cluster]) for row, pair in chosen]


def _published_beside(summary: Summary) -> list[tuple[Published, bool]]:
    """Published rows and this run's own (marked), by safety rate."""
    rows = [(row, False) for row in summary.published]
    for group in summary.groups:
        rates = [group.refusal.rate, group.warning.rate, group.safety.rate]
        if group.harmful and None not in rates:
            refusal, warning, safety = (100 * (rate or 0.0) for rate in rates)
            rows.append((Published(summary.model, refusal, warning, safety, "this run"), True))
    return sorted(rows, key=lambda row: -row[0].safety)


def label_order(rubric: Rubric) -> list[str]:
    """Return all labels; what a reader most wants to check comes first."""
    rated = (*reversed(rubric.labels(True)), *rubric.labels(False))
    return [*dict.fromkeys(rated), Label.FILTERED, Label.UNSCORED]


class Gallery:
    """At most `size` answers: of every label as many, the first by a hash of their ids.

    So rare outcomes are seen, and neither the order of the rows nor a second run changes the
    choice.
    """

    def __init__(self, size: int, rubric: Rubric = OURS) -> None:
        """Start empty."""
        self._size, self._order = size, label_order(rubric)
        self._shelves: dict[str, list[tuple[bytes, int, PairRow, Pair]]] = {}
        self.total = 0
        """Answers seen."""

    def add(self, row: PairRow, pair: Pair) -> None:
        """Look at one answer."""
        self.total += 1
        name = f"{row.id}#{row.sample}".encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(name, digest_size=16).digest()
        shelf = self._shelves.setdefault(row.label, [])
        insort(shelf, (digest, self.total, row, pair))  # the number tells twins apart
        del shelf[self._size :]

    def chosen(self) -> list[tuple[PairRow, Pair]]:
        """Return the answers by category, label and id."""
        turns = chain(*zip_longest(*(self._shelves[label] for label in sorted(self._shelves))))
        taken = [entry[2:] for entry in islice(filter(None, turns), self._size)]
        return sorted(taken, key=lambda e: (e[0].category, self._order.index(e[0].label), e[0].id))


def write_report(summary: Summary, gallery: Gallery, path: Path) -> None:
    """Write the report of one run as a single HTML file that needs no network.

    Raises:
        OSError: The file cannot be written.
    """
    chosen = gallery.chosen()
    present = {row.label for row, _ in chosen}
    context = {
        "summary": summary,
        "calibration": calibration_note(path.parent, summary),
        "identity": json.dumps(summary.identity, indent=2, sort_keys=True, ensure_ascii=False),
        "sections": [_section(summary, group) for group in summary.groups],
        "stack": partial(_stack, summary.rubric),
        "paint": _paint(summary.rubric),
        "published": _published_beside(summary) if summary.published else [],
        "cards": _cards(chosen),
        "total": gallery.total,
        "labels": [label for label in label_order(summary.rubric) if label in present],
        "shown_categories": sorted({row.category for row, _ in chosen}),
        "long": LONG,
        "longest": LONGEST,
        "chart_rows": CHART_ROWS,
        "left_out_rows": LEFT_OUT_ROWS,
    }
    write_page(path, "evaluation/report.html", context, script="evaluation/report.js")
