"""The figures of a report, among them the paper's kinds: taxonomy, telling words, alignment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.auditing import Card, Piece, pieces
from vlsbench.comparing import Compared, OpenRun, draw_compared
from vlsbench.evaluation import Group
from vlsbench.pages import COLOURS, INK, SIMULATED, Bar, dots, drawing, label, stacks
from vlsbench.reporting._material import Material
from vlsbench.stats import Rate
from vlsbench.text import counted, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 30
"""Categories in one figure: the pages have all."""
SERIES = 6
EXAMPLES = 6
COLUMNS = 92
"""Characters of a line of text in a figure."""
LONGEST = 480
"""Characters of a query in a figure."""
DARK = ("#0b5fa5", "#009e73", "#c04a00", "#7d8894", "#8c80ad")
"""Colours on which text is white."""
LEAST_SHARE = 0.025
"""Of a sector that has a label."""
_EM = 0.602
"""Width of a character of DejaVu Sans Mono, in its size."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure, written as PNG, SVG and PDF."""

    title: str
    caption: str
    name: str
    """Of its files, without an ending."""


def labels_of(group: Group) -> Mapping[str, Rate]:
    """Return label → its share, by the labels that the group's rubric has."""
    known = {name: getattr(group, name) for name in ("refusal", "warning", "unsafe", "answered")}
    return getattr(group, "labels", {}) or known


def _shares(group: Group) -> dict[str, float]:
    counts = {name: rate.k for name, rate in labels_of(group).items()}
    counts |= {"filtered": group.filtered, "unscored": sum(group.unscored.values())}
    return {name: 100 * k / group.pairs for name, k in counts.items() if k}


