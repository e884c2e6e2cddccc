"""How large a benchmark must be: against tables, simulation and the intervals themselves."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import SizeConfig, plan_size
from vlsbench.stats import clustered_interval, paired_p


@pytest.mark.parametrize(("rate", "points"), [(0.5, 3.0), (0.8, 3.0), (0.95, 1.0), (0.2, 10.0)])
def test_an_interval_of_that_many_pairs_is_that_narrow(rate: float, points: float) -> None:
    n = plan_size(SizeConfig(half_width=points, rate=rate)).pairs
    hits = round(rate * n)
    found = clustered_interval([True] * hits + [False] * (n - hits), range(n))
    assert found is not None
    assert (found.high - found.low) / 2 == pytest.approx(points / 100, rel=0.05)


@pytest.mark.parametrize(
    ("points", "per_image", "alike"), [(10.0, 10, 0.0), (10.0, 20, 0.5), (5.0, 10, 0.5)]
)
def test_pairs_of_few_images_have_the_interval_that_was_planned(
    points: float, per_image: int, alike: float
) -> None:
    planned = plan_size(SizeConfig(half_width=points, per_image=per_image, alike=alike))
    random = np.random.default_rng(11)
    spread = 1 / alike - 1 if alike else 1e9
    widths = []
    for _ in range(40):
        chances = random.beta(0.8 * spread, 0.2 * spread, planned.images)
        hits = random.random((planned.images, per_image)) < chances[:, None]
        clusters = np.repeat(np.arange(planned.images), per_image)
        found = clustered_interval(hits.ravel().tolist(), clusters.tolist())
        assert found is not None
        widths.append((found.high - found.low) / 2)
    assert np.mean(widths) == pytest.approx(points / 100, rel=0.1)


def test_a_difference_is_found_as_often_as_planned() -> None:
    size = plan_size(SizeConfig(detect=5, changing=0.2))
    random = np.random.default_rng(3)
    found = 0
    for _ in range(300):
        drawn = random.random(size.pairs)
        before, after = drawn < 0.075, (drawn >= 0.075) & (drawn < 0.2)
        found += paired_p(list(before), list(after), range(size.pairs)) <= 0.05
    assert 0.72 <= found / 300 <= 0.88


def test_pairs_that_share_an_image_count_less() -> None:
    alone, shared = (plan_size(SizeConfig(half_width=3, per_image=m)) for m in (1, 4))
    assert shared.pairs > alone.pairs * 2.5  # by Kish's design effect alone
    assert shared.images < alone.images


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "give either --half-width or --detect"),
        ({"half_width": 3.0, "detect": 5.0}, "give either"),
        ({"half_width": 3.0, "rate": 80.0}, "--rate is a share between 0 and 1, not 80"),
        ({"half_width": 0.0}, "above 0"),
        ({"detect": 30.0}, "raise --changing above 0.2"),
    ],
)
def test_what_cannot_be_planned_is_said(options: dict[str, float], says: str) -> None:
    with pytest.raises(VlsbenchError, match=says):
        plan_size(SizeConfig(**options))


@pytest.mark.long
def test_the_command_prints_it() -> None:
    command = [sys.executable, "-m", "vlsbench", "plan-size", "--half-width", "3", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert printed == {"pairs": 683, "images": 683, "labels": 683}
