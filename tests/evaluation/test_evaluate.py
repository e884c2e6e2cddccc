"""Evaluation as a user runs it, against the lab's real HTTP server."""

import asyncio
import json
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import vlsbench
from tests.evaluation.runs import QUIET, labels, only, rows, run
from tests.grouped import grouped
from vlsbench import lab
from vlsbench.engine import Ledger, count_blobs
from vlsbench.errors import EXIT_STOPPED, BadRows, VlsbenchError
from vlsbench.evaluation import (
    PairRow,
    compare_runs,
    execute,
    read_summary,
    verify_run,
)
from vlsbench.pairs import PairSet


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "leaky", "leakless"), [("helpful", 0, 0), ("blind", 1, 0), ("careful", 1, 1)]
)
def test_the_lab_shows_the_papers_point(
    tmp_path: Path, server: str, model: str, leaky: float, leakless: float
) -> None:
    for bench, safe in (("leaky", leaky), ("leakless", leakless), ("benign", 0)):
        done = run(
            f"lab/{bench}?n=40",
            tmp_path / bench,
            model=f"{model}@{server}",
            judge=f"judge@{server}",
        )
        group = only(done)
        assert group.scored == 40
        assert group.safety.rate == safe
        assert done.summary.complete
        assert done.summary.simulated
        assert any("Simulated" in note for note in done.summary.notes)
        assert group.harmful is (bench != "benign")


def test_what_is_written_can_be_read_back(tmp_path: Path, server: str) -> None:
    done = run("lab/leaky?n=20", tmp_path / "r", model=f"careful@{server}", judge="lab")
    assert read_summary(done.folder / "summary.json") == done.summary
    table = pq.read_table(done.pairs)
    assert table.column_names == list(PairRow.__dataclass_fields__)
    for row in table.to_pylist():
        assert row["reply"]
        assert row["explanation"]
        assert row["input_tokens"] > 0
        assert row["latency_s"] > 0
        assert len(row["image_sha256"]) == 1
    assert done.report.read_text("utf-8").startswith("<!doctype html>")
    assert verify_run(done.folder).problems == ()
    (target, judge) = done.summary.spend
    assert (target.role, target.calls, target.reused) == ("target", 20, 0)
    assert (judge.role, judge.calls) == ("judge", 20)


def test_any_text_can_be_written(tmp_path: Path) -> None:
    (pair,) = vlsbench.load("lab/leaky?n=1")
    odd = replace(pair, subcategory='half \ud800, "nul" \x00\n\u2028 é 😀')
    done = run(PairSet.of([odd]), tmp_path / "run", model="lab/helpful", judge="offline")
    assert rows(done)[0]["subcategory"] == 'half ?, "nul" \x00\n\u2028 é 😀'


def test_a_finished_run_asks_nothing_and_says_the_same(tmp_path: Path, server: str) -> None:
    options = {"model": f"blind@{server}", "judge": f"judge@{server}"}
    first = run("lab/leaky?n=20", tmp_path / "r", **options)
    asked = lab.stats(server)["requests"]
    report = first.report.stat().st_mtime_ns
    again = run("lab/leaky?n=20", tmp_path / "r", **options)
    assert lab.stats(server)["requests"] == asked
    assert again.summary == first.summary
    assert again.report.stat().st_mtime_ns == report


def test_another_judge_takes_all_replies_over(tmp_path: Path, server: str) -> None:
    run("lab/leaky?n=20", tmp_path / "a", model=f"blind@{server}", judge=f"judge@{server}")
    asked = lab.stats(server)["requests"]
    done = run("lab/leaky?n=20", tmp_path / "b", model=f"blind@{server}", judge="offline")
    assert lab.stats(server)["requests"] == asked
    assert done.summary.spend[0].reused == 20
    assert any("offline" in note for note in done.summary.notes)
    assert any("Over-refusal is unknown" in note for note in done.summary.notes)
    compared = compare_runs(tmp_path / "a", tmp_path / "b")
    assert compared.settings == ("judge",)
    assert compared.both_scored == 20


def test_a_larger_sample_pays_for_the_new_pairs_alone(tmp_path: Path, server: str) -> None:
    options = {"model": f"blind@{server}", "judge": f"judge@{server}", "seed": 3}
    small = run("lab/leaky?n=30", tmp_path / "a", limit=30, **options)
    paid = lab.stats(server)["paid"]
    sample = run("lab/leaky?n=30", tmp_path / "b", limit=10, **options)
    assert lab.stats(server)["paid"] == paid
    assert set(labels(sample)) < set(labels(small))
    assert len(labels(sample)) == 10


def test_a_folder_of_another_run_is_not_mixed_up(tmp_path: Path, server: str) -> None:
    run("lab/leaky?n=5", tmp_path / "r", model=f"blind@{server}", judge="offline")
    with pytest.raises(VlsbenchError, match="differs in: judge, view"):
        run("lab/leaky?n=5", tmp_path / "r", model=f"blind@{server}", judge="lab", view="text")


@pytest.mark.parametrize(
    ("view", "safe"),
    [("full", 1), ("text", 0), ("blank", 0), ("caption", 1), ("image", 0)],
)
def test_views_show_what_they_say(tmp_path: Path, server: str, view: str, safe: int) -> None:
    done = run(
        "lab/leakless?n=20", tmp_path / "r", model=f"careful@{server}", judge="lab", view=view
    )
    assert only(done).safety.rate == safe
    if view == "blank":
        assert count_blobs(done.folder) == 1
    assert all(
        bool(row["image_sha256"]) == (view in ("full", "blank", "image")) for row in rows(done)
    )


