"""Measure B as a run: over HTTP, with faults, budgets and resume."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import vlsbench
from tests.auditing.judging import BENIGN, part, record, run
from vlsbench import lab
from vlsbench.auditing import AuditOutput, AuditSettings, expenses, plan_audits
from vlsbench.auditing.judged.figures import Judged
from vlsbench.auditing.judged.run import JUDGED, JUDGED_PAIRS
from vlsbench.config import Sample
from vlsbench.errors import EXIT_INTERRUPTED
from vlsbench.evaluation import verify_run
from vlsbench.judge import Part
from vlsbench.stats import Rate

REASONS = {
    "judge_missing",
    "judge_empty",
    "judge_refused",
    "judge_filtered",
    "judge_rejected",
    "judge_unparseable",
}


def unscored(found: Judged) -> int:
    parts = [*found.group.parts, *(p for control in found.controls for p in control.parts)]
    return sum(sum(figures.unscored.values()) for figures in parts)


def scored(found: Judged) -> int:
    parts = [*found.group.parts, *(p for control in found.controls for p in control.parts)]
    return sum(figures.harmful.n for figures in parts)


@pytest.fixture
def server() -> Iterator[str]:
    with lab.running() as url:
        yield url


def test_every_fault_ends_scored_or_unscored_and_no_label_is_wrong(tmp_path: Path) -> None:
    faults = dict.fromkeys([*lab.REPLY_FAULTS, *lab.JUDGE_FAULTS, "429", "500", "truncated"], 0.08)
    with lab.running(faults=faults, retry_after_s=0.01) as url:
        found = run("lab/mixed?n=40&leak=0.5", tmp_path / "r", judge=f"harm@{url}")
    truth = {p.id: bool(p.meta["leaks"]) for p in vlsbench.load("lab/mixed?n=40&leak=0.5")}
    lines = [
        json.loads(line) for line in (record(tmp_path / "r") / JUDGED_PAIRS).open(encoding="utf-8")
    ]
    rows = [row for row in lines if row["set"].startswith("lab/mixed")]
    assert len(rows) == 40
    for row in rows:
        expected = {"text": truth[row["id"]], "image": False, "pair": True}
        for finding in row["findings"]:
            if finding["harmful"] is None:
                assert finding["reason"] in REASONS
            else:
                assert finding["harmful"] is expected[finding["part"]]
    assert unscored(found) > 0
    assert scored(found) + unscored(found) == 3 * (40 + 30)
    low, high = found.group.vsil_if_harmless, found.group.vsil_if_harmful
    assert low is not None
    assert high is not None
    assert low <= 0.5 + 0.2
    assert low < high
    whole = sum(rate.k for rate in found.group.patterns.values())
    assert whole + found.group.incomplete == 40
    assert verify_run(record(tmp_path / "r")).problems == ()


def test_a_finished_run_asks_nothing_and_says_the_same(tmp_path: Path, server: str) -> None:
    options = {"judge": f"harm@{server}"}
    first = run("lab/leaky?n=20", tmp_path / "r", **options)
    asked = lab.stats(server)["requests"]
    # Every text once, however many pairs have it, and whatever a set's other parts are.
    assert asked == first.calls < 3 * 50
    again = run("lab/leaky?n=20", tmp_path / "r", **options)
    assert lab.stats(server)["requests"] == asked
    assert again == first
    assert (
        json.loads((record(tmp_path / "r") / JUDGED).read_text("utf-8"))["group"]["vsil"]["k"] == 20
    )


@pytest.mark.long
def test_a_budget_stops_and_the_same_command_goes_on(tmp_path: Path, server: str) -> None:
    options = {"judge": f"harm@{server}"}
    part_way = run("lab/leaky?n=20", tmp_path / "r", max_calls=40, **options)
    assert "budget of 40 calls" in part_way.stopped
    assert not part_way.complete
    assert part_way.open > 0
    # The controls come first, so that what is there can be said at all.
    assert part_way.controls[0].parts[0].harmful.n > 0
    whole = run("lab/leaky?n=20", tmp_path / "r", **options)
    assert whole.complete
    assert whole.open == 0
    assert lab.stats(server)["paid_again"] == 0


def test_other_controls_take_the_benchmarks_labels_over(tmp_path: Path, server: str) -> None:
    options = {"judge": f"harm@{server}"}
    run("lab/leaky?n=20", tmp_path, **options)
    found = run("lab/leaky?n=20", tmp_path, controls=["lab/benign?n=5&seed=3"], **options)
    assert found.reused >= 40
    assert found.calls <= 15
    # Either keeps a record of its own.
    assert len(list(tmp_path.glob("judged-*"))) == 2


def test_the_unscored_are_asked_again_on_demand(tmp_path: Path) -> None:
    broken = dict.fromkeys(["judge_refusal"], 1.0)
    with lab.running(faults=broken) as url:
        port = int(url.rpartition(":")[2].partition("/")[0])
        first = {"controls": ["lab/benign?n=4"], "judge": f"harm@{url}"}
        found = run("lab/leaky?n=4", tmp_path / "r", **first)
        assert part(found.group, Part.TEXT).unscored == {"judge_refused": 4}
        assert found.group.vsil == Rate(0, 0, None, None, None)
        assert found.group.corrected.value is None
    with lab.running(port=port):
        again = run("lab/leaky?n=4", tmp_path / "r", retry="unscored", **first)
    assert again.group.vsil.k == again.group.vsil.n == 4


def test_a_plan_names_the_controls_and_says_what_is_left(tmp_path: Path) -> None:
    positive = "lab/leaky?n=7&seed=9"

    def planned() -> list[tuple[str, str, int]]:
        settings = AuditSettings(
            measures=("judged",),
            judge="lab",
            controls=(BENIGN,),
            positive_controls=(positive,),
            sample=Sample(limit=5),
            output=AuditOutput(out=tmp_path / "r", progress=False),
        )
        (plan,) = plan_audits(["lab/leaky?n=20"], settings)
        return [(one.set, one.part, one.calls) for _, one in expenses(plan)]

    parts = "text, image, pair"
    assert planned() == [
        ("lab/leaky?n=20", parts, 3 * 5),
        (BENIGN, f"{parts} of benign controls", 3 * 30),
        (positive, f"{parts} of positive controls", 3 * 7),
    ]
    assert not (tmp_path / "r").exists()
    assert run("lab/leaky?n=20", tmp_path / "r", positive_controls=[positive], limit=5).complete
    assert [calls for _, _, calls in planned()] == [0, 0, 0]


def test_what_is_asked_is_told_from_python_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for progress in (True, False):
        vlsbench.audit(
            "lab/mixed?n=4",
            measures=["judged"],
            judge="lab",
            controls=["lab/benign?n=2"],
            output=AuditOutput(out=tmp_path / str(progress), progress=progress),
        )
        said = "18 questions to ask (12 on lab/mixed?n=4, 6 on lab/benign?n=2"
        assert (said in capsys.readouterr().err) is progress


@pytest.mark.long
@pytest.mark.parametrize("measure", ["judged", "behaviour"])
def test_a_second_interrupt_leaves_at_once_and_says_so(tmp_path: Path, measure: str) -> None:
    with lab.running(latency=0.05, faults={"hang": 0.3}) as url:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vlsbench", "audit", "lab/leaky?n=40", "--out", "card"),
                *("--measures", measure, "--controls", BENIGN, "--concurrency", "8"),
                *("--judge", f"{'harm' if measure == 'judged' else 'judge'}@{url}"),
                *(("--model", f"careful@{url}") if measure == "behaviour" else ()),
            ],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        until = time.monotonic() + 30
        while time.monotonic() < until and not lab.stats(url)["requests"]:
            time.sleep(0.02)
        time.sleep(1)  # the first question may be one that hangs, and is asked alone
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(0.1)
        said, _ = process.communicate(timeout=30)  # a hanging request alone would take 60 s
    assert process.returncode == EXIT_INTERRUPTED, said
    assert "Traceback" not in said
    last = said.splitlines()[-1]
    assert last.startswith("error: left at once;")
    assert last.endswith("the same command resumes from here")


def test_measure_b_in_batches_finds_the_same(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url:
        judge = f"harm@{url}"
        plain = run("lab/leaky?n=20", tmp_path / "a" / "r", judge=judge)
        more = {"batch": True, "batch_poll_s": 0.3}
        found = run("lab/leaky?n=20", tmp_path / "b" / "r", judge=judge, **more)
        assert lab.stats(url)["batched"] > 40
    assert found.group == plain.group
