"""Requests and tokens per minute: given or told by the server, shared by processes."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.evaluation.runs import run
from vlsbench import lab


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shared between processes lies in the user's cache."""
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path / "home"))


def took(began: float) -> float:
    return time.monotonic() - began


@pytest.mark.long
def test_processes_share_a_given_rate(tmp_path: Path) -> None:
    pairs, per_second = 30, 10
    with lab.running() as url:
        began = time.monotonic()
        both = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "vlsbench", "eval", f"lab/leaky?n={pairs}"),
                    *("--model", f"careful@{url}", "--judge", "offline", "--no-probe"),
                    *("--out", str(tmp_path / name / "r"), "--rpm", str(60 * per_second)),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in ("a", "b")
        ]
        assert [process.wait() for process in both] == [0, 0]
        # Each alone would take half of that.
        assert took(began) >= 2 * pairs / per_second - 1
        assert lab.stats(url)["paid"] == 2 * pairs


@pytest.mark.long
def test_what_the_server_tells_of_its_rate_is_kept_to(tmp_path: Path) -> None:
    with lab.running(rpm=300) as url:
        began = time.monotonic()
        run("lab/leaky?n=320", tmp_path / "r", model=f"careful@{url}", judge="offline")
        counts = lab.stats(url)
    assert counts["by_fault"] == {}  # never told to wait
    assert counts["requests"] == 320
    assert took(began) >= 3  # 300 at once, then 5 a second


def test_tokens_are_counted_by_what_a_reply_took_not_by_its_limit(tmp_path: Path) -> None:
    tokens_a_second, pairs = 1000, 12
    with lab.running() as url:
        began = time.monotonic()
        done = run(
            f"lab/leaky?n={pairs}",
            tmp_path / "r",
            model=f"careful@{url}",
            judge="offline",
            concurrency=1,
            tpm=60 * tokens_a_second,
        )
        seconds = took(began)
    (spent,) = done.summary.spend
    used = (spent.input_tokens or 0) + (spent.output_tokens or 0)
    assert seconds >= (used / pairs) * (pairs - 1) / tokens_a_second
    # By the limit of 2,048 tokens a reply it would take twice as many seconds as there are pairs.
    assert seconds < pairs
