"""Figures for print: one style, safe for colour-blind readers, as PNG, SVG and PDF; thumbnails.

Every text is drawn as it is: none is taken for mathematics, and none steers anything.
"""

from __future__ import annotations

import base64
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from textwrap import fill, shorten
from typing import TYPE_CHECKING, Any, NamedTuple

from vlsbench.errors import MissingExtra
from vlsbench.files import output_folder, whole_file
from vlsbench.pairs import ImageData, decode, encode
from vlsbench.text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (
    *("#0b5fa5", "#e69f00", "#009e73", "#c04a00", "#62b8ea", "#cc79a7", "#7d8894", "#8c80ad"),
)
"""Told apart by colour-blind readers: after Wong 2011, "Points of view: Color blindness"."""
ENDINGS = ("png", "svg", "pdf")
MIME = "image/jpeg"
"""Of thumbnails."""
SIMULATED = "† simulated: a lab model or benchmark; says nothing about a real model"
INK = "#1a1e24"
_STYLE: Any = {
    "axes.axisbelow": True,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.constrained_layout.h_pad": 0.08,
    "font.family": ["DejaVu Sans"],
    "font.size": 8,
    "grid.color": "#dfe3e7",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "vlsbench",
    "text.parse_math": False,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}
_UNDATED = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""So that equal figures are equal files."""


class Bar(NamedTuple):
    """A figure in percent with the bounds of its interval."""

    value: float
    low: float | None = None
    high: float | None = None

    @classmethod
    def of(cls, value: float | None, low: float | None, high: float | None) -> Bar | None:
        """Make one of shares; None where there is no value."""
        ends = (None if end is None else 100 * end for end in (low, high))
        return None if value is None else cls(100 * value, *ends)

    @property
    def reach(self) -> tuple[float, float]:
        """Lengths of the whiskers."""
        if self.low is None or self.high is None:
            return 0.0, 0.0
        return max(0.0, self.value - self.low), max(0.0, self.high - self.value)


def thumbnail(image: ImageData | bytes, ref: str = "", side: int = 256) -> bytes:
    """Shrink an image to at most `side` × `side` pixels, as a JPEG file without metadata.

    Smaller images keep their size; `ref` names the image in errors.

    Raises:
        ImageError: It cannot be decoded; see `decode`.
    """
    small = decode(image, ref, side=side)
    return encode(small, ref, "JPEG", quality=78, optimize=True).data


def label(text: object, most: int = 40) -> str:
    """Shorten a foreign text to a label on one line."""
    return shorten(one_line(text), most, placeholder="…") or one_line(text)[:most]


def lacking_figures() -> str:
    """Say which extra is missing to draw figures; nothing where none is."""
    return "" if find_spec("matplotlib") else str(MissingExtra("drawing figures", "figures"))


@contextmanager
def drawing(path: Path, size: tuple[float, float], note: str = "") -> Iterator[Figure]:
    """Give an empty figure, and write it as PNG, SVG and PDF once it is drawn.

    Args:
        path: The files' name, without an ending.
        size: Width and height, inches.
        note: A line below the figure.

    Raises:
        MissingExtra: The extra `figures` is not installed.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtra("drawing figures", "figures") from None
    output_folder(path.parent)
    # Warnings are of letters that the font lacks.
    with rc_context(_STYLE), warnings.catch_warnings(action="ignore"):
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        yield figure
        if note:
            figure.supxlabel(note, fontsize=7, color="#59636f")
        for ending in ENDINGS:
            with whole_file(path.with_name(f"{path.name}.{ending}")) as part:
                figure.savefig(part, format=ending, dpi=300, metadata=_UNDATED.get(ending))


def embedded(figure: Path) -> str:
    """Return an SVG file as an address that needs no file; as an image it runs no script."""
    return f"data:image/svg+xml;base64,{base64.b64encode(figure.read_bytes()).decode()}"


def bars(
    axes: Axes,
    groups: Sequence[str],
    series: Mapping[str, Sequence[Bar | None]],
    *,
    unit: str,
    colours: Mapping[str, str] | None = None,
    values: bool = True,
) -> None:
    """Draw bars with intervals, grouped as in the paper's figure 1.

    Args:
        axes: What to draw on.
        groups: A label for each group of bars.
        series: Name → a bar for each group, None where there is none.
        unit: What the axis shows.
        colours: Name → colour, in place of the palette's.
        values: Write the figure above each bar.
    """
    width = 0.84 / max(1, len(series))
    for number, (name, row) in enumerate(series.items()):
        places = [place + width * (number - (len(series) - 1) / 2) for place in range(len(groups))]
        there = [(place, bar) for place, bar in zip(places, row, strict=True) if bar]
        axes.bar(
            [place for place, _ in there],
            [bar.value for _, bar in there],
            width * 0.94,
            yerr=list(zip(*(bar.reach for _, bar in there), strict=True)) or None,
            label=label(name),
            error_kw={"elinewidth": 0.8, "capsize": 1.5, "ecolor": INK},
            color=colours[name] if colours else COLOURS[number % len(COLOURS)],
        )
        for place, bar in there if values else ():
            top = max(bar.value, 0.0) + bar.reach[1] + 1
            axes.text(place, top, f"{bar.value:.1f}", ha="center", va="bottom", fontsize=6)
    axes.set_xticks(range(len(groups)), [fill(group, 18) for group in groups])
    axes.set_ylabel(unit)
    axes.set_ylim(min(0.0, axes.get_ylim()[0]), 112)
    axes.set_yticks(range(0, 101, 25))
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.grid(visible=False, axis="x")
