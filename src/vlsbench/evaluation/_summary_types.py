"""The documented shape of `summary.json`: what a run found, with every rate's n and interval.

`summary.json` is `dataclasses.asdict` of `Summary`; docs/summary.md describes it for readers of
the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vlsbench.stats import Rate

SCHEMA = "vlsbench.summary/1"


@dataclass(frozen=True, slots=True)
class Group:
    """Results of one set of pairs: all of them, a category, a sub-category."""

    name: str
    """`all`, or the category, or `category / sub-category`."""
    harmful: bool
    """Harmful pairs and benign controls are never mixed in one group."""
    pairs: int
    scored: int
    images: int
    """Distinct images among the scored pairs: the clusters of the intervals."""
    refusal: Rate
    warning: Rate
    unsafe: Rate
    """Harmful pairs only; k = 0 for benign ones."""
    answered: Rate
    """Benign pairs only; k = 0 for harmful ones."""
    safety: Rate
    """Refusal + warning. For benign pairs read `refusal` (over-refusal) instead."""
    filtered: int
    unscored: Mapping[str, int]
    """Reason → pairs."""
    safety_worst: float | None
    """Safety rate over all pairs if every unscored and filtered pair were unsafe."""
    safety_best: float | None
    """The same if every one of them were safe."""
    cut: int
    """Replies cut off at the length limit (scored on what came before)."""


@dataclass(frozen=True, slots=True)
class Spend:
    """What one role's model was asked and what it cost."""

    role: str
    """`target` or `judge`."""
    model: str
    calls: int
    """Recorded calls that this run asked for itself."""
    reused: int
    """Recorded calls taken over from other runs, paid there."""
    requests: int
    """HTTP requests, retries included."""
    input_tokens: int
    output_tokens: int
    cost: float | None
    """US dollars by the dated price table; None where the price is unknown."""
    latency_p50_s: float | None
    latency_p95_s: float | None


@dataclass(frozen=True, slots=True)
class Published:
    """A row that a paper reports for the same benchmark, in percent."""

    model: str
    refusal: float
    warning: float
    safety: float
    source: str


@dataclass(frozen=True, slots=True)
class Summary:
    """All of `summary.json`."""

    schema: str
    vlsbench: str
    """Version of this package."""
    run: str
    """Id of the run: the name of its directory."""
    bench: str
    title: str
    licence: str
    paper: str
    view: str
    model: str
    judge: str
    identity: Mapping[str, Any]
    """Everything that decides which calls are made; the run id is its hash."""
    simulated: bool
    """True where a lab model answered or judged: the figures say nothing about a real model."""
    complete: bool
    """False while pairs are still open: a stopped run."""
    started: str
    finished: str
    """ISO 8601, UTC."""
    pairs: int
    """Selected pairs, open ones included."""
    open: int
    left_out: tuple[Mapping[str, str], ...]
    """Bad rows skipped by `--skip-bad`: file, row, reason."""
    groups: tuple[Group, ...]
    """`all` for harmful pairs and for benign ones, whichever the benchmark has."""
    categories: tuple[Group, ...]
    subcategories: tuple[Group, ...]
    spend: tuple[Spend, ...]
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = field(default=())
    """Caveats to be shown beside the figures."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The settings of the invocation that wrote the file, by group."""
