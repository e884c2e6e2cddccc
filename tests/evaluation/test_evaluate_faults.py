"""What goes wrong in an evaluation, against the lab's real HTTP server: no fault is a label."""

from pathlib import Path
from typing import Any

import pytest

from tests.evaluation.runs import labels, only, rows, run
from vlsbench import lab
from vlsbench.engine import Ledger
from vlsbench.errors import VlsbenchError
from vlsbench.models import FatalCall

FAULTS = dict.fromkeys(set(lab.FAULTS) - {"length", *lab.BATCH_FAULTS}, 0.05)
"""Every fault but `length`, which is no fault of the service: a cut reply is a reply."""


@pytest.mark.long
def test_no_fault_is_ever_counted_as_safe_or_unsafe(tmp_path: Path, server: str) -> None:
    true = run(
        "lab/leaky?n=100", tmp_path / "t", model=f"careful@{server}", judge=f"judge@{server}"
    )
    truth = labels(true)
    with lab.running(faults=FAULTS, seed=5, retry_after_s=0.05) as url:
        done = run(
            "lab/leaky?n=100",
            tmp_path / "f",
            model=f"careful@{url}",
            judge=f"judge@{url}",
            timeout_s=0.6,
        )
        happened = lab.stats(url)["by_fault"]
    assert set(happened) == set(FAULTS)
    group = only(done)
    assert done.summary.open == 0
    assert group.pairs == 100 == group.scored + group.filtered + sum(group.unscored.values())
    assert group.filtered > 0
    for row in rows(done):
        if row["label"] == "unscored":
            assert row["unscored_reason"]
        elif row["label"] != "filtered":
            assert row["label"] == truth[row["id"]]
    assert group.safety.rate == 1.0
    assert group.safety_worst is not None
    assert group.safety_worst < 1.0 == group.safety_best


def test_cut_replies_keep_what_came_and_say_so(tmp_path: Path) -> None:
    with lab.running(faults={"length": 1.0}) as url:
        done = run("lab/leaky?n=10", tmp_path / "r", model=f"helpful@{url}", judge="offline")
    assert only(done).cut == 10
    for row in rows(done):
        assert row["finish"] == "length"
        assert row["reply"]


def test_unscored_pairs_are_asked_again_on_request_alone(tmp_path: Path) -> None:
    options: dict[str, Any] = {"out": tmp_path / "r", "concurrency": 1}
    with lab.running(faults={"judge_refusal": 1.0, "empty": 0.0}) as url:
        port = int(url.split(":")[2].split("/")[0])
        models: dict[str, Any] = {"model": f"careful@{url}", "judge": f"judge@{url}"}
        first = run("lab/leaky?n=10", **options, **models)
        assert only(first).unscored == {"judge_refused": 10}
        asked = lab.stats(url)["requests"]
        assert asked == 10 + 10 * 3 + 3  # the first pair once more, without a schema
        run("lab/leaky?n=10", **options, **models)
        assert lab.stats(url)["requests"] == asked
    with lab.running(port=port) as url:
        again = run("lab/leaky?n=10", **options, **models, retry="unscored")
        assert lab.stats(url)["by_model"] == {"judge": 10}
    assert only(again).scored == 10
    with Ledger.read(tmp_path / "r") as ledger:
        assert ledger.count_calls() == 10 + 33 + 10


def test_empty_replies_are_asked_again_at_the_target(tmp_path: Path) -> None:
    with lab.running(faults={"empty": 1.0}) as url:
        port = int(url.split(":")[2].split("/")[0])
        models: dict[str, Any] = {"model": f"careful@{url}", "judge": "offline"}
        first = run("lab/leaky?n=5", tmp_path / "r", **models)
        assert only(first).unscored == {"reply_empty": 5}
    with lab.running(port=port) as url:
        again = run("lab/leaky?n=5", tmp_path / "r", **models, retry="unscored")
    assert only(again).scored == 5


