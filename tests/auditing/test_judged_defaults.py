"""Measure B takes positive controls by itself where they are at hand."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from vlsbench import lab
from vlsbench.auditing import AuditOutput

BENIGN = "lab/benign?n=30"


@pytest.fixture
def server() -> Iterator[str]:
    with lab.running() as url:
        yield url


def test_positive_controls_at_hand_are_taken_and_said(tmp_path: Path, server: str) -> None:
    rows = [pair.query for pair in lab.benchmark("lab/leaky?n=12&seed=9")]
    lines = [f'{n},"{query}",lab,unsafe,,' for n, query in enumerate(rows)]
    (tmp_path / "xstest").mkdir()
    head = "id,prompt,type,label,focus,note"
    (tmp_path / "xstest" / "xstest_prompts.csv").write_text("\n".join([head, *lines]))
    options: dict[str, Any] = {
        "measures": ["judged"],
        "judge": f"harm@{server}",
        "controls": [BENIGN],
        "data_root": tmp_path,
        "output": AuditOutput(out=tmp_path / "card", progress=False),
    }
    card = vlsbench.audit("lab/leaky?n=10", **options).card
    assert card.judged
    misses = card.judged.group.corrected.misses
    assert misses is not None
    assert (misses.k, misses.n, misses.rate, misses.low) == (0, 12, 0.0, 0.0)
    assert misses.high == pytest.approx(0.22, abs=0.1)
    assert "positive controls by default: the harmful texts of xstest" in card.notes
    none = vlsbench.audit("lab/leaky?n=10", **options, positive_controls=[]).card
    assert none.judged
    assert none.judged.group.corrected.bounds
    assert none.notes == ()


def test_without_misses_a_leaderboard_goes_by_the_least_that_leaks(tmp_path: Path) -> None:
    table, _ = vlsbench.leaderboard(
        ["lab/leakless?n=40", "lab/leaky?n=40"],
        measures=["judged"],
        judge="lab",
        controls=[BENIGN],
        output=AuditOutput(out=tmp_path, progress=False),
    )
    assert [row.bench.partition("?")[0] for row in table.rows] == ["lab/leaky", "lab/leakless"]
