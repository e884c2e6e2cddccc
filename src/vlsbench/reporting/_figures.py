"""The figures of a report, among them the paper's kinds: taxonomy, telling words, alignment."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from vlsbench.auditing import Card, Piece, pieces
from vlsbench.auditing.card.pairs import LeakingPair
from vlsbench.comparing import Compared, OpenRun, draw_compared
from vlsbench.pages import COLOURS, ENDINGS, INK, Section, drawing, embedded, label
from vlsbench.text import counted, one_line

ALIGNMENT = (
    "Like figure 1 of arXiv 2411.19939 (textual and multimodal alignment): a bar for each model or "
    "method, with 95 % intervals clustered by image."
)
MARKED = (
    "On a coloured ground: the phrase that comes closest to naming what the image shows. In bold: "
    "words that carry most of the topic. Queries of categories that pages blur are left out."
)
EXAMPLES = 6
COLUMNS = 92
"""Characters of a line of text in a figure."""
LONGEST = 480
"""Characters of a query in a figure."""
LEAST_SHARE = 0.025
"""Of a sector that has a label."""
_EM = 0.602
"""Width of a character of DejaVu Sans Mono, in its size."""
Line = list[tuple[int, str, dict[str, Any]]]
"""Stretches of text: column, words and style."""


def draw_all(
    runs: Sequence[OpenRun], cards: Iterable[Card], compared: Compared | None, folder: Path
) -> dict[str, Section]:
    """Draw every figure for which there is something to show.

    Returns:
        Name of the files, without an ending → the section that shows the figure.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    found: dict[str, tuple[str, str]] = {}
    if compared and draw_compared(compared, folder / "benchmarks"):
        found["benchmarks"] = ("Rates by benchmark", ALIGNMENT)
    # Of a set's runs, the one that asked the most.
    by_size = sorted(runs, key=lambda run: len(run.ended))
    sets = {run.summary.bench: _taxonomy(run) for run in by_size}
    for number, (bench, categories) in enumerate(sets.items(), 1):
        if categories:
            draw_taxonomy(categories, folder / (name := f"taxonomy-{number}"), title=bench)
            found[name] = (f"Taxonomy of {bench}", "Pairs by category and sub-category.")
    for number, card in enumerate(cards, 1):
        if shown := [pair for pair in card.leaking if pair.marks and not pair.blurred][:EXAMPLES]:
            _draw_examples(shown, folder / (name := f"examples-{number}"))
            found[name] = (f"Examples of leakage in {card.bench}", MARKED)
    return {
        name: Section(
            title,
            [caption],
            figure=embedded(folder / f"{name}.svg"),
            links={end.upper(): f"figures/{name}.{end}" for end in ENDINGS},
        )
        for name, (title, caption) in found.items()
    }


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
    """Draw a set's categories and sub-categories as a sunburst, with the categories' sizes.

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
    colours = [COLOURS[number % len(COLOURS)] for number in range(len(sizes))]
    parts = [
        (name, pairs, f"{colour}{'aa' if name else '00'}")
        for (_, counts), colour in zip(ordered, colours, strict=True)
        for name, pairs in sorted(counts.items(), key=lambda one: -one[1])
    ]
    with drawing(path, (9.0, max(5.0, 0.17 * len(sizes) + 1)), said) as figure:
        axes = figure.subplots()
        how: dict[str, Any] = {"startangle": 90, "counterclock": False}
        how["wedgeprops"] = {"width": 0.37, "edgecolor": "white", "linewidth": 0.6}
        wedges, *_ = axes.pie([*sizes.values()], colors=colours, radius=0.62, **how)
        axes.pie(
            [size for _, size, _ in parts],
            labels=[label(name, 24) * (size >= LEAST_SHARE * total) for name, size, _ in parts],
            colors=[colour for *_, colour in parts],
            rotatelabels=True,
            labeldistance=1.03,
            textprops={"fontsize": 6, "color": INK},
            **how,
        )
        axes.set(aspect="equal", xlim=(-1.4, 1.4), ylim=(-1.4, 1.4))
        heads = [
            f"{label(name or '(no category)', 30)}: {size:,} ({100 * size / total:.1f} %)"
            for name, size in sizes.items()
        ]
        figure.legend(wedges, heads, loc="outside right upper", fontsize=7)
        figure.suptitle(f"{label(title, 60)}: {counted(total, 'pair')}")


def _draw_examples(pairs: Iterable[LeakingPair], path: Path) -> None:
    """Draw queries with their telling words marked."""
    lines: list[Line] = []
    for pair in pairs:
        naming = "" if pair.naming is None else f" · naming {pair.naming:.2f}"
        head = f"{label(pair.id, 30)} · {label(pair.category)}{naming}"
        image = f"image: {label(pair.content, COLUMNS - 8)}"
        lines += [[(0, head, {"color": "#59636f"})], *_wrapped(pieces(pair, LONGEST))]
        lines += [[(0, image, {"style": "italic"})], []]
    size, step = 7.0, 11.0
    width, height = COLUMNS * size * _EM / 72 + 0.3, (len(lines) + 1) * step / 72
    with drawing(path, (width, height)) as figure:
        for number, line in enumerate(lines):
            for column, text, style in line:
                x = (0.15 + column * size * _EM / 72) / width
                y = 1 - (number + 1) * step / 72 / height
                figure.text(x, y, text, fontsize=size, family="DejaVu Sans Mono", **style)


def _wrapped(query: Iterable[Piece]) -> Iterator[Line]:
    """Break a query into lines between words."""
    line: Line = []
    end, space = 0, False
    for piece in query:
        for blank, word in re.findall(r"(\s*)(\S*)", piece.text):
            space = space or bool(blank)
            if not word:
                continue
            text = one_line(word)[:COLUMNS]
            start = end + (space and bool(line))
            if line and start + len(text) > COLUMNS:
                yield line
                line, start = [], 0
            line.append((start, text, _style(piece)))
            end, space = start + len(text), False
    yield line


def _style(piece: Piece) -> dict[str, Any]:
    style: dict[str, Any] = {}
    if piece.mark and piece.mark.names:
        style["bbox"] = {"facecolor": "#fdf0d5", "edgecolor": "none", "pad": 0.8}
    if piece.mark and piece.mark.bits is not None:
        style |= {"color": "#c04a00", "weight": "bold"}
    return style