def draw_all(material: Material, compared: Compared | None, folder: Path) -> Iterator[Drawn]:
    """Draw every figure for which there is something to show.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    note = SIMULATED if material.simulated else ""
    if compared and draw_compared(compared, folder / "benchmarks"):
        yield Drawn(
            "Rates by benchmark",
            "One bar for each model or method, as in figure 1 of arXiv 2411.19939 (textual and "
            "multimodal alignment); whiskers are 95 % intervals clustered by image.",
            "benchmarks",
        )
    if any(run.summary.groups for run in material.runs):
        yield _outcomes(material.runs, folder, note)
    places = dict.fromkeys(run.place for run in material.runs)
    for number, place in enumerate(places):
        runs = [run for run in material.runs if run.place == place]
        yield from _categories(runs, folder, f"categories-{number + 1}", note)
    taxonomies: dict[str, Mapping[str, Mapping[str, int]]] = {
        run.summary.bench: _taxonomy(run)
        for run in sorted(material.runs, key=lambda run: len(run.ended))
    }
    taxonomies |= {found.recipe: found.categories for found in material.builds.values()}
    taxonomies = {bench: found for bench, found in taxonomies.items() if found}
    for number, (bench, found) in enumerate(taxonomies.items()):
        name = f"taxonomy-{number + 1}"
        draw_taxonomy(found, folder / name, title=bench)
        yield Drawn(f"Taxonomy of {bench}", "Pairs by category and sub-category.", name)
    if material.cards:
        yield _leakage(list(material.cards.values()), folder, note)
    for number, card in enumerate(material.cards.values()):
        yield from _examples(card, folder, f"examples-{number + 1}")


def _outcomes(runs: Sequence[OpenRun], folder: Path, note: str) -> Drawn:
    rows = {
        f"{run.name} · {' · '.join(run.place)}{'' if group.harmful else ' (benign)'}": _shares(
            group
        )
        for run in runs
        for group in run.summary.groups
    }
    with drawing(folder / "outcomes", (6.5, 1.2 + 0.24 * len(rows)), note) as figure:
        axes = figure.subplots()
        stacks(axes, rows, unit="percent of answers")
        figure.legend(loc="outside upper center", ncols=6)
    return Drawn("Outcomes", "Percent of all answers, scored or not.", "outcomes")


def _categories(runs: Sequence[OpenRun], folder: Path, name: str, note: str) -> Iterator[Drawn]:
    shown = runs[:SERIES]
    groups = [{g.name: g for g in run.summary.categories if g.harmful} for run in shown]
    names = list(dict.fromkeys(name for found in groups for name in found))[:MOST]
    if not names:
        return
    series = {
        run.name: [_bar(found[one].safety) if one in found else None for one in names]
        for run, found in zip(shown, groups, strict=True)
    }
    height = 1.4 + (0.16 + 0.08 * len(series)) * len(names)
    with drawing(folder / name, (6.5, height), note) as figure:
        dots(figure.subplots(), names, series, unit="safety rate, %")
        figure.legend(loc="outside upper center", ncols=3)
    bench, view = runs[0].place
    yield Drawn(
        f"Safety rate by category, {bench}, {view} view",
        "Dots are rates over scored harmful pairs, whiskers 95 % intervals clustered by image."
        + (f" The first {len(shown)} of {len(runs)} runs." if len(shown) < len(runs) else ""),
        name,
    )


def _bar(rate: Rate) -> Bar | None:
    return Bar.of(rate.rate, rate.low, rate.high)


def _taxonomy(run: OpenRun) -> dict[str, Counter[str]]:
    """Count the harmful pairs of a run, or all of a set that has none."""
    rows = [row for row in run.ended.values() if row.sample == 0]
    found: dict[str, Counter[str]] = {}
    for row in [row for row in rows if row.harmful] or rows:
        found.setdefault(row.category, Counter())[row.subcategory] += 1
    return found


def draw_taxonomy(
    categories: Mapping[str, Mapping[str, int]], path: Path, *, title: str, said: str = ""
) -> None:
    """Draw a set's categories and sub-categories as a sunburst, and their sizes as bars.

    Args:
        categories: Category → sub-category → pairs; a sub-category may be empty.
        path: The files' name, without an ending.
        title: Of the figure.
        said: Further statistics, a line below it.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    ordered = sorted(categories.items(), key=lambda one: -sum(one[1].values()))
    sizes = {name: sum(counts.values()) for name, counts in ordered}
    total = sum(sizes.values())
    with drawing(path, (9.0, max(4.6, 0.22 * min(MOST, len(sizes)) + 1)), said) as figure:
        sun, beside = figure.subplots(1, 2, width_ratios=(1.15, 1))
        colours = [COLOURS[number % len(COLOURS)] for number in range(len(sizes))]
        parts = [
            (name, pairs, f"{colour}{'aa' if name else '00'}")
            for (_, counts), colour in zip(ordered, colours, strict=True)
            for name, pairs in sorted(counts.items(), key=lambda one: -one[1])
        ]
        _ring(sun, [(*one, c) for one, c in zip(sizes.items(), colours, strict=True)], inner=True)
        _ring(sun, parts, inner=False)
        sun.set(aspect="equal", xlim=(-1.45, 1.45), ylim=(-1.45, 1.45))
        sun.set_axis_off()
        names = list(sizes)[:MOST]
        beside.barh(range(len(names)), [sizes[name] for name in names], color=colours[:MOST])
        for line, name in enumerate(names):
            text = f" {sizes[name]:,} ({100 * sizes[name] / total:.1f} %)"
            beside.text(sizes[name], line, text, va="center", fontsize=7)
        beside.set_yticks(range(len(names)), [label(name or "(no category)", 30) for name in names])
        beside.set(ylim=(len(names) - 0.5, -0.5), xlabel="pairs")
        beside.margins(x=0.3)
        beside.grid(visible=False, axis="y")
        figure.suptitle(f"{label(title, 60)}: {counted(total, 'pair')}")


