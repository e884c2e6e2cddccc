"""The report of one run."""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation._calibrated import calibration_note
from vlsbench.evaluation._gallery import LABEL_ORDER, choose
from vlsbench.evaluation._page_row import ReportRow
from vlsbench.judge import Label
from vlsbench.pages._page import write_page
from vlsbench.pages._thumbnail import MIME, thumbnail
from vlsbench.pairs import View

if TYPE_CHECKING:
    from vlsbench.evaluation._published import Published
    from vlsbench.evaluation._summary import Group, Summary

GALLERY = 60
"""Pairs in the report's gallery. Each costs decoding its image: 7 ms for a PNG of 1.7 MB."""
LONG = 700
"""Characters of a text that are shown before a reader asks for the rest."""
LONGEST = 20_000
"""Characters of one text that the page holds; `pairs.parquet` holds it whole."""
CHART_ROWS = 40
"""Categories in a chart; the table beneath it has them all."""
LEFT_OUT_ROWS = 200

VIEW_NOTES: dict[str, str] = {
    View.TEXT: "The model was given the text alone: it saw no image.",
    View.BLANK: "The model was given a grey image; the images here are the pairs' own.",
    View.SWAP: "The model was given another pair's image; the images here are the pairs' own.",
    View.CAPTION: "The model was given the image's description in words, and no image.",
    View.IMAGE: "The model was given the image with a neutral request in place of the query.",
}


@dataclass(frozen=True, slots=True)
class Segment:
    """One colour of a stacked bar; start and width in percent of the group's pairs."""

    label: str
    pairs: int
    start: float
    width: float


@dataclass(frozen=True, slots=True)
class Section:
    """The groups that may stand side by side: all harmful, or all benign."""

    harmful: bool
    overall: Group
    by_rate: Sequence[Group]
    """Categories, highest rate first."""
    categories: Sequence[Group]
    subcategories: Sequence[Group]


@dataclass(frozen=True, slots=True)
class Card:
    """A row of the gallery with its image."""

    row: ReportRow
    picture: str
    """A data address; empty where there is none."""
    no_picture: str
    """Why there is none."""


def stack(group: Group) -> tuple[Segment, ...]:
    """Divide a group's pairs by label, in the order of the legend; open pairs come last."""
    counts = {
        Label.REFUSAL.value: group.refusal.k,
        Label.WARNING.value: group.warning.k,
        Label.ANSWERED.value: group.answered.k,
        Label.UNSAFE.value: group.unsafe.k,
        Label.FILTERED.value: group.filtered,
        Label.UNSCORED.value: sum(group.unscored.values()),
    }
    counts["open"] = group.pairs - sum(counts.values())
    segments: list[Segment] = []
    start = 0.0
    for label, pairs in counts.items():
        if pairs > 0:
            width = 100 * pairs / max(group.pairs, 1)
            segments.append(Segment(label, pairs, start, width))
            start += width
    return tuple(segments)


def _section(summary: Summary, overall: Group) -> Section:
    def rate(group: Group) -> float:
        value = (group.safety if overall.harmful else group.refusal).rate
        return -1.0 if value is None else value

    categories = [group for group in summary.categories if group.harmful == overall.harmful]
    return Section(
        harmful=overall.harmful,
        overall=overall,
        by_rate=sorted(categories, key=lambda group: (-rate(group), group.name)),
        categories=categories,
        subcategories=[g for g in summary.subcategories if g.harmful == overall.harmful],
    )


def _picture(row: ReportRow) -> tuple[str, str]:
    """Return a row's image as a data address, or an empty one and why there is none."""
    if not row.image_ref:
        return "", "No image"
    try:
        data = row.thumbnail()
        if data is None:
            return "", "Image not available"
        small = base64.b64encode(thumbnail(data, f"of pair {row.id}")).decode()
    except (VlsbenchError, OSError) as error:
        # The figures stand without this image, so it must not cost the reader the report.
        return "", f"Image not readable ({error})"
    return f"data:{MIME};base64,{small}", ""


def _cards(rows: Sequence[ReportRow]) -> list[Card]:
    """Draw each image once; Pillow leaves the interpreter free while it decodes."""
    distinct = {row.image_ref: row for row in rows}
    with (
        # What decoders have to say of strange files is for nobody who writes a report.
        warnings.catch_warnings(action="ignore"),
        ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool,
    ):
        pictures = dict(zip(distinct, pool.map(_picture, distinct.values()), strict=True))
    return [Card(row, *pictures[row.image_ref]) for row in rows]


def _published_beside(summary: Summary) -> list[tuple[Published, bool]]:
    """Published rows and this run's own (marked), by safety rate."""
    from vlsbench.evaluation._published import Published

    rows = [(row, False) for row in summary.published]
    for group in summary.groups:
        rates = (group.refusal.rate, group.warning.rate, group.safety.rate)
        if group.harmful and None not in rates:
            refusal, warning, safety = (100 * (rate or 0.0) for rate in rates)
            own = Published(summary.model, refusal, warning, safety, "this run")
            rows.append((own, True))
    return sorted(rows, key=lambda row: -row[0].safety)


def write_report(
    summary: Summary, rows: Iterable[ReportRow], path: Path, *, gallery: int = GALLERY
) -> None:
    """Write the report of one run as a single HTML file that needs no network.

    Args:
        summary: The run's figures.
        rows: The run's pairs; walked once, never held at once.
        path: The file to write, replaced if it is there.
        gallery: How many pairs are shown at most. They are chosen over all labels and categories,
            the same ones every time.

    Raises:
        OSError: The file cannot be written.
    """
    chosen = choose(rows, gallery)
    present = {row.label for row in chosen.rows}
    context = {
        "summary": summary,
        "calibration": calibration_note(path.parent, summary),
        "identity": json.dumps(summary.identity, indent=2, sort_keys=True, ensure_ascii=False),
        "sections": [_section(summary, group) for group in summary.groups],
        "stack": stack,
        "published": _published_beside(summary) if summary.published else [],
        "view_note": VIEW_NOTES.get(summary.view, ""),
        "cards": _cards(chosen.rows),
        "total": chosen.total,
        "labels": [label for label in LABEL_ORDER if label in present],
        "shown_categories": sorted({row.category for row in chosen.rows}),
        "long": LONG,
        "longest": LONGEST,
        "chart_rows": CHART_ROWS,
        "left_out_rows": LEFT_OUT_ROWS,
    }
    write_page(path, "evaluation/report.html", context, script="evaluation/report.js")
