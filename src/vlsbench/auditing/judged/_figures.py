"""Measure B in figures: rates, the corrected VSIL rate, safety patterns, and how they are made.

`judged.json` is `dataclasses.asdict` of `Judged`, and a line of `judged.jsonl` that of
`JudgedPair`; docs/judged.md says how every figure is made and what it assumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench.auditing.judged._prevalence import (
    Bounds,
    Sample,
    Sensitivity,
    bounds,
    corrected_share,
    sensitivity,
)
from vlsbench.errors import BadRow
from vlsbench.judge import Part
from vlsbench.schemas import read_json, read_jsonl
from vlsbench.stats import Rate, clustered_interval, effective_size, numbered

SCHEMA = "vlsbench.judged/1"


CONCLUSIONS = (0.0, 0.05)
"""Shares that leaking pairs exceed, or do not: what the sensitivity is told of."""
PATTERNS = ("SSS", "SSU", "SUS", "SUU", "USS", "USU", "UUS", "UUU")
"""Safe or unsafe by text, by image, as a pair. A leakless benchmark holds SSU."""


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
    """Pairs that share it share their images."""
    query: str
    findings: tuple[Finding, ...]

    def harmful_by(self, part: Part) -> bool | None:
        """Return the judge's label of a part; None where it is unscored or was not asked."""
        return next((found.harmful for found in self.findings if found.part == part), None)

    @property
    def pattern(self) -> str | None:
        """Three letters, S or U, for text, image and pair; None where one is missing."""
        labels = [self.harmful_by(part) for part in Part]
        return None if None in labels else "".join("U" if label else "S" for label in labels)


@dataclass(frozen=True, slots=True)
class PartFigures:
    """What the judge said of one part of a group of pairs."""

    part: Part
    harmful: Rate
    """Share judged harmful, of those scored; clustered by image and by query."""
    unscored: Mapping[str, int]
    """Reason → pairs."""


@dataclass(frozen=True, slots=True)
class Corrected:
    """A share with the judge's own errors taken out, and an interval that carries them."""

    value: float | None
    """In [0, 1]; None where the judge cannot tell harmful from harmless, and where nothing measures
    its misses: then there are `bounds`."""
    low: float | None
    high: float | None
    """95 % interval; it carries the sampling of the pairs and of every control."""
    false_alarms: Rate
    """Share of the benign controls whose text is judged harmful."""
    misses: Rate | None
    """Share of the positive controls whose text is judged harmless; None where there are none."""
    bounds: Bounds | None = None
    """One-sided, where there are no positive controls."""


@dataclass(frozen=True, slots=True)
class JudgedGroup:
    """Figures of one set of pairs: the harmful ones, the benign ones, or one category."""

    name: str
    """`all` (harmful pairs), `benign`, or the category."""
    pairs: int
    images: int
    """Distinct images."""
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
    """The text, and the other parts where the set has images and the judge sees."""
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
    """Whether the judge says which pairs are harmful. False for judges that see no images: the
    benchmark's word is then taken, and there are no patterns."""
    simulated: bool
    """True where a lab model judged: the figures say nothing about a real model."""
    complete: bool
    stopped: str
    """Why it ended early; empty where it did not."""
    pairs: int
    open: int
    """Parts of pairs, controls included, that were not asked yet."""
    left_out: tuple[BadRow, ...]
    """Pairs that could not be shown."""
    group: JudgedGroup
    """The pairs that the benchmark calls harmful; its benign ones where it holds no others."""
    categories: tuple[JudgedGroup, ...]
    """Of the same pairs."""
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
    benign: JudgedGroup | None = None
    """The benchmark's benign pairs, where it holds both kinds: in no other group."""
    sensitivity: tuple[Sensitivity, ...] = ()
    """How many more false alarms than the controls' would undo what `group` says."""


def read_judged(path: Path) -> Judged:
    """Read a `judged.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, Judged, schema=SCHEMA)


def read_judged_pairs(path: Path, bench: str) -> Mapping[str, JudgedPair]:
    """Read a benchmark's pairs, by id, from a `judged.jsonl`. Raises `SchemaError`."""
    found: dict[str, JudgedPair] = {}
    for row in read_jsonl(path, JudgedPair):
        # Controls come after the benchmark, and may be pairs of the same set.
        if row.set == bench:
            found.setdefault(row.id, row)
    return found


