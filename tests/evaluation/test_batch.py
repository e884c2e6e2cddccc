"""Calls in batches: the same answers at half the price, each paid once, whatever goes wrong."""

from __future__ import annotations

import contextlib
import signal
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.evaluation.batching import (
    BENCH,
    PAIRS,
    PROBES,
    QUICK,
    aged,
    batched,
    batches,
    command,
    costs,
    direct,
    wait_for_a_batch,
)
from tests.evaluation.runs import labels, run
from tests.scripted import Asked, Said, answer, refuse, scripted
from vlsbench import lab
from vlsbench.config import Budget, Connection
from vlsbench.engine import FILE, BatchRow, Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.pairs import Pair


def test_batches_give_the_same_labels_at_half_the_price(tmp_path: Path) -> None:
    with lab.running(batch_s=0.1) as url:
        plain = direct(url, tmp_path / "a" / "r")
    with lab.running(batch_s=0.1) as url:
        done = batched(url, tmp_path / "b" / "r")
        counts = lab.stats(url)
    assert labels(done) == labels(plain)
    assert (counts["requests"], counts["batched"]) == (PROBES, 2 * PAIRS)
    assert [(row.state, row.requests) for row in batches(done.folder)] == [("merged", PAIRS)] * 2
    whole, parts = costs(plain.folder)[False], costs(done.folder)
    assert parts[True] == pytest.approx(whole / 2)
    paid = [spent.cost for spent in done.summary.spend if spent.role != "probe"]
    assert sum(cost or 0.0 for cost in paid) == pytest.approx(whole / 2)


def test_the_estimate_is_at_half_the_price(tmp_path: Path) -> None:
    asked: dict[str, Any] = {"model": "m@http://h/v1", "judge": "j@http://h/v1"}
    asked["budget"] = Budget(price="1,2", judge_price="1,2")
    plain, half = (
        vlsbench.plan(BENCH, connection=Connection(batch=batch), **asked).estimate
        for batch in (False, True)
    )
    assert plain
    assert half
    assert plain.cost
    assert half.cost
    assert half.cost == pytest.approx(plain.cost / 2)


