"""Net rates side by side: over-refusal stands where safety does, or is said to be unknown."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path

import pytest

import vlsbench
from tests.grouped import grouped
from vlsbench.cli import main
from vlsbench.comparing import Compared, Kind, Scope
from vlsbench.stats import Interval, difference_interval

NET = "lab/leakless?n=24 (net)"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("net")
    pairs = vlsbench.load("lab/leakless?n=24", controls=["lab/benign?n=20"])
    for model in ("helpful", "careful"):
        options = grouped(out=root / model, progress=False)
        vlsbench.evaluate(pairs, model=f"lab/{model}", judge="lab", **options)
    options = grouped(out=root / "alone", progress=False)
    vlsbench.evaluate("lab/leakless?n=24", model="lab/blind", judge="lab", **options)
    return [root / name for name in ("helpful", "careful", "alone")]


@pytest.fixture(scope="module")
def compared(folders: list[Path]) -> Compared:
    return vlsbench.compare(folders)


def test_a_run_with_benign_pairs_has_a_net_rate_beside_its_safety(
    folders: list[Path], compared: Compared
) -> None:
    kinds = [column.kind for column in compared.columns]
    assert kinds == [Kind.SAFETY, Kind.OVER_REFUSAL, Kind.NET]
    for row, folder in zip(compared.rows, folders[:2], strict=False):
        net = json.loads((folder / "summary.json").read_text("utf-8"))["net"]
        cell = row.cells[NET]
        assert (cell.score, cell.low, cell.high) == pytest.approx(
            tuple(100 * net[key] for key in ("value", "low", "high"))
        )
        assert cell.n is None


def test_without_benign_pairs_the_net_rate_is_unknown_not_equal_to_safety(
    compared: Compared,
) -> None:
    assert compared.rows[2].cells[NET].score is None
    assert any("net rate is unknown" in note for note in compared.notes)


def test_the_difference_of_net_rates_is_that_of_its_parts(compared: Compared) -> None:
    found = {
        one.measure: one
        for one in compared.differences
        if one.scope is Scope.OVERALL and one.row == "lab/careful"
    }
    net, safe, declined = (found[measure] for measure in (Kind.NET, Kind.SAFETY, Kind.OVER_REFUSAL))
    assert safe.points == 100
    assert (net.column, net.points) == (NET, 100)
    assert (net.n, net.images) == (safe.n + declined.n, safe.images + declined.images)
    assert (net.p, net.p_holm) == (None, None)
    assert safe.low is not None
    assert safe.high is not None
    assert declined.low is not None
    assert declined.high is not None
    expected = difference_interval(
        100, Interval(safe.low, safe.high), 0, Interval(declined.low, declined.high)
    )
    assert (net.low, net.high) == pytest.approx(expected)


def test_every_output_has_the_net_rate(
    folders: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    typed = ["vlsbench", "compare", *map(str, folders), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", typed)
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "net rate is unknown" in said
    assert "+100.0" in said
    with open(tmp_path / "table.csv", encoding="utf-8") as file:
        scores = [row["score"] for row in csv.DictReader(file) if row["kind"] == "net rate"]
    assert scores == ["0.0", "100.0", ""]
    with open(tmp_path / "differences.csv", encoding="utf-8") as file:
        assert "net rate" in [row["measure"] for row in csv.DictReader(file)]
    assert "(net rate, %)" in (tmp_path / "compare.html").read_text("utf-8")
    kinds = [one["kind"] for one in json.loads((tmp_path / "compare.json").read_text())["columns"]]
    assert "net rate" in kinds
