"""From features to probabilities, and from probabilities to the share of a set that leaks.

Fitted on public paired controls, where the same picture has a text that names it and one that does
not; `scripts/fit_naming.py` fits anew and says how well it carries over from one set to another.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vlsbench.auditing.overlap._background import DIGEST
from vlsbench.auditing.overlap._figures import Estimate
from vlsbench.auditing.overlap._measure import FEATURES, Numbers
from vlsbench.embed._text import Embedder
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json
from vlsbench.schemas import decode_json
from vlsbench.stats import LEVEL, effective_size

PENALTY = 10.0
"""Weight of half the squared coefficients against 1,000 texts; keeps separable sets finite."""
FULL_WEIGHT = 1000.0
NAMED = 0.5
"""Probability at which a query counts as naming."""
DRAWS = 400
"""Of the rates of errors that another benchmark may have."""
SET_PRIOR = 0.5
"""Dirichlet weight of each set of controls in the mix that another benchmark is taken to be: below
1, so that being like one of them is likelier than an even mix."""
TRUST = 400.0
"""Pairs of another benchmark beyond which more of them say little: it is only roughly a mix."""
GRID = np.linspace(0, 1, 401)
"""Leaking shares that are weighed."""
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

    def log_odds(self, features: Numbers) -> Numbers:
        """Return shape (n,) for features of shape (n, 4)."""
        scaled = (features - np.array(self.mean)) / np.array(self.scale)
        limit = np.log(1 / NEVER_SURE - 1)
        odds = scaled @ np.array(self.coefficients) + self.intercept
        return np.asarray(np.clip(odds, -limit, limit))

    def probability(self, features: Numbers) -> Numbers:
        """Return the probability of naming, shape (n,); the two kinds are taken as even a priori.

        Args:
            features: Shape (n, 4), columns as in `FEATURES`.
        """
        probability: Numbers = 1 / (1 + np.exp(-self.log_odds(features)))
        return probability


def _sigmoid(odds: Numbers) -> Numbers:
    return np.asarray(1 / (1 + np.exp(-np.clip(odds, -500, 500))))


def _logistic(columns: Numbers, named: Numbers, weights: Numbers, penalty: float) -> Numbers:
    """Fit by Newton's method; the first coefficient is the intercept and is not penalised."""
    design = np.column_stack([np.ones(len(columns)), columns])
    ridge = np.diag([1e-6, *[penalty] * columns.shape[1]])
    coefficients = np.zeros(design.shape[1])
    for _ in range(100):
        probability = _sigmoid(design @ coefficients)
        slope = design.T @ (weights * (probability - named)) + ridge @ coefficients
        curve = (design * (weights * probability * (1 - probability))[:, None]).T @ design + ridge
        step = np.linalg.solve(curve, slope)
        # Half steps where the curve is flat keep Newton from leaping away.
        coefficients -= step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-9:
            break
    return coefficients


@dataclass(frozen=True)
class Control:
    """One set of paired controls."""

    name: str
    features: Numbers
    """Shape (n, 4)."""
    named: NDArray[np.bool_]
    cases: NDArray[np.int64]
    """Number of the case that texts belong to: resampled together."""
    domains: Sequence[str]
    """Category or scenario of each text."""


def _weights(controls: Sequence[Control]) -> Numbers:
    """Give each set the same weight, and each kind in it half of that."""
    parts = []
    for control in controls:
        positive = control.named.mean()
        each = np.where(control.named, 0.5 / positive, 0.5 / (1 - positive)) / len(control.named)
        parts.append(FULL_WEIGHT / len(controls) * each)
    return np.concatenate(parts)


