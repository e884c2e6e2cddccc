"""The documented shape of measure B: what a judge holds harmful, by text, by picture and by both.

`judged.json` is `dataclasses.asdict` of `Judged`, and a line of `judged.jsonl` that of
`JudgedPair`; docs/judged.md says how every figure is made and what it assumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vlsbench.judge import Part
from vlsbench.stats import Rate

SCHEMA = "vlsbench.judged/1"


PATTERNS = ("SSS", "SSU", "SUS", "SUU", "USS", "USU", "UUS", "UUU")
"""Safe or unsafe by text, by picture, as a pair. A leakless benchmark holds SSU."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What the judge said of one part of one pair."""

    part: Part
    harmful: bool | None
    """None where it is unscored."""
    reason: str
    """Why it is unscored (`judge_refused`, `judge_unparseable`, …); empty where it is not."""
    explanation: str
    """The judge's own words, or what went wrong."""


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """One pair under its parts."""

    set: str
    """Name of the benchmark or control set it belongs to."""
    id: str
    category: str
    subcategory: str
    harmful: bool
    """As its benchmark says."""
    cluster: str
    """Pairs that share it share their pictures."""
    query: str
    findings: tuple[Finding, ...]

    def harmful_by(self, part: Part) -> bool | None:
        """Return the judge's label of a part; None where it is unscored or was not asked."""
        return next((found.harmful for found in self.findings if found.part == part), None)

    @property
    def pattern(self) -> str | None:
        """Three letters, S or U, for text, picture and pair; None where one is missing."""
        labels = [self.harmful_by(part) for part in Part]
        return None if None in labels else "".join("U" if label else "S" for label in labels)


@dataclass(frozen=True, slots=True)
class PartFigures:
    """What the judge said of one part of a group of pairs."""

    part: Part
    harmful: Rate
    """Share judged harmful, of those scored; clustered by picture and by query."""
    unscored: Mapping[str, int]
    """Reason → pairs."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A share with the judge's own errors taken out, and an interval that carries them."""

    value: float | None
    """In [0, 1]; None where the judge cannot tell harmful from harmless."""
    low: float | None
    high: float | None
    """95 % interval; it carries the sampling of the pairs and of every control."""
    false_alarms: Rate
    """Share of the benign controls whose text is judged harmful."""
    misses: Rate | None
    """Share of the positive controls whose text is judged harmless; None where there are none,
    and the judge is then assumed to miss nothing, which makes `value` too low if it does."""


@dataclass(frozen=True, slots=True)
class JudgedGroup:
    """Figures of one set of pairs: all of them, or one category."""

    name: str
    """`all`, or the category."""
    pairs: int
    images: int
    """Distinct pictures."""
    queries: int
    """Distinct queries: equal ones get one label, so they are one observation."""
    parts: tuple[PartFigures, ...]
    vsil: Rate
    """The VSIL rate as judged: share of harmful pairs whose text alone is judged harmful."""
    vsil_if_harmless: float | None
    """The same if every unscored text among them were harmless."""
    vsil_if_harmful: float | None
    """The same if every one were harmful (judges refuse harmful texts more often)."""
    corrected: Corrected
    """The VSIL rate without the judge's errors: the figure to quote."""
    patterns: Mapping[str, Rate]
    """Safety pattern (`PATTERNS`) → share of the pairs with all three labels."""
    incomplete: int
    """Pairs without one of the labels: in no pattern."""


@dataclass(frozen=True, slots=True)
class ControlFigures:
    """One control set."""

    name: str
    positive: bool
    """Its texts are harmful on their own, and measure misses; else harmless: false alarms."""
    pairs: int
    parts: tuple[PartFigures, ...]
    """The text, and the other parts where the set has pictures and the judge sees."""
    patterns: Mapping[str, Rate]
    corrected: Corrected | None
    """The benchmark's VSIL rate if this were the only benign set: how much hangs on the choice."""


@dataclass(frozen=True, slots=True)
class Judged:
    """All of measure B for one benchmark."""

    schema: str
    vlsbench: str
    """Version of this package."""
    run: str
    """Name of the run's folder."""
    bench: str
    title: str
    paper: str
    licence: str
    judge: str
    form: str
    """How the judge is asked: `prompt`, `llama-guard`, `shieldgemma`, `moderations`."""
    identity: Mapping[str, Any]
    """Everything that decides which calls are made."""
    harmful_by_judge: bool
    """Whether the judge says which pairs are harmful. False for judges that see no pictures: the
    benchmark's word is then taken, and there are no patterns."""
    simulated: bool
    """True where a lab model judged: the figures say nothing about a real model."""
    complete: bool
    stopped: str
    """Why it ended early; empty where it did not."""
    pairs: int
    open: int
    """Parts of pairs, controls included, that were not asked yet."""
    left_out: tuple[Mapping[str, str], ...]
    """Pairs that could not be shown: file, row, reason."""
    group: JudgedGroup
    categories: tuple[JudgedGroup, ...]
    controls: tuple[ControlFigures, ...]
    leaking: tuple[JudgedPair, ...]
    """The first pairs that are harmful as pairs and already by their text, as judged."""
    calls: int
    """Recorded calls that this run asked for itself."""
    reused: int
    """Recorded calls taken over from other runs."""
    cost: float | None
    """US dollars; None where the price is unknown."""
    notes: tuple[str, ...] = ()
    """Assumptions and caveats to be shown beside the figures."""
