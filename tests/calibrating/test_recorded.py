"""Judges recorded beside people's labels: corrected rates hold, and say more than people alone."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.calibration import DATA, drawn, msts
from vlsbench.calibrating import Labelled

WIDTHS = {
    "gpt-4o-2024-05-13": 0.75,
    "claude-3-5-sonnet-20240620": 0.85,
    "omni-moderation-latest": 1.05,
}
"""Judge → width of the interval at most, as a share of that of 200 random labels."""


@pytest.mark.long
@pytest.mark.skipif(not (DATA / "msts").is_dir(), reason="needs the public files of MSTS")
def test_rates_corrected_on_msts_hold_and_are_no_wider_than_without_a_judge() -> None:
    for case in msts():
        if case.name in WIDTHS:
            random = np.random.default_rng(4)
            unsafe = case.people == 1
            places = [drawn(case, 200, random) for _ in range(150)]
            found = [
                Labelled(case.judge, case.clusters, some).corrected(unsafe[some])[0]
                for some in places
            ]
            held = np.mean([one.low <= unsafe.mean() <= one.high for one in found])
            assert held > 0.9
            assert np.mean([one.high - one.low for one in found]) < 0.063 * WIDTHS[case.name]