def fit(
    controls: Sequence[Control],
    embedder: Embedder,
    *,
    errors: Sequence[Errors] = (),
    provenance: Mapping[str, Any] | None = None,
) -> Calibration:
    """Fit naming on paired controls: a ridge logistic, every set and kind counting the same.

    Args:
        controls: One or more sets, each with both kinds.
        embedder: That the features were made with.
        errors: What to expect of these numbers elsewhere; see `errors_of`.
        provenance: What to say about the data.
    """
    features = np.concatenate([control.features for control in controls])
    weights = _weights(controls)
    mean = np.average(features, axis=0, weights=weights)
    scale = np.sqrt(np.average((features - mean) ** 2, axis=0, weights=weights))
    intercept, *coefficients = _logistic(
        (features - mean) / scale,
        np.concatenate([control.named for control in controls]).astype(float),
        weights,
        PENALTY,
    )
    return Calibration(
        features=FEATURES,
        mean=_rounded(mean),
        scale=_rounded(scale),
        coefficients=_rounded(coefficients),
        intercept=round(float(intercept), 6),
        errors=tuple(errors),
        embedder=embedder.name,
        embedder_digest=embedder.digest,
        background=DIGEST,
        provenance=provenance or {},
    )


def errors_of(fitted: Calibration, control: Control) -> list[Errors]:
    """Count the errors of fitted numbers in each domain of a set that they were not fitted on."""
    called = fitted.probability(control.features) >= NAMED
    counted = []
    for domain in dict.fromkeys(control.domains):
        here = np.array([name == domain for name in control.domains])
        naming, silent = here & control.named, here & ~control.named
        counts = (naming, naming & called, silent, silent & called)
        counted.append(Errors(control.name, domain, *(int(count.sum()) for count in counts)))
    return counted


def _rounded(values: Sequence[float] | Numbers) -> tuple[float, ...]:
    return tuple(round(float(value), 6) for value in values)


def save(calibration: Calibration, path: Path) -> None:
    """Write fitted numbers as JSON."""
    write_json(calibration, path)


def _parse(text: str, name: str) -> Calibration:
    calibration = decode_json(text, Calibration, name)
    if calibration.features != FEATURES:
        raise VlsbenchError(f"{name}: fitted to other features; run scripts/fit_naming.py again")
    return calibration


@cache
def shipped() -> Calibration:
    """Return the numbers that come with the package, fitted for MiniLM."""
    return _parse(
        resources.files("vlsbench.auditing.overlap").joinpath(SHIPPED).read_text("utf-8"), SHIPPED
    )


def shipped_for(embedder: Embedder) -> Calibration | None:
    """Return the numbers that come with the package, None where they are for another embedder."""
    return shipped() if shipped().embedder_digest == embedder.digest else None


def load_calibration(path: Path) -> Calibration:
    """Read numbers fitted by `scripts/fit_naming.py`. Raises `VlsbenchError` if there are none."""
    try:
        return _parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise VlsbenchError(f"{path}: {error.strerror}") from None


def check_fits(calibration: Calibration, embedder: Embedder) -> None:
    """Raise `VlsbenchError` where the numbers belong to other vectors or another background."""
    if calibration.embedder_digest != embedder.digest:
        raise VlsbenchError(
            f"naming is calibrated for the embedder {calibration.embedder}, not for "
            f"{embedder.name}: fit it with scripts/fit_naming.py --embedder {embedder.name} "
            "--out FILE and give that file as --calibration"
        )
    if calibration.background != DIGEST:
        raise VlsbenchError(
            "naming is calibrated against another background: run scripts/fit_naming.py again"
        )