def test_a_budget_of_calls_is_kept_to_the_call(tmp_path: Path, server: str) -> None:
    models: dict[str, Any] = {"model": f"blind@{server}", "judge": f"judge@{server}"}
    done = run("lab/leaky?n=40", tmp_path / "r", **models, max_calls=25)
    assert done.stopped is not None
    assert "25 calls" in done.stopped
    assert lab.stats(server)["requests"] == 25
    assert not done.summary.complete
    assert done.summary.open > 0
    assert any("stopped before its end" in note for note in done.summary.notes)
    rest = run("lab/leaky?n=40", tmp_path / "r", **models)
    assert rest.stopped is None
    assert lab.stats(server)["requests"] == 80
    assert lab.stats(server)["paid_again"] == 0


def test_a_budget_of_money_is_never_passed(tmp_path: Path, server: str) -> None:
    done = run(
        "lab/leaky?n=40",
        tmp_path / "r",
        model=f"blind@{server}",
        judge="offline",
        price="10,100",
        max_cost=0.3,
    )
    assert done.stopped is not None
    assert "$0.30" in done.stopped
    cost = done.summary.spend[0].cost
    assert cost is not None
    assert 0 < cost <= 0.3
    with pytest.raises(VlsbenchError, match="needs a price"):
        run("lab/leaky?n=4", tmp_path / "q", model="m@http://h/v1", judge="offline", max_cost=1)


def test_a_server_that_dies_leaves_a_run_to_go_on_with(tmp_path: Path) -> None:
    with lab.running(latency=0.05) as url:
        port = int(url.split(":")[2].split("/")[0])
        models: dict[str, Any] = {
            "model": f"blind@{url}",
            "judge": f"judge@{url}",
            "concurrency": 4,
        }
        first = run("lab/leaky?n=60", tmp_path / "r", **models, max_calls=30)
        assert first.stopped
    with pytest.raises(FatalCall, match="is the server running") as stopped:
        run("lab/leaky?n=60", tmp_path / "r", **models)
    assert stopped.value.exit_code
    with lab.running(port=port) as url:
        done = run("lab/leaky?n=60", tmp_path / "r", **models)
        assert lab.stats(url)["requests"] == 120 - 30
    assert only(done).scored == 60


def test_a_server_that_always_fails_trips_the_breaker_and_closes_no_pair(tmp_path: Path) -> None:
    with lab.running(faults={"500": 1.0}) as url:
        done = run(
            "lab/leaky?n=100", tmp_path / "r", model=f"blind@{url}", judge="offline", retries=0
        )
    assert done.stopped is not None
    assert "too many calls fail" in done.stopped
    assert done.summary.open == 100
    assert done.summary.groups == ()


def test_a_wrong_key_ends_the_run_at_once_and_is_written_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_API_KEY", "sk-wrong-but-secret")
    with (
        lab.running(api_key="sk-right") as url,
        pytest.raises(FatalCall, match="refuses the key"),
    ):
        run("lab/leaky?n=50", tmp_path / "r", model=f"blind@{url}", judge="offline")
    monkeypatch.setenv("VLSBENCH_API_KEY", "sk-right")
    with lab.running(api_key="sk-right") as url:
        run("lab/leaky?n=5", tmp_path / "ok", model=f"blind@{url}", judge="offline")
    for file in tmp_path.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            assert b"sk-wrong-but-secret" not in data
            assert b"sk-right" not in data


def test_an_unknown_model_is_named(tmp_path: Path, server: str) -> None:
    with pytest.raises(FatalCall, match=r"no such model.*nobody"):
        run("lab/leaky?n=5", tmp_path / "r", model=f"nobody@{server}", judge="offline")


def test_a_judge_without_schemas_works_by_words(tmp_path: Path) -> None:
    with lab.running(schemas=False) as url:
        done = run("lab/leaky?n=30", tmp_path / "r", model=f"careful@{url}", judge=f"judge@{url}")
        assert lab.stats(url)["requests"] == 61
    assert only(done).scored == 30
