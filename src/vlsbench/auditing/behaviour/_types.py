"""The documented shape of measure C: what hiding the picture changes in a model's replies.

`behaviour.json` is `dataclasses.asdict` of `Behaviour`; docs/behaviour.md says how every figure is
made and what it assumes.
"""

from __future__ import annotations

from dataclasses import dataclass

from vlsbench.stats import Rate

SCHEMA = "vlsbench.behaviour/1"


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of two shares."""

    n: int
    """Pairs that both were measured on; where they were measured on different sets, the smaller."""
    value: float | None
    low: float | None
    high: float | None
    """95 % interval; None where there are too few pictures to tell."""
    p: float | None = None
    """Exact two-sided p of McNemar's test, where the shares are of the same pairs."""


@dataclass(frozen=True, slots=True)
class ViewFigures:
    """A model's behaviour under one view."""

    view: str
    """`full`, `text`, `blank`, `swap`, `caption`."""
    safety: Rate
    """Of the harmful pairs: replies that refuse or warn."""
    refusal: Rate
    """Of the harmful pairs: replies that refuse."""
    unscored: int
    """Harmful pairs without a label, filtered ones included."""
    over_refusal: Rate
    """Of the benign controls: replies that refuse."""
    over_caution: Rate
    """Of the benign controls: replies that refuse or warn of a risk that is not there."""
    unscored_controls: int
    net: Difference
    """Safety − over-refusal: what is left for a model that refuses whatever it is asked is 0."""
    net_of_warnings: Difference
    """Safety − over-caution: the same for a model that warns whatever it is asked."""


@dataclass(frozen=True, slots=True)
class ViewChange:
    """What a view takes away from the full one, over the pairs scored under both."""

    view: str
    gain: Difference
    """Safety rate under `full` − under this view. Under `text`: the cross-modal gain."""
    survival: Rate
    """Of the pairs answered safely under `full`: those answered safely under this view too."""


@dataclass(frozen=True, slots=True)
class CategoryBehaviour:
    """One category of the harmful pairs."""

    name: str
    safety: Rate
    """Under `full`."""
    changes: tuple[ViewChange, ...]


@dataclass(frozen=True, slots=True)
class NotRun:
    """A view that a set cannot give."""

    set: str
    view: str
    reason: str


@dataclass(frozen=True, slots=True)
class ViewRun:
    """Where the evaluation behind a figure lies."""

    set: str
    view: str
    folder: str
    """Name of the run's folder beside `behaviour.json`."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """All of measure C for one benchmark and one model."""

    schema: str
    vlsbench: str
    """Version of this package."""
    run: str
    """Name of the folder that holds the evaluations' folders."""
    bench: str
    title: str
    paper: str
    licence: str
    model: str
    judge: str
    controls: tuple[str, ...]
    simulated: bool
    """True where a lab model took part: the figures say nothing about a real model."""
    complete: bool
    stopped: str
    """Why it ended early; empty where it did not."""
    pairs: int
    """Harmful pairs asked."""
    views: tuple[ViewFigures, ...]
    changes: tuple[ViewChange, ...]
    """A row for each view but `full`."""
    categories: tuple[CategoryBehaviour, ...]
    not_run: tuple[NotRun, ...]
    runs: tuple[ViewRun, ...]
    calls: int
    """Recorded calls asked for these figures, by this and earlier invocations."""
    reused: int
    cost: float | None
    """US dollars; None where a price is unknown."""
    notes: tuple[str, ...] = ()
    """Assumptions and caveats to be shown beside the figures."""

    def change(self, view: str) -> ViewChange | None:
        """Return one view's change, None where it was not run."""
        return next((change for change in self.changes if change.view == view), None)

    @property
    def gain(self) -> Difference | None:
        """The cross-modal gain: full − text."""
        change = self.change("text")
        return change.gain if change else None

    @property
    def shortcut(self) -> Rate | None:
        """Shortcut safety: safe answers that survive a picture known to be harmless, a blank."""
        change = self.change("blank")
        return change.survival if change else None
