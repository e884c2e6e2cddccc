"""From labels to the figures of measure B: rates, the corrected VSIL rate, safety patterns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from vlsbench.auditing.judged._prevalence import Sample, corrected_share
from vlsbench.auditing.judged._types import (
    PATTERNS,
    Corrected,
    JudgedGroup,
    JudgedPair,
    PartFigures,
)
from vlsbench.judge import Part
from vlsbench.stats import Rate, crossed_interval, crossed_size, numbered


class Labels:
    """Pairs with the numbers of their pictures and queries, by which they hang together."""

    def __init__(self, pairs: Sequence[JudgedPair]) -> None:
        """Number the pictures and the queries."""
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
        interval = crossed_interval(flags, self.images, self.queries)
        if interval is None:
            return Rate(0, 0, None, None, None)
        k = int(flags.sum())
        return Rate(k, len(flags), k / len(flags), *interval)

    def sample(self, hits: Sequence[bool]) -> Sample:
        """Measure hits among the pairs, for a correction; there must be a pair."""
        flags = np.asarray(hits, dtype=np.bool_)
        return Sample(
            float(flags.mean()),
            crossed_size(flags, self.images, self.queries),
            int(min(self.images.max(), self.queries.max())) + 1,
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
        found = None
        if harmful.pairs and self._alarms:
            seen = harmful.sample(harmful.flagged(Part.TEXT))
            found = corrected_share(seen, self._alarms, self._misses)
        return Corrected(
            found.value if found else None,
            found.low if found else None,
            found.high if found else None,
            self.false_alarms,
            self.misses,
        )


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
    harmful = labels.where(
        [
            bool(pair.harmful_by(Part.PAIR)) if Part.PAIR in parts else pair.harmful
            for pair in labels.pairs
        ]
    )
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
