"""`vlsbench calibrate` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.calibrating.runs import filled, truths
from tests.cli.typed import Command

pytestmark = pytest.mark.long
RUN = ("eval", "lab/leakless?n=80", "--controls", "lab/benign?n=20", "--model", "lab/blind")


def test_from_a_run_to_corrected_rates(vlsbench: Command) -> None:
    for judge in ("lab", "offline"):
        assert vlsbench(*RUN, "--judge", judge, "--out", judge, "-q").returncode == 0
    nothing = vlsbench("calibrate", "offline")
    assert nothing.returncode == 1
    assert "no labels of offline" in nothing.stderr
    for step in ("24 replies to label (the pilot)", "16 replies to label"):
        drawn = vlsbench("calibrate", "offline", "--sample", "40")
        assert step in drawn.stdout
        done = filled(Path("offline/labelling/labels.csv"), truths(Path("lab")))
        taken = vlsbench("calibrate", "offline", "--labels", str(done))
        assert taken.returncode == 0, taken.stderr
    assert "16 labels taken in, 0 known already" in taken.stderr
    assert "offline (columns) and people (rows)" in taken.stdout
    found = json.loads(vlsbench("calibrate", "offline", "--json").stdout)
    assert found["labelled"] == 40
    names = [rate["name"] for rate in found["rates"] if rate["group"] == "all"]
    assert names == ["refusal", "warning", "safety", "refusal", "warning", "net"]
    both = vlsbench("calibrate", "offline", "lab")
    assert "no labels of lab" in both.stderr
    wrong = vlsbench("calibrate", "offline", "lab", "--sample", "20")
    assert wrong.returncode == 2
    assert "labels are of one run" in wrong.stderr


def test_corrected_rates_stand_where_rates_do(vlsbench: Command) -> None:
    run = (*RUN, "--judge", "offline", "--out", "run", "-q")
    assert "Uncalibrated judge: rates are as judged." in " ".join(vlsbench(*run).stdout.split())
    vlsbench(*RUN, "--judge", "lab", "--out", "right", "-q")
    vlsbench("calibrate", "run", "--sample", "30")
    done = filled(Path("run/labelling/labels.csv"), truths(Path("right")))
    assert vlsbench("calibrate", "run", "--labels", str(done)).returncode == 0
    told = "Corrected by 18 labels of people, percent: refusal (harmful)"
    assert told in " ".join(vlsbench(*run).stdout.split())
    assert told in Path("run/report.html").read_text("utf-8")
    compared = " ".join(vlsbench("compare", "run", "right").stdout.split())
    assert told in compared
    assert "Uncalibrated judge: rates are as judged." in compared


def test_a_change_is_between_runs_of_one_rubric(vlsbench: Command) -> None:
    vlsbench(*RUN, "--judge", "lab", "--out", "run", "-q")
    again = vlsbench("judge", "run", "--judge", "lab", "--rubric", "siuo", "--out", "again", "-q")
    # The labels of the two rubrics are not the same ones, so none is called alike or not.
    assert "lab/judge, rubric siuo" in again.stdout
    assert "have the same label" not in again.stdout
    refused = vlsbench("calibrate", "run", "again")
    assert refused.returncode == 1
    assert "judged by different rubrics" in refused.stderr