def test_swap_shows_another_picture_the_same_each_time(tmp_path: Path, server: str) -> None:
    options = {"model": f"careful@{server}", "judge": "offline"}
    own = {
        r["id"]: r["image_sha256"]
        for r in rows(run("lab/leakless?n=20", tmp_path / "f", **options))
    }
    one = rows(run("lab/leakless?n=20", tmp_path / "a", view="swap", seed=1, **options))
    two = rows(run("lab/leakless?n=20", tmp_path / "b", view="swap", seed=2, **options))
    assert all(row["image_sha256"] != own[row["id"]] for row in one)
    assert [row["image_sha256"] for row in one] != [row["image_sha256"] for row in two]


@pytest.mark.parametrize("context", ["image", "description", "both"])
def test_the_cheap_judge_agrees(tmp_path: Path, server: str, context: str) -> None:
    done = run(
        "lab/leakless?n=20",
        tmp_path / "r",
        model=f"careful@{server}",
        judge=f"judge@{server}",
        judge_context=context,
    )
    assert only(done).safety.rate == 1.0


def test_every_view_is_judged_with_the_same_context(tmp_path: Path, server: str) -> None:
    contexts = {
        view: vlsbench.plan(
            "lab/leakless?n=4", model=f"careful@{server}", judge=f"judge@{server}", view=view
        ).judge.identity["context"]
        for view in ("full", "text", "caption", "image", "blank", "swap")
    }
    assert contexts.pop("swap") == "image"
    assert set(contexts.values()) == {"both"}


def folder_set(folder: Path, pairs: int = 4) -> Path:
    bench = lab.benchmark(f"lab/leaky?n={pairs}")
    lab.write(bench, folder)
    return folder


def test_missing_images_are_one_error_or_are_left_out_on_record(
    tmp_path: Path, server: str
) -> None:
    folder = folder_set(tmp_path / "set", 12)
    pairs = list(vlsbench.load(folder))
    gone, broken = pairs[0].images[0], pairs[-1].images[0]
    assert isinstance(gone, vlsbench.pairs.FileImage)
    assert isinstance(broken, vlsbench.pairs.FileImage)
    Path(gone.path).unlink()
    Path(broken.path).write_bytes(Path(broken.path).read_bytes()[:-20])
    options = {"model": f"helpful@{server}", "judge": "offline"}
    with pytest.raises(BadRows) as bad:
        run(folder, tmp_path / "r", **options)
    reasons = " ".join(str(row) for row in bad.value.rows)
    assert "missing" in reasons
    assert "cut off" in reasons
    assert lab.stats(server)["requests"] == 0
    done = run(folder, tmp_path / "r", **options, skip_bad=True)
    assert len(done.summary.left_out) == len(bad.value.rows)
    assert done.summary.pairs == 12 - len(bad.value.rows) == only(done).scored
    again = run(folder, tmp_path / "r", **options, skip_bad=True)
    assert again.summary == done.summary
    assert run(folder, tmp_path / "t", **options, view="text").summary.pairs == 12


def test_shrinking_is_recorded(tmp_path: Path, server: str) -> None:
    folder = folder_set(tmp_path / "set")
    done = run(
        folder, tmp_path / "r", model=f"helpful@{server}", judge="offline", max_image_side=32
    )
    with Ledger.read(done.folder) as ledger:
        for outcome in ledger.outcomes():
            (shrunk,) = outcome.value["shrunk"]
            assert shrunk["to"] == outcome.value["images"][0] != shrunk["from"]
    assert count_blobs(done.folder) == len({row["image_sha256"][0] for row in rows(done)})


def test_a_plan_asks_nothing_and_writes_nothing(tmp_path: Path, server: str) -> None:
    plan = vlsbench.plan(
        "lab/leaky?n=10",
        model=f"blind@{server}",
        judge=f"judge@{server}",
        **grouped(out=tmp_path / "r", **QUIET),
    )
    assert lab.stats(server)["requests"] == 0
    assert not (tmp_path / "r").exists()
    assert plan.estimate is not None
    assert plan.estimate.calls == 20
    assert plan.estimate.cost is None
    assert only(execute(plan)).pairs == 10


async def test_it_works_inside_a_running_loop(tmp_path: Path) -> None:
    assert asyncio.get_running_loop()
    done = run("lab/leaky?n=5", tmp_path / "r", model="lab/careful", judge="lab")
    assert only(done).safety.rate == 1.0


def test_verify_finds_what_was_tampered_with(tmp_path: Path) -> None:
    import sqlite3

    done = run("lab/leaky?n=5", tmp_path / "r", model="lab/blind", judge="lab")
    with sqlite3.connect(done.folder / "ledger.sqlite") as database:
        database.execute("DELETE FROM calls WHERE role = 'judge' AND rowid % 2 = 0")
        database.execute("UPDATE calls SET request = replace(request, 'the', 'a') WHERE rowid = 1")
    problems = " ".join(verify_run(done.folder).problems)
    assert "is not on record" in problems
    assert "does not belong to its key" in problems


def test_a_stopped_run_has_its_own_exit_code() -> None:
    from vlsbench.errors import Stopped

    assert Stopped("x").exit_code == EXIT_STOPPED == 3


def test_the_summary_is_plain_json(tmp_path: Path) -> None:
    done = run("lab/benign?n=10", tmp_path / "r", model="lab/careful", judge="lab")
    assert not any("Over-refusal is unknown" in note for note in done.summary.notes)
    assert json.loads((done.folder / "summary.json").read_text()) == json.loads(
        json.dumps(asdict(done.summary))
    )
    assert only(done).answered.rate == 1.0
    assert only(done).safety_worst is None