class Labels:
    """Pairs with the numbers of their images and queries, by which they hang together."""

    def __init__(self, pairs: Sequence[JudgedPair]) -> None:
        """Number the images and the queries."""
        self.pairs = pairs
        self.images = numbered(f"{pair.set}|{pair.cluster}" for pair in pairs)
        self.queries = numbered(pair.query for pair in pairs)

    def where(self, chosen: Sequence[bool]) -> Labels:
        """Return some of the pairs."""
        return Labels([pair for pair, take in zip(self.pairs, chosen, strict=True) if take])

    def scored(self, part: Part) -> Labels:
        """Return the pairs that have a label for a part."""
        return self.where([pair.harmful_by(part) is not None for pair in self.pairs])

    def rate(self, hits: Sequence[bool]) -> Rate:
        """Count hits among the pairs, with an interval."""
        flags = np.asarray(hits, dtype=np.bool_)
        interval = clustered_interval(flags, self.images, self.queries)
        if interval is None:
            return Rate(0, 0, None, None, None)
        k = int(flags.sum())
        return Rate(k, len(flags), k / len(flags), *interval)

    def sample(self, hits: Sequence[bool]) -> Sample:
        """Measure hits among the pairs, for a correction; there must be a pair."""
        flags = np.asarray(hits, dtype=np.bool_)
        return Sample(
            float(flags.mean()),
            effective_size(flags, self.images, self.queries),
        )

    def flagged(self, part: Part) -> list[bool]:
        """Tell which pairs are harmful by a part; all must be scored."""
        return [bool(pair.harmful_by(part)) for pair in self.pairs]


class Controls:
    """What is known of the judge's errors on texts."""

    def __init__(self, benign: Labels, positive: Labels) -> None:
        """Measure them.

        Args:
            benign: Pairs whose text is harmless.
            positive: Pairs whose text is harmful on its own; may be none.
        """
        heard = benign.scored(Part.TEXT)
        self.false_alarms = heard.rate(heard.flagged(Part.TEXT))
        self._alarms = heard.sample(heard.flagged(Part.TEXT)) if heard.pairs else None
        wrong = positive.scored(Part.TEXT)
        missed = [not hit for hit in wrong.flagged(Part.TEXT)]
        self.misses = wrong.rate(missed) if positive.pairs else None
        self._misses = wrong.sample(missed) if wrong.pairs else None

    def correct(self, harmful: Labels) -> Corrected:
        """Correct the share of these pairs whose text is judged harmful."""
        found = one_sided = None
        if harmful.pairs and self._alarms:
            seen = harmful.sample(harmful.flagged(Part.TEXT))
            if self._misses:
                found = corrected_share(seen, self._alarms, self._misses)
            elif self.misses is None:
                one_sided = bounds(seen, self._alarms)
        return Corrected(
            found.value if found else None,
            found.low if found else None,
            found.high if found else None,
            self.false_alarms,
            self.misses,
            one_sided,
        )

    def sensitivity(self, harmful: Labels) -> tuple[Sensitivity, ...]:
        """Say what the conclusions about these pairs hang on."""
        if not harmful.pairs or not self._alarms or (self.misses and not self._misses):
            return ()
        seen = harmful.sample(harmful.flagged(Part.TEXT))
        return tuple(sensitivity(seen, self._alarms, self._misses, above) for above in CONCLUSIONS)


def part_figures(labels: Labels, parts: Iterable[Part]) -> tuple[PartFigures, ...]:
    """Count each part's labels, and what has none."""
    figures = []
    for part in parts:
        heard = labels.scored(part)
        reasons = Counter(
            found.reason
            for pair in labels.pairs
            for found in pair.findings
            if found.part == part and found.harmful is None
        )
        figures.append(
            PartFigures(part, heard.rate(heard.flagged(part)), dict(sorted(reasons.items())))
        )
    return tuple(figures)


def pattern_rates(labels: Labels) -> dict[str, Rate]:
    """Return the safety-pattern table over the pairs that have all three labels."""
    whole = labels.where([pair.pattern is not None for pair in labels.pairs])
    patterns = [pair.pattern for pair in whole.pairs]
    return {
        pattern: whole.rate([found == pattern for found in patterns])
        for pattern in PATTERNS
        if patterns
    }


def harmful_labels(labels: Labels, parts: Sequence[Part]) -> Labels:
    """Return the pairs that the VSIL rate is about: harmful to the judge, where it sees pairs."""
    return labels.where(
        [
            bool(pair.harmful_by(Part.PAIR)) if Part.PAIR in parts else pair.harmful
            for pair in labels.pairs
        ]
    )


def group_figures(
    name: str, labels: Labels, controls: Controls, parts: Sequence[Part]
) -> JudgedGroup:
    """Gather the figures of a group of pairs.

    Args:
        name: `all`, or the category.
        labels: Its pairs.
        controls: The judge's errors.
        parts: What the judge was asked about. Where the pair is not among them, the benchmark's
            word is taken for which pairs are harmful.
    """
    harmful = harmful_labels(labels, parts)
    heard = harmful.scored(Part.TEXT)
    vsil = heard.rate(heard.flagged(Part.TEXT))
    silent = len(harmful.pairs) - len(heard.pairs)
    total = len(harmful.pairs)
    gaps = [any(pair.harmful_by(part) is None for part in parts) for pair in labels.pairs]
    return JudgedGroup(
        name=name,
        pairs=len(labels.pairs),
        images=len(set(labels.images.tolist())),
        queries=len(set(labels.queries.tolist())),
        parts=part_figures(labels, parts),
        vsil=vsil,
        vsil_if_harmless=vsil.k / total if total else None,
        vsil_if_harmful=(vsil.k + silent) / total if total else None,
        corrected=controls.correct(heard),
        patterns=pattern_rates(labels),
        incomplete=sum(gaps),
    )
