"""From features to probabilities, and from probabilities to the share of a set that leaks.

Fitted on public paired controls, where the same image has a text that names it and one that does
not; `scripts/fit_naming.py` fits anew and says how well it carries over from one set to another.
"""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.head import Estimate
from vlsbench.auditing.overlap.background import DIGEST
from vlsbench.auditing.overlap.measure import FEATURES, Numbers
from vlsbench.embed import Embedder
from vlsbench.errors import VlsbenchError
from vlsbench.schemas import read_json
from vlsbench.stats import LEVEL, effective_size

NAMED = 0.5
"""Probability at which a query counts as naming."""
SPREAD = 1.75
"""By how much the standard deviation of error rates between domains is enlarged, for they are few:
the smallest that covers sets like any domain left out 93 times in 100 (docs/overlap.md)."""
STEADIEST = 30.0
"""Most pairs that a domain's rates are as good as known from, beforehand."""
NODES = 40
"""Quantiles that stand for the distribution of an error rate."""
GRID = np.linspace(0, 1, 1001)
"""Leaking shares that are tried."""
NEVER_SURE = 1e-4
"""No probability comes closer to 0 or 1: the controls are too few to tell."""
SHIPPED = "naming.json"


@dataclass(frozen=True, slots=True)
class Errors:
    """How texts of one domain are told apart by numbers fitted on the other sets."""

    control: str
    domain: str
    """Category or scenario."""
    naming: int
    """Texts that name the content."""
    found: int
    """Of those, at 0.5 or more."""
    silent: int
    """Texts that do not."""
    false: int
    """Of those, at 0.5 or more."""


@dataclass(frozen=True)
class Calibration:
    """Fitted numbers that turn features into the probability of naming, with their provenance."""

    features: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    errors: tuple[Errors, ...]
    """By domain: what the errors in another benchmark may be."""
    embedder: str
    embedder_digest: str
    background: str
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """Names the fitted numbers."""
        fields = {key: value for key, value in asdict(self).items() if key != "provenance"}
        return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()[:16]

    def probability(self, features: Numbers) -> Numbers:
        """Return the probability of naming, shape (n,), for features of shape (n, 3).

        The two kinds are taken as even a priori.
        """
        scaled = (features - np.array(self.mean)) / np.array(self.scale)
        limit = np.log(1 / NEVER_SURE - 1)
        odds = np.clip(scaled @ np.array(self.coefficients) + self.intercept, -limit, limit)
        return np.asarray(1 / (1 + np.exp(-odds)))


@cache
def shipped() -> Calibration:
    """Return the numbers that come with the package, fitted for MiniLM."""
    return read_json(Path(__file__).with_name(SHIPPED), Calibration)


def check_fits(calibration: Calibration, embedder: Embedder) -> None:
    """Raise `VlsbenchError` where the numbers belong to other vectors, background or features."""
    fitted = (calibration.embedder_digest, calibration.background, calibration.features)
    if fitted != (embedder.digest, DIGEST, FEATURES):
        raise VlsbenchError(
            f"naming is calibrated for the embedder {calibration.embedder}, not for "
            f"{embedder.name}, or against another background: fit it with scripts/fit_naming.py "
            f"--embedder {embedder.name} --out FILE and give that file as --calibration"
        )


def _rate(hits: list[int], of: list[int]) -> Numbers:
    """Return quantiles of the rate that another benchmark may have, shape (nodes,).

    A beta distribution with the mean and the enlarged variance of the domains' rates.
    """
    from scipy.stats import beta

    rates = (np.array(hits) + 0.5) / (np.array(of) + 1)
    mean, variance = rates.mean(), SPREAD**2 * rates.var(ddof=1)
    weight = min(STEADIEST, max(0.5, mean * (1 - mean) / max(variance, 1e-9) - 1))
    levels = (np.arange(NODES) + 0.5) / NODES
    return np.asarray(beta.ppf(levels, mean * weight, (1 - mean) * weight))


@cache
def _rates(errors: tuple[Errors, ...]) -> tuple[Numbers, Numbers]:
    """Return detection and false-alarm rates that a benchmark may have, shape (pairs of nodes,)."""
    # With fewer than two domains nothing is known of how they differ, and nothing is corrected.
    if len(errors) < 2:
        return np.ones(1), np.zeros(1)
    found = _rate([count.found for count in errors], [count.naming for count in errors])
    false = _rate([count.false for count in errors], [count.silent for count in errors])
    grid = np.meshgrid(found, false)
    return grid[0].ravel(), grid[1].ravel()


def leaking_share(
    probabilities: Numbers, clusters: NDArray[np.integer[Any]], calibration: Calibration
) -> Estimate:
    """Estimate the share of naming pairs, corrected for the errors of the probabilities.

    The pairs at 0.5 or more are found ones among the naming and false alarms among the others, at
    rates that differ from benchmark to benchmark as they do between the controls' domains. The
    bounds are the smallest and the largest share that a test at 5 % does not refuse, given a
    benchmark whose rates are unknown but for that (the correction is Rogan and Gladen's of 1978;
    the test is Clopper and Pearson's, averaged over the rates). The value is the share at which as
    many or more such pairs are as likely as that many or fewer.

    Args:
        probabilities: Shape (n,).
        clusters: Shape (n,), number of each pair's image; pairs that share one count as the
            effective number of independent pairs.
        calibration: That they came from; its errors are those of numbers fitted on other sets.
    """
    from scipy.special import betainc

    n = len(probabilities)
    if not n:
        return Estimate(0, None, None, None)
    named = probabilities >= NAMED
    size = effective_size(named, np.unique(clusters, return_inverse=True)[1])
    hits = float(named.mean()) * size
    found, false = _rates(calibration.errors)

    def at_least(share: float) -> float:
        called = share * found + (1 - share) * false
        return float(betainc(hits, size - hits + 1, called).mean()) if hits else 1.0

    def at_most(share: float) -> float:
        called = share * found + (1 - share) * false
        return 1 - float(betainc(hits + 1, size - hits, called).mean()) if hits < size else 1.0

    tail = (1 - LEVEL) / 2
    value, low, high = (
        float(GRID[min(bisect_left(GRID, True, key=reached), len(GRID) - 1)])
        for reached in (
            lambda share: at_least(share) >= at_most(share),
            lambda share: at_least(share) > tail,
            lambda share: at_most(share) <= tail,
        )
    )
    # Of one image nothing is known of how images differ.
    if len(np.unique(clusters)) < 2:
        low, high = 0.0, 1.0
    return Estimate(n, value, min(low, value), max(high, value))
