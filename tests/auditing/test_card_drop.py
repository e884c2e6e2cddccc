"""The list of pairs to leave out, and the benchmark without them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vlsbench
from vlsbench import lab
from vlsbench.auditing import AuditOutput
from vlsbench.auditing.card.pairs import CardRow, Seen, write_drop_list
from vlsbench.auditing.judged.figures import Finding, JudgedPair
from vlsbench.auditing.overlap.figures import Channel, OverlapPair, Reading
from vlsbench.errors import BadRow, VlsbenchError
from vlsbench.judge import Part
from vlsbench.pairs import PairSet, read_drop, without

IDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
"""Any id that a set can hold: half a surrogate pair is refused when a set is opened."""


def _overlap(**naming: float) -> OverlapPair:
    readings = tuple(
        Reading(Channel(channel), "a toaster", value, "toaster", 0, 7)
        for channel, value in naming.items()
    )
    return OverlapPair("1", "", "", True, "1", "toaster", None, None, None, readings)


def _judged(harmful: bool | None) -> JudgedPair:
    return JudgedPair("1", "", "", True, "1", "q", "s", (Finding(Part.TEXT, harmful, "", ""),))


def _rows(scores: Mapping[str, float | None]) -> list[CardRow]:
    some = Seen(_overlap(content=0.5)).row()
    return [replace(some, id=id, score=score) for id, score in scores.items()]


@pytest.mark.parametrize(
    ("overlap", "judged", "value"),
    [
        (_overlap(content=0.2), None, 0.2),
        (_overlap(content=0.2, typographic=0.8), None, 0.8),
        (_overlap(content=0.2), _judged(True), 1.0),
        (_overlap(content=0.2), _judged(False), 0.2),
        (_overlap(content=0.2), _judged(None), 0.2),
        (None, _judged(False), 0.0),
        (None, _judged(None), None),
    ],
)
def test_a_score_is_the_largest_of_what_shows_a_leak(
    overlap: OverlapPair | None, judged: JudgedPair | None, value: float | None
) -> None:
    assert Seen(overlap, judged).row().score == value


@given(
    scored=st.dictionaries(IDS, st.none() | st.floats(0, 1), max_size=20),
    threshold=st.floats(0.01, 1),
)
def test_the_list_holds_the_pairs_at_or_above_the_threshold(
    tmp_path_factory: pytest.TempPathFactory, scored: dict[str, float | None], threshold: float
) -> None:
    path = tmp_path_factory.mktemp("drop") / "drop.csv"
    found = write_drop_list(path, "a set", threshold, _rows(scored))
    expected = {id for id, value in scored.items() if value is not None and value >= threshold}
    assert read_drop(path, "a set") == expected
    assert (found.dropped, found.kept) == (len(expected), len(scored) - len(expected))
    assert found.unmeasured == sum(value is None for value in scored.values())


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.01, float("nan")])
def test_a_threshold_is_a_probability(tmp_path: Path, threshold: float) -> None:
    output = AuditOutput(out=tmp_path / "card", drop_leaking=threshold)
    with pytest.raises(VlsbenchError, match="--drop-leaking"):
        vlsbench.audit("lab/leaky?n=4", output=output)
    assert not (tmp_path / "card").exists()


def test_a_card_without_a_list_has_none_beside_it(tmp_path: Path) -> None:
    for threshold in (0.5, None):
        output = AuditOutput(out=tmp_path / "card", drop_leaking=threshold, progress=False)
        vlsbench.audit("lab/leaky?n=8", output=output)
        assert (tmp_path / "card/drop.csv").exists() is (threshold is not None)


def write_list(path: Path, bench: str, ids: Iterable[str]) -> None:
    write_drop_list(path, bench, 0.5, _rows(dict.fromkeys(ids, 1.0)))


def test_a_benchmark_without_its_leaking_pairs(tmp_path: Path) -> None:
    whole = lab.benchmark("lab/mixed?n=40")
    leaking = {pair.id for pair in whole if pair.meta["leaks"]}
    write_list(tmp_path / "drop.csv", "lab/mixed?n=40", leaking)

    rest = vlsbench.load("lab/mixed?n=40", leave_out=tmp_path / "drop.csv")

    assert leaking
    assert [pair.id for pair in rest] == [pair.id for pair in whole if pair.id not in leaking]
    assert len(rest) == 40 - len(leaking)
    # Published results and finished runs go by the name: the rest must have another.
    assert rest.name != whole.name


def test_a_list_of_another_benchmark_is_refused(tmp_path: Path) -> None:
    whole = lab.benchmark("lab/mixed?n=40")
    with pytest.raises(VlsbenchError, match=r"no pair kettle .*another benchmark"):
        without(whole, {"kettle", "mixed-0-00001"})
    with pytest.raises(VlsbenchError, match="no usable row"):
        without(whole, {pair.id for pair in whole})
    # Many benchmarks count their pairs from 1: the ids alone would not tell.
    write_list(tmp_path / "drop.csv", "lab/leaky?n=40", [next(iter(whole)).id])
    with pytest.raises(VlsbenchError, match=r"drop\.csv lists pairs of lab/leaky.n=40, not of"):
        vlsbench.load("lab/mixed?n=40", leave_out=tmp_path / "drop.csv")


def test_a_list_of_no_pairs_leaves_the_benchmark_as_it_is(tmp_path: Path) -> None:
    write_list(tmp_path / "drop.csv", "lab/leakless?n=8", [])
    rest = vlsbench.load("lab/leakless?n=8", leave_out=tmp_path / "drop.csv")
    assert rest.name == "lab/leakless?n=8"
    assert len(rest) == 8


def test_rows_left_out_before_stay_on_record() -> None:
    bad = BadRow("own.jsonl", "3", "no query")
    pairs = list(lab.benchmark("lab/leaky?n=4"))
    rest = without(PairSet("own", lambda: [*pairs, bad], skip_bad=True), {pairs[0].id})
    assert len(rest) == 3
    assert rest.bad == (bad,)


def test_what_is_no_list_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "drop.csv"
    with pytest.raises(VlsbenchError, match=r"drop\.csv: no such file"):
        read_drop(path, "a set")
    path.write_text("id,toaster\n1,2\n")
    with pytest.raises(VlsbenchError, match="columns must be bench, id, score, why"):
        read_drop(path, "a set")


def test_a_list_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    first, second, *_ = (pair.id for pair in lab.benchmark("lab/leaky?n=4"))
    rows = f"bench;id;score;why\r\nlab/leaky?n=4;{first};0,9;names it, twice\r\n"
    (tmp_path / "drop.csv").write_text(rows, "utf-8-sig")
    left = vlsbench.load("lab/leaky?n=4", leave_out=tmp_path / "drop.csv")
    assert [pair.id for pair in left][:1] == [second]