def _ring(axes: Axes, parts: Sequence[tuple[str, int, str]], *, inner: bool) -> None:
    """Draw a ring of a sunburst; sectors (name, size, colour) that are wide enough have names."""
    least = LEAST_SHARE * sum(size for _, size, _ in parts)
    texts = axes.pie(
        [size for _, size, _ in parts],
        labels=[label(name, 16 if inner else 24) * (size >= least) for name, size, _ in parts],
        colors=[colour for *_, colour in parts],
        radius=0.62 if inner else 1.0,
        startangle=90,
        counterclock=False,
        rotatelabels=True,
        labeldistance=0.42 if inner else 1.03,
        textprops={"fontsize": 5.5 if inner else 6},
        wedgeprops={"width": 0.37, "edgecolor": "white", "linewidth": 0.6},
    )[1]
    for text, (*_, colour) in zip(texts, parts, strict=True):
        text.set_color("white" if inner and colour in DARK else INK)


def _leakage(cards: Sequence[Card], folder: Path, note: str) -> Drawn:
    series = {
        "queries that name their image's content": [
            Bar.of(card.leak.value, card.leak.low, card.leak.high) if card.leak else None
            for card in cards
        ]
    }
    with drawing(folder / "leakage", (6.5, 1.0 + 0.28 * len(cards)), note) as figure:
        dots(figure.subplots(), [card.bench for card in cards], series, unit="leaking pairs, %")
    return Drawn(
        "Leakage by benchmark",
        "Share of pairs that leak by the leading measure of each audit, corrected for its errors, "
        "with 95 % intervals clustered by image.",
        "leakage",
    )


def _examples(card: Card, folder: Path, name: str) -> Iterator[Drawn]:
    """Draw queries with their telling words marked; those that pages blur are left out."""
    lines: list[list[tuple[int, str, dict[str, Any]]]] = []
    shown = [pair for pair in card.leaking if pair.marks and not pair.blurred][:EXAMPLES]
    for pair in shown:
        naming = "" if pair.naming is None else f" · naming {pair.naming:.2f}"
        head = f"{label(pair.id, 30)} · {label(pair.category)}{naming}"
        lines += [[(0, head, {"color": "#59636f"})], []]
        space = False
        for piece in pieces(pair, LONGEST):
            style = _style(piece)
            for blank, word in re.findall(r"(\s*)(\S*)", piece.text):
                space = space or bool(blank)
                if word:
                    text = one_line(word)[:COLUMNS]
                    start = max((at + len(said) + space for at, said, _ in lines[-1]), default=0)
                    if start + len(text) > COLUMNS:
                        lines.append([])
                        start = 0
                    lines[-1].append((start, text, style))
                    space = False
        lines += [[(0, f"image: {label(pair.content, COLUMNS - 8)}", {"style": "italic"})], []]
    if not shown:
        return
    size, step = 7.0, 11.0
    width, height = COLUMNS * size * _EM / 72 + 0.3, (len(lines) + 1) * step / 72
    with drawing(folder / name, (width, height)) as figure:
        for number, line in enumerate(lines):
            for column, text, style in line:
                x = (0.15 + column * size * _EM / 72) / width
                y = 1 - (number + 1) * step / 72 / height
                figure.text(x, y, text, fontsize=size, family="DejaVu Sans Mono", **style)
    yield Drawn(
        f"Examples of leakage in {card.bench}",
        "On a coloured ground: the phrase that comes closest to naming what the image shows. In "
        "bold: words that carry most of the topic. Queries of categories that pages blur are left "
        "out.",
        name,
    )


def _style(piece: Piece) -> dict[str, Any]:
    style: dict[str, Any] = {}
    if piece.mark and piece.mark.names:
        style["bbox"] = {"facecolor": "#fdf0d5", "edgecolor": "none", "pad": 0.8}
    if piece.mark and piece.mark.bits is not None:
        style |= {"color": "#c04a00", "weight": "bold"}
    return style
