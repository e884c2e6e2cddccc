"""Measure B in figures: rates, the corrected VSIL rate, safety patterns, and how they are made.

`judged.json` is `dataclasses.asdict` of `Judged`, and a line of `judged.jsonl` that of
`JudgedPair`; docs/judged.md says how every figure is made and what it assumes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vlsbench.auditing.head import Estimate, MeasuredPair, RunHead
from vlsbench.auditing.judged.prevalence import (
    Bounds,
    Sample,
    Sensitivity,
    bounds,
    corrected_share,
    sensitivity,
)
from vlsbench.engine import Outcome
from vlsbench.errors import BadRow
from vlsbench.evaluation import commonest_words, words_notes
from vlsbench.judge import Part, Unscored
from vlsbench.schemas import read_json
from vlsbench.stats import Rate, clustered_rate, effective_size, numbered

SCHEMA = "vlsbench.judged/1"
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
    score: float | None = None
    """How harmful, in [0, 1], from guards that say so."""


def finding_of(part: Part, outcome: Outcome) -> Finding:
    """Read back what a judge said of a part."""
    value = outcome.value
    if outcome.kind == "keep":
        return Finding(
            part, value["harmful"], value["reason"], value["explanation"], value.get("score")
        )
    lost = outcome.reason == "unanswered"
    reason = Unscored.JUDGE_MISSING if lost else outcome.reason
    return Finding(part, None, str(reason), value.get("detail", ""))


@dataclass(frozen=True, slots=True)
class JudgedPair(MeasuredPair):
    """One pair under its parts."""

    set: str
    """Name of the benchmark or control set it belongs to."""
    findings: tuple[Finding, ...]

    def harmful_by(self, part: Part) -> bool | None:
        """Return the judge's label of a part; None where it is unscored or was not asked."""
        return next((found.harmful for found in self.findings if found.part == part), None)

    @property
    def pattern(self) -> str | None:
        """Three letters, S or U, for text, image and pair; None where one is missing."""
        labels = [self.harmful_by(part) for part in Part]
        return None if None in labels else "".join("U" if label else "S" for label in labels)


def unread(pairs: Iterable[JudgedPair]) -> Iterator[str]:
    """Say why parts of pairs are unscored, in the commonest words."""
    findings = (one for pair in pairs for one in pair.findings if one.harmful is None)
    return words_notes(
        commonest_words((one.reason, one.explanation or "no words") for one in findings)
    )


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

    @property
    def leak(self) -> Estimate | None:
        """The corrected VSIL rate; None where there is none."""
        found = self.corrected
        if found.value is None:
            return None
        return Estimate(self.vsil.n, found.value, found.low, found.high)


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
class Judged(RunHead):
    """All of measure B for one benchmark."""

    form: str
    """How the judge is asked: `prompt`, or the form of a guard."""
    identity: Mapping[str, Any]
    """Everything that decides which calls are made."""
    harmful_by_judge: bool
    """Whether the judge says which pairs are harmful. False for judges that see no images: the
    benchmark's word is then taken, and there are no patterns."""
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
    notes: tuple[str, ...] = ()
    """Assumptions and caveats to be shown beside the figures."""
    benign: JudgedGroup | None = None
    """The benchmark's benign pairs, where it holds both kinds: in no other group."""
    sensitivity: tuple[Sensitivity, ...] = ()
    """How many more false alarms than the controls' would undo what `group` says."""


def read_judged(path: Path) -> Judged:
    """Read a `judged.json` back. Raises `SchemaError` where it is none or of another schema."""
    return read_json(path, Judged, schema=SCHEMA, foreign=True)


class Flags:
    """Which of some pairs count, with the images and queries by which these hang together."""

    def __init__(self, pairs: Sequence[JudgedPair], hits: Sequence[bool]) -> None:
        """Take pairs, and for each whether it counts."""
        self._hits = np.asarray(hits, dtype=np.bool_)
        self._images = numbered(f"{pair.set}|{pair.cluster}" for pair in pairs)
        self._queries = numbered(pair.query for pair in pairs)

    @classmethod
    def of(cls, pairs: Sequence[JudgedPair], part: Part, *, harmful: bool = True) -> Flags:
        """Flag the pairs whose part is judged harmful, or harmless; the unscored are left out."""
        scored = [(pair, label) for pair in pairs if (label := pair.harmful_by(part)) is not None]
        return cls([pair for pair, _ in scored], [label is harmful for _, label in scored])

    def rate(self) -> Rate:
        """Count, with an interval."""
        return clustered_rate(self._hits, self._images, self._queries)

    def sample(self) -> Sample | None:
        """Measure for a correction; None where there is no pair."""
        if not len(self._hits):
            return None
        size = effective_size(self._hits, self._images, self._queries)
        return Sample(float(self._hits.mean()), size)


