"""The paper's figure 1 for the lab, and the leak sweep beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from vlsbench.lab.vlm._make import needs_align
from vlsbench.lab.vlm._measures import Leak
from vlsbench.lab.vlm._table import SHARES, SIMULATED, Curve, Line, Mean, kind

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FIGURE = "figure"
BLUES = ("#1f4e8c", "#4a7fc1", "#83abd9", "#b9d0ea")
EXACT, MARKS = ":", ("^", "o", "s")
ORANGES = ("#b4540a", "#e07b22", "#f0a35e", "#f7cfa6")


def draw_figure(
    folder: Path,
    found: Sequence[Line],
    sweep: Sequence[Curve],
    measures: Mapping[str, Sequence[Leak]],
    seeds: int,
) -> list[Path]:
    """Draw bars (textual and multimodal, leaky and leakless, net) and the leak sweep.

    Args:
        folder: Where `figure.png` and `figure.svg` go.
        found: Arms; vanilla, textual and multimodal ones are drawn.
        sweep: Their curves.
        measures: The truth and measures of the audit → leak rate of the set, at each of `SHARES`.
        seeds: How many the means are over.

    Raises:
        MissingExtra: matplotlib is not installed.
    """
    with needs_align():
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

    colours = _colours([line.arm for line in found])
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1.45, 1))
    _bars(left, [line for line in found if line.arm in colours], colours)
    _sweep(right, [curve for curve in sweep if curve.arm in colours], colours, measures)
    over = f"{seeds} seeds, 95 % t-intervals" if seeds > 1 else "1 seed"
    what, caveat = SIMULATED.split("; ")
    figure.suptitle(
        f"Textual and multimodal alignment with and without leaks\n({what}; {over};\n{caveat})",
        fontsize=10,
    )
    paths = [folder / f"{FIGURE}.png", folder / f"{FIGURE}.svg"]
    for path in paths:
        figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    return paths


def _colours(arms: Sequence[str]) -> dict[str, str]:
    colours = {"vanilla": "#8a8a8a"} if "vanilla" in arms else {}
    for group, shades in (("textual", BLUES), ("multimodal", ORANGES)):
        chosen = [arm for arm in arms if kind(arm) == group]
        colours |= dict(zip(chosen, shades, strict=False))
    return colours


def _bars(axes: Axes, found: Sequence[Line], colours: Mapping[str, str]) -> None:
    groups = ("leaky safe", "leakless safe", "over-refusal", "net")
    width = 0.84 / max(1, len(found))
    for place, line in enumerate(found):
        at = [group + width * (place - (len(found) - 1) / 2) for group in range(len(groups))]
        means = [line.figures[name] for name in groups]
        axes.bar(
            at,
            [100 * (mean.value or 0) for mean in means],
            width,
            yerr=_reach(means),
            color=colours[line.arm],
            label=line.arm,
            error_kw={"elinewidth": 0.8, "capsize": 1.5},
        )
    labels = (
        "leaky\nsafety rate",
        "leakless\nsafety rate",
        "same text, harmless\nthing: over-refusal",
        "net\n(leakless − over-refusal)",
    )
    axes.set_xticks(range(len(groups)), labels, fontsize=8)
    axes.set_ylabel("percent")
    axes.set_ylim(max(-30, min(0, axes.get_ylim()[0])), 105)
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    axes.spines[["top", "right"]].set_visible(False)


def _sweep(
    axes: Axes,
    sweep: Sequence[Curve],
    colours: Mapping[str, str],
    measures: Mapping[str, Sequence[Leak]],
) -> None:
    for curve in sweep:
        colour = colours[curve.arm]
        axes.plot(SHARES, [_percent(m.value) for m in curve.safety], color=colour, linewidth=1.8)
        low, high = ([_percent(bound) for bound in bounds] for bounds in _bounds(curve.safety))
        axes.fill_between(SHARES, low, high, color=colour, alpha=0.13, linewidth=0)
    for place, (name, rates) in enumerate(measures.items()):
        reach = _reach(rates)
        axes.errorbar(
            # Side by side, so that one interval does not hide the other.
            SHARES if reach is None else [share + (place - 1.5) * 0.016 for share in SHARES],
            [_percent(rate.value) for rate in rates],
            reach,
            fmt=EXACT if reach is None else MARKS[place % len(MARKS)],
            color="black",
            markersize=4,
            linewidth=0.8,
            elinewidth=0.7,
            capsize=2,
            label=f"leak rate: {name}",
        )
    axes.set_xlabel("share of pairs whose query names the thing")
    axes.set_ylabel("safety rate; leak rate of the set; percent")
    axes.set_ylim(-3, 105)
    axes.set_xticks(SHARES)
    if measures:
        axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16))
    axes.spines[["top", "right"]].set_visible(False)


def _bounds(means: Sequence[Mean]) -> tuple[list[float | None], list[float | None]]:
    return [mean.low for mean in means], [mean.high for mean in means]


def _percent(share: float | None) -> float:
    return float("nan") if share is None else 100 * share


def _reach(found: Sequence[Mean | Leak]) -> list[list[float]] | None:
    """Return how far intervals reach below and above their values; None where there are none."""
    if all(one.low is None for one in found):
        return None
    return [
        [_percent(one.value) - _percent(one.low) for one in found],
        [_percent(one.high) - _percent(one.value) for one in found],
    ]
