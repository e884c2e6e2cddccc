"""The paper's figure 1 for the lab: every arm on pairs that leak, and its net rate on held-out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vlsbench.lab.vlm.design import GROUNDED
from vlsbench.lab.vlm.sets import BENIGN, HELD_OUT, LEAKLESS, LEAKY
from vlsbench.lab.vlm.table import NET, SIMULATED, Line
from vlsbench.pages import ENDINGS, Bar, bars, drawing

GROUPS = {
    LEAKY: "leaky:\nsafe",
    LEAKLESS: "leakless:\nsafe",
    BENIGN: "same text, harmless\nthing: declined",
    NET: "net",
}
COLOURS = {
    "vanilla": "#8a8a8a",
    "t-sft-nothing": "#b9d0ea",
    "t-sft-harmless": "#4a7fc1",
    "t-sft-both": "#1f4e8c",
    "mm-sft-nothing": "#f7cfa6",
    "mm-sft-harmless": "#e07b22",
    "mm-sft-both": "#b4540a",
}


def draw_figure(folder: Path, found: Sequence[Line], seeds: int) -> list[Path]:
    """Draw bars of every arm on held-out cells, one panel for each pre-training."""
    panels = {
        "pre-training knows the risks in words": [x for x in found if GROUNDED not in x.arm],
        "pre-training knows them in images, too": [x for x in found if GROUNDED in x.arm],
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    over = f"{seeds} seeds, 95 % t-intervals" if seeds > 1 else "1 seed"
    with drawing(folder / "figure", (6.2 * len(panels), 4.4), SIMULATED) as figure:
        figure.suptitle(
            "Rows with and without images, by what they teach about “this”; held-out cells, "
            f"{over}",
        )
        axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
        for one, (title, lines) in zip(axes, panels.items(), strict=True):
            series = {line.arm.removeprefix(GROUNDED): _bars(line) for line in lines}
            bars(one, list(GROUPS.values()), series, unit="percent", colours=COLOURS, values=False)
            one.set_title(title)
            one.set_ylim(bottom=min(-10, one.get_ylim()[0]))
            one.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    return [folder / f"figure.{ending}" for ending in ENDINGS]


def _bars(line: Line) -> list[Bar | None]:
    means = [line.strata[HELD_OUT][group] for group in GROUPS]
    return [Bar.of(mean.value, mean.low, mean.high) for mean in means]
