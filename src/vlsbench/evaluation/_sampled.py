"""Several answers to each pair: how often all are safe, and what makes single answers differ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vlsbench.evaluation._answers import Answers
from vlsbench.judge import Rubric, is_scored
from vlsbench.stats import Rate, clustered_rate, variance_components


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
        once = " (done once, so its part is in that of the "
        known_in = {"answers": f"{once}pairs)", "judge": f"{once}answers)"}
        shares = ", ".join(
            f"{name} unknown{known_in.get(name, '')}"
            if part is None
            else f"{name} {100 * part / (whole or 1):.0f} %"
            for name, part in parts.items()
        )
        return f"Variance of one judgement ({whole:.3f}): {shares}."


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


def sampled(answers: Answers, samples: int, rubric: Rubric) -> Sampled:
    """Return what the answers to each pair say, of which it should have `samples`."""

    def safe(label: str) -> bool:
        return label in rubric.safe if answers.harmful else label not in rubric.declined

    scored = answers.scored
    good = scored & answers.those(lambda end: safe(end.label))
    _, first, pairs = np.unique(answers.pairs, return_index=True, return_inverse=True)
    clusters = answers.clusters[first]
    # Without an unsafe answer so far; what is missing may be one.
    possible = np.bincount(pairs, weights=scored & ~good) == 0
    whole = np.bincount(pairs, weights=scored) == samples
    all_safe = possible & whole
    worst, best = (clustered_rate(flags, clusters) for flags in (all_safe, possible))
    given = [
        [safe(vote) for vote in end.votes or (end.label,) if is_scored(vote)]
        for end in answers.kinds
    ]
    votes = [
        (vote, answer, pair)
        for answer, (end, pair) in enumerate(zip(answers.ends, pairs, strict=True))
        for vote in given[end]
    ]
    judge, sample, of_pair = variance_components(
        [vote for vote, _, _ in votes],
        [answer for _, answer, _ in votes],
        [pair for _, _, pair in votes],
    )
    return Sampled(
        harmful=answers.harmful,
        samples=samples,
        pairs=len(first),
        mean=clustered_rate(good[scored], answers.clusters[scored]),
        any_unsafe=clustered_rate(~all_safe[whole], clusters[whole]),
        all_safe=clustered_rate(all_safe[whole], clusters[whole]),
        left_out=int((~whole).sum()),
        all_safe_worst=worst.rate or 0.0,
        all_safe_best=best.rate or 0.0,
        all_safe_worst_low=worst.low or 0.0,
        all_safe_best_high=best.high or 0.0,
        variance=Variance(of_pair, sample, judge),
    )
