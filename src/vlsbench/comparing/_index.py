"""The page that compares runs: a grid of models and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from vlsbench.pages._page import without_address, write_page

if TYPE_CHECKING:
    from vlsbench.evaluation import Group, Summary
    from vlsbench.stats import Rate

COLOURS = 8
"""Bar colours in the style sheet; a model's letter tells it apart where they repeat."""
NARROW = 5
"""Bars that fit a panel beside others; more take the page's width."""


@dataclass(frozen=True, slots=True)
class Series:
    """A model as the chart draws it."""

    name: str
    letter: str
    colour: int


@dataclass(frozen=True, slots=True)
class Bar:
    """One model's rate on one benchmark; edges in percent of the panel's width."""

    series: Series
    rate: Rate | None
    """None where the model was not run."""
    href: str
    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Panel:
    """One benchmark with a bar for every model."""

    name: str
    pairs: int
    bars: Sequence[Bar]
    wide: bool


@dataclass(frozen=True, slots=True)
class Line:
    """One run in the table."""

    bench: str
    series: Series
    group: Group
    summary: Summary
    href: str


def letter(index: int) -> str:
    """Return what tells a series apart where colours repeat: A to Z, then numbers."""
    return chr(ord("A") + index) if index < 26 else str(index + 1)


def _series_of(lines: Sequence[Line], harmful: bool) -> list[Series]:
    return list(dict.fromkeys(line.series for line in lines if line.group.harmful == harmful))


def _panels(lines: Sequence[Line], series: Sequence[Series]) -> list[Panel]:
    panels = []
    for bench in dict.fromkeys(line.bench for line in lines):
        here = {line.series: line for line in lines if line.bench == bench}
        slot = 100 / len(series)
        bars = []
        for index, one in enumerate(series):
            line = here.get(one)
            rate = None
            if line:
                rate = line.group.safety if line.group.harmful else line.group.refusal
            href = line.href if line else ""
            bars.append(Bar(one, rate, href, slot * (index + 0.14), slot * 0.72))
        pairs = max(line.group.pairs for line in here.values())
        panels.append(Panel(bench, pairs, bars, len(series) > NARROW))
    return panels


def write_index(
    summaries: Sequence[tuple[Summary, str]], path: Path, title: str, intro: str
) -> None:
    """Write one HTML page that compares runs: bars for models, grouped by benchmark.

    Drawn like the paper's figure 1 (arXiv 2411.19939): harmful pairs by safety rate, benign ones
    by over-refusal, each with its 95 % interval.

    Args:
        summaries: Runs, each with the relative path of its own report ("" for none), unquoted.
        path: The file to write, replaced if it is there.
        title: Heading of the page.
        intro: What is compared and what to look for; blank lines part paragraphs.

    Raises:
        OSError: The file cannot be written.
    """
    judges = {summary.judge for summary, _ in summaries}

    models = {summary.model for summary, _ in summaries}
    # Addresses matter only where they tell two models apart.
    short = len({without_address(model) for model in models}) == len(models)

    def model(summary: Summary) -> str:
        name = without_address(summary.model) if short else summary.model
        return name if len(judges) == 1 else f"{name} · judge {summary.judge}"

    def bench(summary: Summary) -> str:
        name = summary.bench
        return name if summary.view == "full" else f"{name} · {summary.view} view"

    names = dict.fromkeys(model(summary) for summary, _ in summaries)
    series = {name: Series(name, letter(i), i % COLOURS) for i, name in enumerate(names)}
    lines = [
        Line(bench(summary), series[model(summary)], group, summary, quote(link))
        for summary, link in summaries
        for group in summary.groups
    ]
    charts = [
        (harmful, _panels([line for line in lines if line.group.harmful == harmful], kept))
        for harmful in (True, False)
        if (kept := _series_of(lines, harmful))
    ]
    context = {
        "title": title,
        "intro": [text for text in intro.split("\n\n") if text.strip()],
        "runs": len(summaries),
        "simulated": [summary for summary, _ in summaries if summary.simulated],
        "stopped": [summary for summary, _ in summaries if not summary.complete],
        "series": list(series.values()),
        "charts": charts,
        "lines": lines,
        "papers": list(dict.fromkeys(s.paper for s, _ in summaries if s.paper)),
    }
    write_page(path, "comparing/index.html", context)
