"""Several answers to each pair: how often all are safe, and what makes single answers differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from vlsbench.evaluation._rows import PairRow
from vlsbench.judge import OURS, Rubric, is_scored
from vlsbench.stats import Rate, clustered_rate, numbered, variance_components


@dataclass(frozen=True, slots=True)
class Variance:
    """The variance of a single judgement, split by what it comes from; the parts add up to it."""

    pair: float | None
    """Between pairs. A part is None, which is unknown and not zero, where nothing was repeated."""
    sample: float | None
    """Between answers to one pair; with the judge's part in it where that is unknown."""
    judge: float | None
    """Between judgements of one answer; None where each answer was judged once."""

    @property
    def said(self) -> str:
        """The parts in words, in percent of what they add up to."""
        parts = {"pairs": self.pair, "answers": self.sample, "judge": self.judge}
        whole = sum(part or 0.0 for part in parts.values())
        shares = ", ".join(
            f"{name} " + ("unknown" if part is None else f"{100 * part / (whole or 1):.0f} %")
            for name, part in parts.items()
        )
        unknown = None in parts.values()
        once = " (done once, so its part is in the one before it)" if unknown else ""
        return f"Variance of one judgement ({whole:.3f}): {shares}{once}."


@dataclass(frozen=True, slots=True)
class Sampled:
    """What several answers to each pair say: of the harmful pairs, or of the benign ones.

    Of benign pairs read *declined* for *unsafe*, and *not declined* for *safe*.
    """

    harmful: bool
    samples: int
    """Answers to each pair."""
    pairs: int
    """Pairs with an answer."""
    mean: Rate
    """Safe answers among the scored ones: the group's safety rate, averaged over samples; of benign
    pairs the answers that did not decline."""
    any_unsafe: Rate
    """Pairs with an unsafe answer, among those whose answers are all scored."""
    all_safe: Rate
    """Pairs without one: the rest of those."""
    left_out: int
    """Pairs with an answer that is filtered, unscored or open: in neither of the two rates."""
    all_safe_worst: float
    """Share of all pairs whose answers are all safe if every answer without a label were unsafe."""
    all_safe_best: float
    """The same if every one of them were safe."""
    all_safe_worst_low: float
    """Lower end of the 95 % interval of `all_safe_worst`: what is missing and who was drawn."""
    all_safe_best_high: float
    """Upper end of the 95 % interval of `all_safe_best`."""
    variance: Variance

    @property
    def words(self) -> tuple[str, str, str]:
        """What mean, any and all of the answers are called."""
        if self.harmful:
            return "mean safe", "any unsafe", "all safe"
        return "mean not declined", "any declined", "none declined"


@dataclass
class _Drawn:
    """The answers to one pair."""

    cluster: str
    safe: list[bool | None] = field(default_factory=list)
    """Of each answer; None without a label."""
    votes: list[list[bool]] = field(default_factory=list)
    """Answer → whether each scored judgement of it says safe."""


class Draws:
    """Gathers the answers of a run, pair by pair."""

    def __init__(self, samples: int, rubric: Rubric = OURS) -> None:
        """Take how many answers each pair has, and what their labels count for."""
        self._samples, self._rubric = samples, rubric
        self._kinds: dict[bool, list[_Drawn]] = {}
        self._last = ""

    def add(self, row: PairRow) -> None:
        """Take one answer; those to one pair come one after the other."""
        pairs = self._kinds.setdefault(row.harmful, [])
        if row.id != self._last:
            self._last = row.id
            pairs.append(_Drawn(row.cluster))

        def safe(label: str) -> bool:
            if row.harmful:
                return label in self._rubric.safe
            return label not in self._rubric.declined

        votes = row.judge_votes or [row.label]
        pairs[-1].safe.append(safe(row.label) if is_scored(row.label) else None)
        pairs[-1].votes.append([safe(vote) for vote in votes if is_scored(vote)])

    def found(self) -> tuple[Sampled, ...]:
        """Return what they say of the harmful pairs, and of the benign ones."""
        kinds = sorted(self._kinds.items(), reverse=True)
        return tuple(self._sampled(harmful, pairs) for harmful, pairs in kinds)

    def _sampled(self, harmful: bool, pairs: Sequence[_Drawn]) -> Sampled:
        whole = np.array([len(p.safe) == self._samples and None not in p.safe for p in pairs])
        # Without an unsafe answer so far; what is missing may be one.
        possible = np.array([False not in pair.safe for pair in pairs])
        clusters = numbered(pair.cluster for pair in pairs)
        safe = possible & whole
        worst, best = (clustered_rate(flags, clusters) for flags in (safe, possible))
        scored = [(one, pair.cluster) for pair in pairs for one in pair.safe if one is not None]
        votes = [
            (vote, (number, answer), number)
            for number, pair in enumerate(pairs)
            for answer, given in enumerate(pair.votes)
            for vote in given
        ]
        judge, sample, of_pair = variance_components(
            [vote for vote, _, _ in votes],
            [answer for _, answer, _ in votes],
            [number for _, _, number in votes],
        )
        return Sampled(
            harmful=harmful,
            samples=self._samples,
            pairs=len(whole),
            mean=clustered_rate([one for one, _ in scored], [c for _, c in scored]),
            any_unsafe=clustered_rate(~safe[whole], clusters[whole]),
            all_safe=clustered_rate(safe[whole], clusters[whole]),
            left_out=int((~whole).sum()),
            all_safe_worst=worst.rate or 0.0,
            all_safe_best=best.rate or 0.0,
            all_safe_worst_low=worst.low or 0.0,
            all_safe_best_high=best.high or 0.0,
            variance=Variance(of_pair, sample, judge),
        )
