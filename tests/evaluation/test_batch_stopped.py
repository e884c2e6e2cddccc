"""A run in batches that is stopped, at any moment and in any way, pays for none twice."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.evaluation.batching import (
    BENCH,
    PAIRS,
    aged,
    batches,
    command,
    direct,
    wait_for_a_batch,
)
from tests.evaluation.runs import labels, run
from tests.scripted import Asked, Said, answer, refuse, scripted
from vlsbench import lab
from vlsbench.errors import EXIT_INTERRUPTED, Stopped, VlsbenchError


@pytest.mark.long
@pytest.mark.parametrize("faults", [{}, {"batch_lost": 0.4, "batch_poll": 0.2}], ids=["", "faults"])
def test_killed_at_any_moment_nothing_is_paid_twice(
    tmp_path: Path, faults: dict[str, float]
) -> None:
    chance = random.Random(5)
    with lab.running(batch_s=0.4) as url:
        expected = labels(direct(url, tmp_path / "a" / "r"))
    out, kills = tmp_path / "b" / "r", 0
    with lab.running(batch_s=0.6, faults=faults) as url:
        # The lab lists at once: a creation that a kill kept from being sent is known in no time.
        typed = [*command(url, out), "--batch-anew", "2"]
        for _ in range(4):
            with subprocess.Popen(
                typed, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            ) as process:
                wait_for_a_batch(out, process)
                time.sleep(chance.uniform(0, 0.5))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
        done = subprocess.run(typed, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        counts = lab.stats(url)
    assert kills >= 3
    assert (counts["paid"], counts["paid_again"]) == (2 * PAIRS, 0)
    table = pq.read_table(out / "pairs.parquet", columns=["id", "label"]).to_pydict()
    assert dict(zip(table["id"], table["label"], strict=True)) == expected


@pytest.mark.long
def test_an_interrupt_leaves_batches_to_the_provider_and_says_so(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=4.0) as url:
        with subprocess.Popen(
            command(url, out, "offline"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            wait_for_a_batch(out, process, requests=PAIRS)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate()
        assert process.returncode == EXIT_INTERRUPTED
        said = " ".join(said.split())
        sent = batches(out)  # 4, or more where the machine is slow to ask
        assert (sum(row.requests for row in sent), max(row.requests for row in sent)) == (PAIRS, 7)
        assert f"{len(sent)} batches at the provider: 0 of {PAIRS} requests answered" in said
        assert "they go on, and nothing is lost" in said
        assert "the same command resumes from here" in said
        shown = subprocess.run(
            [sys.executable, "-m", "vlsbench", "runs", "show", str(out)],
            capture_output=True,
            text=True,
        )
        assert "in_progress" in shown.stdout
        subprocess.run(command(url, out, "offline"), check=True, capture_output=True)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"]) == (PAIRS, 0)


def test_without_batch_a_resumed_run_still_merges_what_was_submitted(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=2.0) as url:
        with subprocess.Popen(
            command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        ) as process:
            wait_for_a_batch(out, process, requests=PAIRS)
            process.send_signal(signal.SIGKILL)
        direct(url, out)
        counts = lab.stats(url)
    assert counts["batched"] == PAIRS
    assert (counts["paid"], counts["paid_again"]) == (2 * PAIRS, 0)


class Late:
    """A server whose first batch is created without an answer, and listed some looks later."""

    def __init__(self, looks: int = 0, unknown: int = 0, status: int = 502) -> None:
        self.looks = looks
        """Before it is listed."""
        self.status = status
        """Of the answer to its creation, where it is listed late."""
        self.endless = False
        """Whether every page of the list has more, and is the same."""
        self.unknown = unknown
        """Questions about it by its id that get a 404."""
        self.lists = True
        self.hidden = ""
        """A field of the batch that the server does not tell."""
        self.made: list[dict[str, Any]] = []

    def __call__(self, asked: Asked) -> Said:
        if asked.path.endswith("/files"):
            return Said({"id": f"f{len(self.made)}"})
        if asked.path.endswith("/batches"):
            self.made.append({"id": "b", "status": "completed", **asked.body})
            return refuse(self.status, "Gateway") if self.looks else Said(self.made[-1])
        if "/batches?" in asked.path:
            if not self.lists:
                return refuse(404, "Not Found")
            self.looks -= 1
            told = [{k: v for k, v in one.items() if k != self.hidden} for one in self.made]
            other = [{"id": "other", "status": "completed"}] * self.endless
            data = other if self.looks >= 0 else [*other, *told]
            return Said({"data": data, "has_more": self.endless})
        if "/batches/" in asked.path:
            self.unknown -= 1
            return refuse(404, "No such batch") if self.unknown >= 0 else Said(self.made[0])
        return answer(asked)


def late_run(url: str, out: Path, **more: Any) -> None:
    """One request, which no slow machine splits into several batches."""
    asked = {"model": f"m@{url}", "judge": "offline", "batch": True, "batch_poll_s": 0.05}
    run(BENCH, out, **{**asked, "limit": 1, **more})


@pytest.mark.parametrize("status", [502, 408, 409, 425])
def test_a_batch_that_is_listed_late_is_not_created_twice(tmp_path: Path, status: int) -> None:
    with scripted(late := Late(looks=8, status=status)) as played:
        late_run(played.url, tmp_path / "r")
    assert len(late.made) == 1
    assert [row.remote for row in batches(tmp_path / "r")] == ["b"]


def test_a_list_that_never_ends_is_looked_at_no_faster(tmp_path: Path) -> None:
    late = Late(looks=7)
    late.endless = True
    with scripted(late) as played:
        late_run(played.url, tmp_path / "r")
        looks = sum("/batches?" in one.path for one in played.asked)
    assert (len(late.made), looks) == (1, 8)


def test_a_server_that_lists_no_batches_is_left_as_the_error_says(tmp_path: Path) -> None:
    late, out = Late(looks=99), tmp_path / "r"
    late.lists = False
    with scripted(late) as played:
        with pytest.raises(Stopped, match=r"http 404\).* or with --batch-anew 3600") as stopped:
            late_run(played.url, out)
        assert "without --batch" not in str(stopped.value)
        began = time.monotonic()
        late_run(played.url, out, batch=False, batch_anew_s=1.0)
        assert time.monotonic() - began < 30
    assert [row.state for row in batches(out)] == ["gone"]
    assert len(late.made) == 1


def test_a_key_that_is_refused_is_no_reason_to_pay_again(tmp_path: Path) -> None:
    late, out, wrong = Late(looks=1), tmp_path / "r", True

    def say(asked: Asked) -> Said:
        return refuse(401, "No.") if wrong and "/batches?" in asked.path else late(asked)

    with scripted(say) as played:
        for _ in range(2):
            with pytest.raises(Stopped, match=r"401.* with the key that it was created with$"):
                late_run(played.url, out, batch_anew_s=0.0)
        assert [row.state for row in batches(out)] == ["creating"]
        wrong = False
        late_run(played.url, out)
    assert len(late.made) == 1


@pytest.mark.parametrize("hidden", ["metadata", "input_file_id"])
def test_a_resumed_run_finds_a_batch_that_is_listed_late(tmp_path: Path, hidden: str) -> None:
    out, late = tmp_path / "r", Late(looks=8)
    late.lists, late.hidden = False, hidden
    with scripted(late) as played:
        with pytest.raises(VlsbenchError, match=r"may be paid for, cannot be looked for .* 404"):
            late_run(played.url, out)
        (before,) = batches(out)
        late.lists = True
        late_run(played.url, out)
    assert before.state == "creating"
    assert [(row.name, row.remote) for row in batches(out)] == [(before.name, "b")]
    assert len(late.made) == 1


def test_an_interrupt_while_a_batch_is_looked_for_says_so(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with scripted(late := Late(looks=10**6)) as played:
        typed = command(played.url, out, "offline")
        with subprocess.Popen(
            typed, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as process:
            until = time.monotonic() + 60
            while not late.made and time.monotonic() < until:
                time.sleep(0.02)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate()
    assert process.returncode == EXIT_INTERRUPTED
    assert re.search(r"\d batch(es)? not known to be created; they go on", " ".join(said.split()))


def test_a_batch_that_is_not_known_by_its_id_yet_is_not_created_twice(tmp_path: Path) -> None:
    with scripted(late := Late(unknown=3)) as played:
        late_run(played.url, tmp_path / "r")
    assert len(late.made) == 1


def test_a_batch_that_is_denied_for_a_moment_is_waited_for(tmp_path: Path) -> None:
    going, out = {"id": "b", "status": "in_progress", "metadata": {}}, tmp_path / "r"
    answers = [Said(going), refuse(401, "No."), Said(going), refuse(404, "No."), Said({"data": []})]

    def say(asked: Asked) -> Said:
        if asked.path.endswith("/files"):
            return Said({"id": "f"})
        if asked.path.endswith("/batches"):
            return Said({**going, "input_file_id": "f"})
        if "/batches" in asked.path and answers:
            return answers.pop(0)
        told = {**going, "status": "completed", "input_file_id": "f"}
        return Said({"data": [told]}) if "/batches?" in asked.path else answer(asked)

    with scripted(say) as played:
        with pytest.raises(VlsbenchError, match="401"):
            late_run(played.url, out)
        aged(out)  # and nothing new since
        late_run(played.url, out)
        assert [one.path for one in played.asked].count("/v1/batches") == 1
    assert [row.state for row in batches(out)] == ["merged"]


@pytest.mark.parametrize("batch", [True, False])
def test_what_may_be_paid_for_is_bought_again_only_where_the_user_says_so(
    tmp_path: Path, batch: bool
) -> None:
    out, late = tmp_path / "r", Late(looks=99)
    late.lists = False
    with scripted(late) as played:
        with pytest.raises(VlsbenchError, match=r"of 1 request, which may be paid for"):
            late_run(played.url, out)
        late.lists = True
        aged(out)
        with pytest.raises(
            VlsbenchError, match=r"is not listed .* with --batch-anew 3600 to ask and"
        ):
            late_run(played.url, out, batch=batch)
        (row,) = batches(out)
        assert (row.state, len(late.made)) == ("creating", 1)
        assert not any("messages" in one.body for one in played.asked)
        late.looks = 0
        late.made.clear()
        late_run(played.url, out, batch=batch, batch_anew_s=60.0)
    assert {one.name: one.state for one in batches(out)}[row.name] == "gone"
    assert len(late.made) == batch


@pytest.mark.parametrize("status", [429, 404])
def test_a_creation_that_is_refused_leaves_no_question(tmp_path: Path, status: int) -> None:
    late, out, refused = Late(), tmp_path / "r", [refuse(status, "No.")]

    def say(asked: Asked) -> Said:
        if asked.path.endswith("/batches") and refused:
            return refused.pop()
        return late(asked)

    with scripted(say) as played:
        with contextlib.nullcontext() if status == 429 else pytest.raises(VlsbenchError):
            late_run(played.url, out)
        late_run(played.url, out)
        asked = [one.path.rpartition("/")[2] for one in played.asked]
    assert asked.count("batches") == 2
    assert not any(path.startswith("batches?") for path in asked)
    assert len(late.made) == 1


def test_an_unfinished_run_shows_its_batches(tmp_path: Path) -> None:
    out = tmp_path / "r"
    with lab.running(batch_s=60) as url:
        with subprocess.Popen(
            command(url, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
        ) as process:
            wait_for_a_batch(out, process, requests=PAIRS)
            process.send_signal(signal.SIGKILL)
        show = [sys.executable, "-m", "vlsbench", "runs", "show", str(out)]
        said = subprocess.run(show, capture_output=True, text=True, check=True)
        told = subprocess.run([*show, "--json"], capture_output=True, text=True, check=True)
    assert "killed: 0 of 24 ended" in said.stdout
    assert "in_progress" in said.stdout
    found = json.loads(told.stdout)
    assert found["summary"] is None
    assert found["state"] == "killed"
    assert {row["state"] for row in found["batches"]} == {"in_progress"}
    assert sum(row["requests"] for row in found["batches"]) == PAIRS
