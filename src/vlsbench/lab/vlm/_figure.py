"""The paper's figure 1 for the lab: every arm on pairs that leak, and its net rate on held-out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlsbench.lab.vlm._make import needs_align
from vlsbench.lab.vlm.design import GROUNDED
from vlsbench.lab.vlm.sets import BENIGN, HELD_OUT, LEAKLESS, LEAKY
from vlsbench.lab.vlm.table import NET, SIMULATED, Line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
    with needs_align():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    panels = {
        "pre-training knows the risks in words": [x for x in found if GROUNDED not in x.arm],
        "pre-training knows them in images, too": [x for x in found if GROUNDED in x.arm],
    }
    panels = {title: lines for title, lines in panels.items() if lines}
    figure = Figure(figsize=(6.2 * len(panels), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for one, (title, lines) in zip(axes, panels.items(), strict=True):
        _bars(one, lines)
        one.set_title(title, fontsize=9)
    over = f"{seeds} seeds, 95 % t-intervals" if seeds > 1 else "1 seed"
    figure.suptitle(
        f"Rows with and without images, by what they teach about “this”; held-out cells, {over}\n"
        f"{SIMULATED}",
        fontsize=8,
    )
    paths = [folder / "figure.png", folder / "figure.svg"]
    for path in paths:
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _bars(axes: Axes, found: Sequence[Line]) -> None:
    width = 0.84 / max(1, len(found))
    for place, line in enumerate(found):
        name = line.arm.removeprefix(GROUNDED)
        means = [line.strata[HELD_OUT][group] for group in GROUPS]
        reach = [
            (mean.value - mean.low, mean.high - mean.value)
            for mean in means
            if mean.low is not None and mean.high is not None
        ]
        axes.bar(
            [group + width * (place - (len(found) - 1) / 2) for group in range(len(GROUPS))],
            [100 * mean.value for mean in means],
            width,
            yerr=[[100 * part for part in side] for side in zip(*reach, strict=True)] or None,
            color=COLOURS[name],
            label=name,
            error_kw={"elinewidth": 0.8, "capsize": 1.5},
        )
    axes.set_xticks(range(len(GROUPS)), list(GROUPS.values()), fontsize=8)
    axes.set_ylabel("percent", fontsize=8)
    axes.axhline(0, color="black", linewidth=0.6)
    axes.set_ylim(min(-10, axes.get_ylim()[0]), 105)
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    axes.spines[["top", "right"]].set_visible(False)