@cache
def _rates(errors: tuple[Errors, ...], *, one_domain: bool) -> tuple[Numbers, Numbers]:
    """Draw the detection and the false-alarm rates that another benchmark may have.

    Its pairs are taken to be an unknown mix of the controls' sets, and of the domains in each (a
    single domain where `one_domain`), with rates in each by what was counted there (Jeffreys'
    prior).

    Returns:
        Shape (draws,) each.
    """
    # Where no errors were counted, nothing is corrected.
    if not errors:
        return np.ones(1), np.zeros(1)
    rng = np.random.default_rng(0)
    names = list(dict.fromkeys(count.control for count in errors))
    of_set = np.array([names.index(count.control) for count in errors])
    if one_domain:
        sizes = np.bincount(of_set)[of_set]
        mix = np.eye(len(errors))[rng.choice(len(errors), DRAWS, p=1 / sizes / len(names))]
    else:
        sets = rng.dirichlet(np.full(len(names), SET_PRIOR), DRAWS)
        mix = rng.exponential(size=(DRAWS, len(errors)))
        for number in range(len(names)):
            here = of_set == number
            mix[:, here] *= sets[:, [number]] / mix[:, here].sum(axis=1, keepdims=True)

    def rate(hits: list[int], of: list[int]) -> Numbers:
        k, n = np.array(hits, float), np.array(of, float)
        return np.asarray((mix * rng.beta(k + 0.5, n - k + 0.5, size=mix.shape)).sum(axis=1))

    return (
        rate([count.found for count in errors], [count.naming for count in errors]),
        rate([count.false for count in errors], [count.silent for count in errors]),
    )


def leaking_share(
    probabilities: Numbers,
    clusters: NDArray[np.integer[Any]],
    calibration: Calibration,
    *,
    one_domain: bool = False,
) -> Estimate:
    """Estimate the share of naming pairs, corrected for the errors of the probabilities.

    The pairs at 0.5 or more are found ones among the naming and false alarms among the others, at
    rates that differ from benchmark to benchmark as they do between the controls' domains; all
    leaking shares are as likely beforehand (after Gelman and Carpenter 2020, "Bayesian analysis of
    tests with unknown specificity and sensitivity"; with known rates it is Rogan and Gladen's 1978
    correction). Because no benchmark is exactly a mix of the controls, the likelihood of n pairs is
    raised to the power 1 / (1 + n / 400) (Miller and Dunson 2019, "Robust Bayesian inference via
    coarsening").

    Args:
        probabilities: Shape (n,).
        clusters: Shape (n,), number of each pair's picture; pairs that share one count as the
            effective number of independent pairs.
        calibration: That they came from; its errors are those of numbers fitted on one set of
            controls and tested on another.
        one_domain: Whether the pairs are of one category rather than a benchmark's mix.

    Returns:
        The median, and the bounds of 95 %.
    """
    n = len(probabilities)
    if not n:
        return Estimate(0, None, None, None)
    named = probabilities >= NAMED
    size = effective_size(named, np.unique(clusters, return_inverse=True)[1])
    size /= 1 + size / TRUST
    found, false = _rates(calibration.errors, one_domain=one_domain)
    share = np.outer(found, GRID) + np.outer(false, 1 - GRID)
    share = np.clip(share, NEVER_SURE, 1 - NEVER_SURE)
    hits = float(named.mean()) * size
    fit = hits * np.log(share) + (size - hits) * np.log1p(-share)
    weights = np.exp(fit - fit.max()).sum(axis=0)
    weights /= weights.sum()
    value = float(GRID[np.searchsorted(np.cumsum(weights), 0.5)])
    if len(np.unique(clusters)) < 2:
        return Estimate(n, value, None, None)
    return Estimate(n, value, *_bounds(weights))


def _bounds(weights: Numbers) -> tuple[float, float]:
    """Return the densest and the equal-tailed part of the grid that hold 95 %, taken together.

    Beside a bound the second cannot reach it, and the first cuts all of the other tail.
    """
    heights = np.cumsum(weights)
    tail = (1 - LEVEL) / 2
    low, high = np.searchsorted(heights, tail), np.searchsorted(heights, 1 - tail)
    order = np.argsort(-weights)
    densest = order[: np.searchsorted(np.cumsum(weights[order]), LEVEL) + 1]
    last = len(GRID) - 1
    return (
        float(GRID[min(low, densest.min())]),
        float(GRID[min(last, max(high, densest.max()))]),
    )