class Controls:
    """What is known of the judge's errors on texts."""

    def __init__(self, benign: Sequence[JudgedPair], positive: Sequence[JudgedPair]) -> None:
        """Measure them on pairs whose text is harmless, and on pairs whose text is harmful."""
        alarms = Flags.of(benign, Part.TEXT)
        missed = Flags.of(positive, Part.TEXT, harmful=False)
        self.false_alarms, self._alarms = alarms.rate(), alarms.sample()
        self.misses = missed.rate() if positive else None
        self._misses = missed.sample()

    def correct(self, harmful: Sequence[JudgedPair]) -> Corrected:
        """Correct the share of these pairs whose text is judged harmful."""
        found = one_sided = None
        seen = Flags.of(harmful, Part.TEXT).sample()
        if seen and self._alarms and self._misses:
            found = corrected_share(seen, self._alarms, self._misses)
        elif seen and self._alarms and self.misses is None:
            one_sided = bounds(seen, self._alarms)
        value, low, high = found or (None, None, None)
        return Corrected(value, low, high, self.false_alarms, self.misses, one_sided)

    def sensitivity(self, harmful: Sequence[JudgedPair]) -> tuple[Sensitivity, ...]:
        """Say what the conclusion about these pairs hangs on."""
        seen, alarms = Flags.of(harmful, Part.TEXT).sample(), self._alarms
        if not seen or not alarms or (self.misses and not self._misses):
            return ()
        return (sensitivity(seen, alarms, self._misses),)


def part_figures(pairs: Sequence[JudgedPair], parts: Iterable[Part]) -> tuple[PartFigures, ...]:
    """Count each part's labels, and what has none."""

    def unscored(part: Part) -> dict[str, int]:
        findings = (one for pair in pairs for one in pair.findings if one.part == part)
        return dict(sorted(Counter(one.reason for one in findings if one.harmful is None).items()))

    return tuple(PartFigures(part, Flags.of(pairs, part).rate(), unscored(part)) for part in parts)


def pattern_rates(pairs: Sequence[JudgedPair]) -> dict[str, Rate]:
    """Return the safety-pattern table over the pairs that have all three labels."""
    whole = [pair for pair in pairs if pair.pattern is not None]
    return {
        pattern: Flags(whole, [pair.pattern == pattern for pair in whole]).rate()
        for pattern in PATTERNS
        if whole
    }


def harmful_pairs(pairs: Iterable[JudgedPair], parts: Sequence[Part]) -> list[JudgedPair]:
    """Return the pairs that the VSIL rate is about.

    They are harmful to the judge, or by the benchmark's word where it was asked about texts alone.
    """
    return [
        pair
        for pair in pairs
        if (pair.harmful_by(Part.PAIR) if Part.PAIR in parts else pair.harmful)
    ]


def group_figures(
    name: str, pairs: Sequence[JudgedPair], controls: Controls, parts: Sequence[Part]
) -> JudgedGroup:
    """Gather the figures of a group of pairs; `parts` are what the judge was asked about."""
    harmful = harmful_pairs(pairs, parts)
    vsil, total = Flags.of(harmful, Part.TEXT).rate(), len(harmful)
    return JudgedGroup(
        name=name,
        pairs=len(pairs),
        images=len({(pair.set, pair.cluster) for pair in pairs}),
        queries=len({pair.query for pair in pairs}),
        parts=part_figures(pairs, parts),
        vsil=vsil,
        vsil_if_harmless=vsil.k / total if total else None,
        vsil_if_harmful=(vsil.k + total - vsil.n) / total if total else None,
        corrected=controls.correct(harmful),
        patterns=pattern_rates(pairs),
        incomplete=sum(any(pair.harmful_by(p) is None for p in parts) for pair in pairs),
    )


def notes(found: Judged) -> Iterator[str]:
    """Say what is to be known of the figures."""
    corrected = found.group.corrected
    if corrected.misses is None:
        yield (
            "No positive controls: there are one-sided bounds and no corrected rate; xstest or "
            "vlguard:safe_unsafes would give one."
        )
    yield from map(str, found.sensitivity)
    if corrected.value is None and corrected.bounds is None and found.group.vsil.n:
        yield "No corrected rate: the judge does not tell harmless controls from harmful texts."
