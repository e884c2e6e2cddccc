"""The figures of a report, among them the paper's kinds: taxonomy, telling words, alignment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vlsbench.auditing import Card, Piece, pieces
from vlsbench.comparing import Compared, OpenRun, draw_compared
from vlsbench.pages import (
    COLOURS,
    ENDINGS,
    INK,
    SIMULATED,
    Bar,
    Section,
    bars,
    drawing,
    embedded,
    label,
)
from vlsbench.reporting._material import Material
from vlsbench.text import counted, one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST = 20
"""Categories in one figure: the page has all."""
SERIES = 6
"""Runs in one figure."""
MARKED = (
    "On a coloured ground: the phrase that comes closest to naming what the image shows. In bold: "
    "words that carry most of the topic. Queries of categories that pages blur are left out."
)
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


def draw_all(material: Material, compared: Compared | None, folder: Path) -> dict[str, Section]:
    """Draw every figure for which there is something to show.

    Returns:
        Name of the files, without an ending → the section that shows the figure.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    note = SIMULATED if material.simulated else ""
    found: dict[str, Section] = {}

    def add(name: str, title: str, caption: str) -> None:
        links = {end.upper(): f"figures/{name}.{end}" for end in ENDINGS}
        source = embedded(folder / f"{name}.svg")
        found[name] = Section(title, [caption], figure=source, links=links)

    if compared and draw_compared(compared, folder / "benchmarks"):
        said = (
            "Like figure 1 of arXiv 2411.19939 (textual and multimodal alignment): a bar for each "
            "model or method, with 95 % intervals clustered by image."
        )
        add("benchmarks", "Rates by benchmark", said)
    for number, place in enumerate(dict.fromkeys(run.place for run in material.runs), 1):
        runs = [run for run in material.runs if run.place == place]
        if _categories(runs, folder / (name := f"categories-{number}"), note):
            said = f"Up to {SERIES} runs and {MOST} categories; intervals clustered by image."
            add(name, f"Safety rate by category, {place[0]}, {place[1]} view", said)
    # Of a set's runs, the one that asked the most.
    by_size = sorted(material.runs, key=lambda run: len(run.ended))
    sets = {run.summary.bench: _taxonomy(run) for run in by_size}
    for number, (bench, categories) in enumerate(sets.items(), 1):
        if categories:
            draw_taxonomy(categories, folder / (name := f"taxonomy-{number}"), title=bench)
            add(name, f"Taxonomy of {bench}", "Pairs by category and sub-category.")
    for number, card in enumerate(material.cards.values(), 1):
        if _examples(card, folder / (name := f"examples-{number}")):
            add(name, f"Examples of leakage in {card.bench}", MARKED)
    return found


def _categories(runs: Sequence[OpenRun], path: Path, note: str) -> bool:
    """Draw safety rates by category, and tell whether there are any."""
    series: dict[str, dict[str, Bar | None]] = {}
    for run in runs[:SERIES]:
        rates = {one.name: one.safety for one in run.summary.categories if one.harmful}
        name = run.name + " †" * run.simulated
        series[name] = {one: Bar.of(r.rate, r.low, r.high) for one, r in rates.items()}
    names = list(dict.fromkeys(name for row in series.values() for name in row))[:MOST]
    if names:
        rows = {run: [row.get(name) for name in names] for run, row in series.items()}
        size = (max(6.5, len(names) * (0.5 + 0.12 * len(rows))), 3.4)
        with drawing(path, size, note) as figure:
            groups = [label(name or "(none)") for name in names]
            bars(figure.subplots(), groups, rows, unit="safety rate, %", values=False)
            figure.legend(loc="outside upper left", ncols=3)
    return bool(names)


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


def _examples(card: Card, path: Path) -> bool:
    """Draw queries with their telling words marked, and tell whether there are any."""
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
        return False
    size, step = 7.0, 11.0
    width, height = COLUMNS * size * _EM / 72 + 0.3, (len(lines) + 1) * step / 72
    with drawing(path, (width, height)) as figure:
        for number, line in enumerate(lines):
            for column, text, style in line:
                x = (0.15 + column * size * _EM / 72) / width
                y = 1 - (number + 1) * step / 72 / height
                figure.text(x, y, text, fontsize=size, family="DejaVu Sans Mono", **style)
    return True


def _style(piece: Piece) -> dict[str, Any]:
    style: dict[str, Any] = {}
    if piece.mark and piece.mark.names:
        style["bbox"] = {"facecolor": "#fdf0d5", "edgecolor": "none", "pad": 0.8}
    if piece.mark and piece.mark.bits is not None:
        style |= {"color": "#c04a00", "weight": "bold"}
    return style
