"""Runs side by side: which pairs are compared, what is tested, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import vlsbench
from vlsbench.comparing import Compared, Difference, Kind, Scope, corrected
from vlsbench.errors import VlsbenchError
from vlsbench.evaluation import Output, compare_runs

LEAKY, LEAKLESS, BENIGN = "lab/leaky?n=24", "lab/leakless?n=24", "lab/benign?n=24"


def _all(compared: Compared, scope: Scope, measure: str, row: str = "") -> list[Difference]:
    return [
        one
        for one in compared.differences
        if one.scope is scope and one.measure == measure and row in ("", one.row)
    ]


def _one(compared: Compared, scope: Scope, measure: str, row: str, column: str) -> Difference:
    (found,) = [one for one in _all(compared, scope, measure, row) if one.column == column]
    return found


def _copy(run: Path, to: Path) -> Path:
    shutil.copytree(run, to)
    return to


def _edit_pairs(run: Path, edit: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    import pyarrow as pa

    table = pq.read_table(run / "pairs.parquet")
    rows = [edit(row) for row in table.to_pylist()]
    kept = [row for row in rows if row is not None]
    pq.write_table(pa.Table.from_pylist(kept, schema=table.schema), run / "pairs.parquet")


@pytest.fixture(scope="module")
def compared(runs: Path) -> Compared:
    folders = [
        f"{bench}-{model}"
        for model in ("helpful", "blind", "careful")
        for bench in ("leaky", "leakless", "benign")
    ]
    return vlsbench.compare([runs / name for name in (*folders, "leakless-text-careful")])


def test_rows_are_models_and_columns_are_benchmarks_by_view(compared: Compared) -> None:
    assert [row.name for row in compared.rows] == ["lab/helpful", "lab/blind", "lab/careful"]
    assert [column.title for column in compared.columns] == [
        LEAKY,
        LEAKLESS,
        f"{LEAKLESS} · text view",
        f"{BENIGN} (benign)",
    ]
    assert [column.kind for column in compared.columns][-1] is Kind.OVER_REFUSAL
    blind = compared.rows[1].cells
    assert blind[LEAKY].score == 100
    assert blind[LEAKLESS].score == 0
    assert f"{LEAKLESS} · text view" not in blind
    assert (blind[LEAKY].n, blind[LEAKY].pairs) == (24, 24)


def test_the_leak_shows_as_equal_on_leaky_and_apart_on_leakless(compared: Compared) -> None:
    leaky = [
        _one(compared, Scope.OVERALL, Kind.SAFETY, f"lab/{m}", LEAKY) for m in ("blind", "careful")
    ]
    assert [one.points for one in leaky] == [100, 100]
    assert _one(compared, Scope.OVERALL, Kind.SAFETY, "lab/blind", LEAKLESS).points == 0
    careful = _one(compared, Scope.OVERALL, Kind.SAFETY, "lab/careful", LEAKLESS)
    assert (careful.points, careful.gained, careful.lost, careful.n) == (100, 24, 0, 24)
    assert careful.p is not None
    assert careful.images < 24
    assert careful.p == pytest.approx(2 * 0.5**careful.images)


def test_benign_pairs_are_compared_by_over_refusal_alone(compared: Compared) -> None:
    measures = {one.measure for one in compared.differences if "benign" in one.column}
    assert measures == {Kind.OVER_REFUSAL}


def test_views_of_one_benchmark_are_compared_within_a_row(compared: Compared) -> None:
    (view,) = _all(compared, Scope.VIEW, Kind.SAFETY)
    assert (view.row, view.column, view.part) == ("lab/careful", LEAKLESS, "text − full")
    assert view.points == -100
    assert any("text view" in note and "not compared" in note for note in compared.notes)


def test_categories_add_up_to_the_whole(compared: Compared) -> None:
    whole = _one(compared, Scope.OVERALL, Kind.SAFETY, "lab/careful", LEAKLESS)
    parts = [
        one
        for one in _all(compared, Scope.CATEGORY, Kind.SAFETY, "lab/careful")
        if one.column == LEAKLESS
    ]
    assert len(parts) > 2
    assert sum(one.n for one in parts) == whole.n
    assert sum(one.gained - one.lost for one in parts) == whole.gained - whole.lost


def test_every_table_is_a_family_of_its_own_for_holm(compared: Compared) -> None:
    for scope in Scope:
        family = [one for one in compared.differences if one.scope is scope]
        assert {one.tests for one in family} == {len(family)}
        for one in family:
            assert one.p is not None
            assert one.p_holm is not None
            assert one.p <= one.p_holm <= min(1, one.p * len(family)) + 1e-12


def test_holm_by_hand(compared: Compared) -> None:
    import dataclasses

    base = compared.differences[0]
    given_p = (0.01, 0.04, 0.03, None)
    found = corrected(dataclasses.replace(base, p=p) for p in given_p)
    # Sorted 0.01 · 3, 0.03 · 2, then never less than the one before: 0.06.
    assert [one.p_holm and round(one.p_holm, 10) for one in found[:3]] == [0.03, 0.06, 0.06]
    assert found[3].tests == base.tests


def test_it_agrees_with_runs_diff(runs: Path) -> None:
    one, other = runs / "leakless-helpful", runs / "leakless-careful"
    found = compare_runs(one, other)
    safety = _one(
        vlsbench.compare([one, other]), Scope.OVERALL, Kind.SAFETY, "lab/careful", LEAKLESS
    )
    assert found.safety.difference == (safety.points or 0) / 100
    assert found.safety.p == safety.p
    assert safety.n == found.safety.pairs


def test_pairs_not_scored_in_both_are_left_out_and_counted(runs: Path, tmp_path: Path) -> None:
    other = _copy(runs / "leaky-careful", tmp_path / "other")

    ids = pq.read_table(other / "pairs.parquet", columns=["id"])["id"].to_pylist()
    _edit_pairs(other, lambda row: None if row["id"] in ids[:3] else row)
    _edit_pairs(other, lambda row: row | {"label": "unscored"} if row["id"] in ids[3:5] else row)
    found = vlsbench.compare([runs / "leaky-helpful", other])
    whole = _one(found, Scope.OVERALL, Kind.SAFETY, "lab/careful", LEAKY)
    assert (whole.n, whole.left_out) == (19, 5)
    categories = _all(found, Scope.CATEGORY, Kind.SAFETY)
    assert sum(one.left_out for one in categories) == 5


def test_a_category_without_a_pair_scored_in_both_has_no_figure(runs: Path, tmp_path: Path) -> None:
    other = _copy(runs / "leaky-careful", tmp_path / "other")
    table = pq.read_table(other / "pairs.parquet").to_pylist()
    category = table[0]["category"]
    _edit_pairs(
        other,
        lambda row: row | {"label": "filtered"} if row["category"] == category else row,
    )
    found = vlsbench.compare([runs / "leaky-helpful", other])
    (empty,) = [d for d in _all(found, Scope.CATEGORY, Kind.SAFETY) if d.part == category]
    assert (empty.n, empty.points, empty.low, empty.p, empty.p_holm) == (0, None, None, None, None)
    others = [d for d in _all(found, Scope.CATEGORY, Kind.SAFETY) if d.part != category]
    assert {one.tests for one in others} == {len(others)}


def test_names_put_runs_into_rows_and_the_first_is_the_baseline(runs: Path) -> None:
    found = vlsbench.compare(
        {
            "Vanilla": [runs / "leaky-helpful", runs / "leakless-helpful"],
            "T-SFT": [runs / "leaky-blind", runs / "leakless-blind"],
        }
    )
    assert [(row.name, row.baseline) for row in found.rows] == [
        ("Vanilla", True),
        ("T-SFT", False),
    ]
    assert {one.row for one in found.differences} == {"T-SFT"}


def test_evaluations_are_taken_as_they_come(runs: Path) -> None:
    done = [
        vlsbench.evaluate(
            LEAKY,
            model=f"lab/{m}",
            judge="lab",
            output=Output(out=runs / f"leaky-{m}", progress=False),
        )
        for m in ("helpful", "blind")
    ]
    assert vlsbench.compare(reversed(done)).baseline == "lab/blind"


def test_runs_of_one_model_under_two_judges_are_told_apart_and_the_judge_is_named(
    runs: Path,
) -> None:
    found = vlsbench.compare([runs / "leaky-blind", runs / "leaky-rules"])
    assert [row.name for row in found.rows] == [
        "lab/blind · leaky-blind",
        "lab/blind · leaky-rules",
    ]
    assert any("differ in more than the model: judge" in note for note in found.notes)


def test_lab_benchmarks_are_simulated_whoever_answers(compared: Compared, runs: Path) -> None:
    assert compared.simulated
    assert all(cell.simulated for row in compared.rows for cell in row.cells.values())
    assert all(one.simulated for one in compared.differences)


def test_figures_of_a_real_benchmark_are_not_marked(runs: Path, tmp_path: Path) -> None:
    real = _copy(runs / "leaky-blind", tmp_path / "real")
    summary = json.loads((real / "summary.json").read_text("utf-8"))
    summary |= {"simulated": False, "bench": "toasters"}
    (real / "summary.json").write_text(json.dumps(summary), "utf-8")
    found = vlsbench.compare([real])
    assert not found.simulated
    assert not any(cell.simulated for cell in found.rows[0].cells.values())


def test_an_unfinished_run_is_refused(runs: Path, unfinished: Path) -> None:
    with pytest.raises(VlsbenchError, match=r"unfinished: \d+ of 24 pairs are open"):
        vlsbench.compare([runs / "leaky-helpful", unfinished])


def test_a_run_cut_off_before_its_files_says_how_to_go_on(runs: Path, tmp_path: Path) -> None:
    cut = _copy(runs / "leaky-blind", tmp_path / "cut")
    (cut / "summary.json").unlink()
    with pytest.raises(VlsbenchError, match=r"has no summary.json: run its eval command"):
        vlsbench.compare([cut])


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (["nowhere"], "nowhere: no such run"),
        (["."], "no run found in"),
        (["A="], "NAME=PATH"),
        (["=runs"], "NAME=PATH"),
        ([], "at least one run"),
    ],
)
def test_what_is_no_run_is_one_clear_error(
    given: list[str], wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VlsbenchError, match=wanted):
        vlsbench.compare(given)


def test_runs_that_share_no_benchmark_or_no_pairs_are_refused(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(VlsbenchError, match="no other run shares a benchmark and view"):
        vlsbench.compare([runs / "leaky-helpful", runs / "leakless-blind"])
    other = _copy(runs / "leaky-blind", tmp_path / "other")
    _edit_pairs(other, lambda row: row | {"id": f"x{row['id']}"})
    with pytest.raises(VlsbenchError, match="no pairs in common"):
        vlsbench.compare([runs / "leaky-helpful", other])


def test_one_id_for_two_different_pairs_is_refused(runs: Path, tmp_path: Path) -> None:
    other = _copy(runs / "leaky-blind", tmp_path / "other")
    _edit_pairs(other, lambda row: row | {"query": row["query"] + " Today?"})
    with pytest.raises(VlsbenchError, match=r"runs of different sets.* 24 ids with another text"):
        vlsbench.compare([runs / "leaky-helpful", other])


def test_runs_from_before_clusters_were_stored_compare_alike(runs: Path, tmp_path: Path) -> None:
    old = _copy(runs / "leaky-blind", tmp_path / "old")
    table = pq.read_table(old / "pairs.parquet")
    assert set(table["cluster"].to_pylist()) != {""}
    pq.write_table(table.drop_columns(["cluster"]), old / "pairs.parquet")
    new = vlsbench.compare([runs / "leaky-helpful", runs / "leaky-blind"])
    assert vlsbench.compare([runs / "leaky-helpful", old]).differences == new.differences


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no parquet at all"])
def test_a_broken_pairs_file_is_one_clear_error(runs: Path, tmp_path: Path, content: bytes) -> None:
    other = _copy(runs / "leaky-blind", tmp_path / "other")
    (other / "pairs.parquet").write_bytes(content)
    with pytest.raises(VlsbenchError, match="run the run's eval command again"):
        vlsbench.compare([other])


@pytest.mark.parametrize("content", ["[]", '{"schema": "vlsbench.summary/1"}', "{"])
def test_a_broken_summary_is_one_clear_error(runs: Path, tmp_path: Path, content: str) -> None:
    other = _copy(runs / "leaky-blind", tmp_path / "other")
    (other / "summary.json").write_text(content, "utf-8")
    with pytest.raises(VlsbenchError, match=r"summary\.json"):
        vlsbench.compare([other])


def test_a_run_given_twice_counts_once_and_two_of_one_name_are_refused(runs: Path) -> None:
    found = vlsbench.compare([runs / "leaky-helpful", runs])
    assert found.baseline == "lab/helpful"
    assert len([one for one in found.rows if one.baseline]) == 1
    with pytest.raises(VlsbenchError, match="both named 'A'"):
        vlsbench.compare({"A": [runs / "leaky-blind", runs / "leaky-helpful"]})


def test_published_rows_stand_beside_and_are_marked(runs: Path) -> None:
    found = vlsbench.compare([runs / "leaky-blind"], published="llava-v1.5-7b")
    rows = {row.name: row for row in found.rows if row.published}
    assert rows["LLaVA-v1.5-7B"].cells["vlsbench"].score == 6.6
    assert rows["LLaVA-v1.5-7B + T-SFT"].cells["vlsbench"].score == 13.99
    assert rows["LLaVA-v1.5-7B + MM-PPO"].cells["figstep"].score == 96.4
    assert "vlsbench" not in rows["LLaVA-v1.5-7B + T-Unlearning"].cells
    assert "LLaVA-v1.5-13B" not in rows
    # Perception goes to 2000 and cognition to 800, whatever the paper's heads say.
    assert rows["LLaVA-v1.5-7B"].cells["mme_perception"].score == 1511
    for said in ("other way round", "95.77", "the paper's own protocol (--rubric paper"):
        assert any(said in note for note in found.notes)
    keys = [column.key for column in found.columns]
    assert all(key in keys for row in found.rows for key in row.cells)


def test_every_published_vlsbench_row_is_there_once() -> None:
    from vlsbench.comparing import published_rows
    from vlsbench.evaluation import published_results

    _, rows = published_rows(["all"])
    scores = sorted(row.cells["vlsbench"].score or 0 for row in rows if "vlsbench" in row.cells)
    assert scores == sorted(row.safety for row in published_results("vlsbench", "full"))
    assert len({row.name for row in rows}) == len(rows)


def test_an_unpublished_model_is_answered_with_those_there_are(runs: Path) -> None:
    with pytest.raises(VlsbenchError, match="no published row of 'gpt-9'; the paper has LLaVA"):
        vlsbench.compare([runs / "leaky-blind"], published=["gpt-9"])


def test_a_run_is_found_by_its_name_and_a_slip_names_its_neighbour(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").symlink_to(runs)
    assert vlsbench.compare(["leakless-careful", "leakless-helpful"]).rows
    with pytest.raises(VlsbenchError, match="no such run; did you mean leakless-careful"):
        vlsbench.compare(["leakless-carefull", "leakless-helpful"])


@pytest.mark.parametrize("meet", ["compare", "rank"])
def test_the_run_of_a_guard_is_named_as_what_it_is(tmp_path: Path, meet: str) -> None:
    plan = vlsbench.plan_guard(
        "lab/leaky?n=4", guard="lab/llama-guard", controls=["lab/benign?n=4"],
        output=Output(out=tmp_path / "g", progress=False),
    )  # fmt: skip
    vlsbench.evaluate_guard(plan)
    with pytest.raises(VlsbenchError, match=r"holds no evaluation but a run of kind guard.*`vlsbe"):
        getattr(vlsbench, meet)([tmp_path / "g"])