def test_a_run_is_the_same_with_batches_and_without(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        batched(url, tmp_path / "r")
        paid = lab.stats(url)["paid"]
        assert direct(url, tmp_path / "r").since
        assert lab.stats(url)["paid"] == paid


@pytest.mark.parametrize(
    ("limit", "least"), [({"batch_requests": 5}, 5), ({"batch_mb": 0.03}, 2)], ids=["count", "size"]
)
def test_batches_are_split_by_count_and_size(
    tmp_path: Path, limit: dict[str, Any], least: int
) -> None:
    with lab.running(batch_s=0.05) as url:
        done = batched(url, tmp_path / "r", judge="offline", **limit)
        assert lab.stats(url)["paid_again"] == 0
    rows = batches(done.folder)
    assert len(rows) >= least
    assert sum(row.requests for row in rows) == PAIRS
    assert max(row.requests for row in rows) <= limit.get("batch_requests", PAIRS)


def test_a_request_too_large_for_a_batch_is_an_ordinary_call(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        done = batched(url, tmp_path / "r", judge="offline", batch_mb=0.001)
        assert lab.stats(url)["batched"] == 0
    assert len(labels(done)) == PAIRS
    assert [said for said in done.summary.notes if "--batch-mb 0.001" in said and "full" in said]


def test_what_fails_in_a_batch_becomes_an_ordinary_call(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        plain = labels(direct(url, tmp_path / "a" / "r"))
    with lab.running(batch_s=0.05, faults={"batch_item": 0.4}) as url:
        done = batched(url, tmp_path / "b" / "r")
        counts = lab.stats(url)
    assert labels(done) == plain
    assert PROBES < counts["requests"] == PROBES + 2 * PAIRS - counts["batched"]
    assert counts["paid_again"] == 0
    assert counts["batches"] == 2
    parts = costs(done.folder)
    assert parts[True] > 0
    assert parts[False] > 0


def test_what_a_batch_leaves_unanswered_goes_into_another_one(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05, faults={"batch_expired": 0.5}, seed=4) as url:
        done = batched(url, tmp_path / "r", batch_requests=6)
        counts = lab.stats(url)
    assert counts["paid_again"] == 0
    assert counts["paid"] == PROBES + 2 * PAIRS
    assert counts["batches"] > 8
    assert len(labels(done)) == PAIRS
    assert any("before its end" in row.detail for row in batches(done.folder))


def test_faults_of_the_batch_api_cost_nothing_twice(tmp_path: Path) -> None:
    faults = {"batch_poll": 0.4, "batch_lost": 0.7, "batch_full": 0.3}
    with lab.running(batch_s=0.05, faults=faults, seed=1) as url:
        done = batched(url, tmp_path / "r", batch_requests=8, batch_poll_s=0.1)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"]) == (PROBES + 2 * PAIRS, 0)
    assert counts["batched"] == 2 * PAIRS
    assert len(labels(done)) == PAIRS


def test_a_budget_of_calls_holds_and_what_it_bought_arrives(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        done = batched(url, tmp_path / "r", max_calls=10)
        assert done.stopped == "the budget of 10 calls is used"
        assert lab.stats(url)["paid"] == 10
        with Ledger.read(done.folder) as ledger:
            assert ledger.count_calls() == 10
        batched(url, tmp_path / "r")
        counts = lab.stats(url)
        assert (counts["paid"], counts["paid_again"]) == (PROBES + 2 * PAIRS, 0)


def test_a_budget_of_dollars_reserves_half_the_price(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        one = batched(url, tmp_path / "a" / "r", judge="offline", max_calls=1)
        # The most that a call can cost, by its length limit, is far above what it costs.
        worst = 2048 * 2 / 1e6
        done = batched(url, tmp_path / "b" / "r", judge="offline", max_cost=8 * worst)
        assert done.stopped is None
        assert sum(costs(done.folder).values()) <= 8 * worst
        assert max(row.requests for row in batches(done.folder)) > 8
    assert one.stopped


def test_a_server_without_batches_is_said_to_have_none(tmp_path: Path) -> None:
    def say(asked: Asked) -> Said:
        if asked.path.endswith("/files"):
            return refuse(404, "Not Found")
        return answer(asked)

    with scripted(say) as played, pytest.raises(VlsbenchError, match=r"no batches at .* --batch"):
        run(BENCH, tmp_path / "r", model=f"m@{played.url}", judge="offline", batch=True, **QUICK)


def test_a_text_that_has_no_utf_8_form_goes_in_a_batch(tmp_path: Path) -> None:
    odd = [Pair(id="odd", query="Is it hot? \ud83d", harmful=True)]
    with lab.running(batch_s=0.05) as url:
        done = run(odd, tmp_path / "r", model=f"blind@{url}", judge="offline", batch=True, **QUICK)
        assert lab.stats(url)["batched"] == 1
    assert len(labels(done)) == 1


def test_a_batch_that_its_server_forgot_is_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=60) as url:
        with subprocess.Popen(
            command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        ) as process:
            wait_for_a_batch(out, process, requests=1)
            process.send_signal(signal.SIGKILL)
        port = url.removesuffix("/v1").rpartition(":")[2]
    # Another server at the same address knows nothing of what the first one was asked.
    with lab.running(batch_s=0.05, port=int(port)) as url:
        aged(out)
        with pytest.raises(
            VlsbenchError, match=r"may be paid for, is not listed .* --batch-anew 3600"
        ):
            batched(url, out, no_probe=True)
        assert lab.stats(url)["batched"] == 0
        done = batched(url, out, no_probe=True, batch_anew_s=0.0)
        assert lab.stats(url)["batched"] == 2 * PAIRS
    assert len(labels(done)) == PAIRS
    assert "gone" in {row.state for row in batches(out)}


@pytest.mark.long
def test_an_uploaded_batch_that_was_never_created_is_collected_again(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=0.05) as url:
        first = batched(url, out, max_calls=4, no_probe=True)
        assert first.stopped
        # As a process leaves it that dies between the upload and the creation.
        left = BatchRow("vlsbench-left", f"careful@{url}", "prepared", 1, file="file-1")
        with contextlib.closing(sqlite3.connect(out / FILE)) as ledger, ledger:
            for statement in left.statements():
                ledger.execute(*statement)
        batched(url, out, no_probe=True)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"]) == (2 * PAIRS, 0)
    states = {row.name: row.state for row in batches(out)}
    assert states["vlsbench-left"] == "not sent"


def test_a_batch_of_which_a_server_says_nothing_ends_in_a_stop_that_resumes(
    tmp_path: Path,
) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=0.0, faults={"batch_poll": 1.0}) as url:
        port = int(url.removesuffix("/v1").rpartition(":")[2])
        with pytest.raises(VlsbenchError, match=r"no answer about a batch .* resumes from here"):
            batched(url, out, judge="offline", batch_poll_s=0.01)
        (row,) = batches(out)
        assert row.remote
    with lab.running(port=port, batch_s=0.0) as url:
        more = {"judge": "offline", "batch_poll_s": 0.01, "batch_anew_s": 0.0}
        assert len(labels(batched(url, out, **more))) == PAIRS


def test_a_queue_that_never_has_room_ends_in_a_stop(tmp_path: Path) -> None:
    with lab.running(batch_s=0.0, faults={"batch_full": 1.0}) as url:
        with pytest.raises(VlsbenchError, match="no room for a batch of 24 requests"):
            batched(url, tmp_path / "r", judge="offline", batch_poll_s=0.01)
        assert lab.stats(url)["batched"] == 0


@pytest.mark.parametrize("file", ["gone", None], ids=["deleted", "untold"])
def test_answers_that_the_provider_lacks_are_bought_again_only_where_the_user_says_so(
    tmp_path: Path, file: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlsbench.engine._batch_rows.THERE_S", 1.0)
    batch = {"id": "b", "status": "completed", "request_counts": {"completed": PAIRS}}
    out, status = tmp_path / "r", 401

    def say(asked: Asked) -> Said:
        if asked.path.endswith("/files"):
            return Said({"id": "f"})
        if asked.path.endswith("/content"):
            return refuse(status, "No.")
        told = {**batch, "output_file_id": "f" if status == 401 else file}
        return Said(told) if "/batches" in asked.path else answer(asked)

    with scripted(say) as played:
        asked: dict[str, Any] = {"model": f"m@{played.url}", "judge": "offline", "batch": True}
        with pytest.raises(VlsbenchError, match=r"may be paid for, cannot be looked for .* 401"):
            run(BENCH, out, **asked, batch_poll_s=0.01)
        status = 404
        with pytest.raises(VlsbenchError, match="has answers that are not there: run the same"):
            run(BENCH, out, **asked, batch_poll_s=0.01)
        assert not any("messages" in one.body for one in played.asked)
        done = run(BENCH, out, **asked, batch_poll_s=0.01, batch_anew_s=0.0)
    assert len(labels(done)) == PAIRS
    assert {(row.state, row.detail) for row in batches(out)} == {("gone", "its answers are gone")}


def test_a_call_too_large_for_a_batch_counts_once_in_the_budget(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        done = batched(url, tmp_path / "r", judge="offline", batch_mb=0.001, max_calls=10)
        assert done.stopped
        assert lab.stats(url)["paid"] == 10
