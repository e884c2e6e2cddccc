"""Answers of a batch that do not arrive as they should: none is paid twice unasked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from tests.evaluation.batching import PAIRS, aged, batched, batches, costs
from tests.evaluation.runs import labels
from tests.scripted import VERDICT, Asked, Said, refuse, scripted
from vlsbench import lab, models, registry
from vlsbench.engine import Ledger
from vlsbench.errors import EXIT_STOPPED, Stopped

Spoil = Callable[[bytes], Said]
FAST: dict[str, Any] = {"judge": "offline", "no_probe": True, "batch_poll_s": 0.3}
SPOILT: dict[str, Spoil] = {
    "html": lambda _: Said(b"<!doctype html><html><body>Sign in</body></html>"),
    "empty": lambda _: Said(b""),
    "half": lambda data: Said(b"".join(data.splitlines(keepends=True)[: PAIRS // 2])),
    "cut": lambda data: Said(data[: len(data) // 2]),
    "others": lambda data: Said(data.replace(b'"custom_id": "', b'"custom_id": "00')),
}


class Between:
    """A gateway before the lab's server, which spoils so many downloads of answers."""

    def __init__(self, url: str, spoil: Spoil, times: int) -> None:
        self.url = url.removesuffix("/v1")
        self.spoil = spoil
        self.times = times

    def __call__(self, asked: Asked) -> Said:
        kind = {key: value for key, value in asked.headers.items() if key == "Content-Type"}
        try:
            with urlopen(Request(self.url + asked.path, asked.raw or None, kind)) as answer:
                data, status = answer.read(), answer.status
        except HTTPError as error:
            data, status = error.read(), error.code
        if asked.path.endswith("/content") and self.times > 0:
            self.times -= 1
            return self.spoil(data)
        return Said(data, status)


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_answers_that_arrive_in_part_are_downloaded_again(tmp_path: Path, spoil: Spoil) -> None:
    with lab.running(batch_s=0.05) as url, scripted(Between(url, spoil, 3)) as played:
        done = batched(played.url, tmp_path / "r", **FAST)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"], counts["requests"]) == (PAIRS, 0, 0)
    assert len(labels(done)) == PAIRS


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_answers_that_never_arrive_stop_the_run_and_are_there_later(
    tmp_path: Path, spoil: Spoil, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vlsbench.engine._batch_rows.THERE_S", 1.0)
    out = tmp_path / "r"
    with lab.running(batch_s=0.05) as url, scripted(between := Between(url, spoil, 999)) as played:
        said = r"may be paid for, has answers that are not there: .* with --batch-anew"
        with pytest.raises(Stopped, match=said) as stopped:
            batched(played.url, out, **FAST)
        assert stopped.value.exit_code == EXIT_STOPPED
        assert {row.state for row in batches(out)} == {"completed"}
        between.times = 0
        done = batched(played.url, out, **FAST)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"], counts["requests"]) == (PAIRS, 0, 0)
    assert len(labels(done)) == PAIRS


def test_where_the_user_says_so_only_what_is_missing_is_paid_again(tmp_path: Path) -> None:
    with lab.running(batch_s=0.05) as url, scripted(Between(url, SPOILT["half"], 4)) as played:
        done = batched(played.url, tmp_path / "r", **FAST, batch_requests=PAIRS, batch_anew_s=0.0)
        counts = lab.stats(url)
    assert 0 < counts["paid_again"] <= PAIRS // 2
    assert len(labels(done)) == PAIRS
    assert "gone" in {row.state for row in batches(tmp_path / "r")}


def test_an_answer_that_cannot_be_read_is_booked_and_not_bought_again(tmp_path: Path) -> None:
    def spoil(data: bytes) -> Said:
        lines = [json.loads(line) for line in data.splitlines()]
        del lines[0]["response"]["body"]["choices"]
        return Said("\n".join(map(json.dumps, lines)).encode())

    with lab.running(batch_s=0.05) as url, scripted(Between(url, spoil, 1)) as played:
        done = batched(played.url, tmp_path / "r", **FAST, batch_requests=PAIRS)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"], counts["requests"]) == (PAIRS, 0, 0)
    assert list(labels(done).values()).count("unscored") == 1
    with Ledger.read(done.folder) as ledger:
        (lost,) = (call for call in ledger.calls() if call.reply.finish == "rejected")
    assert "cannot be read" in lost.reply.detail
    assert lost.cost
    assert costs(done.folder)[False] == 0.0


def test_a_download_that_is_refused_is_no_reason_to_pay_again(tmp_path: Path) -> None:
    out = tmp_path / "r"
    denied = Between("", lambda _: refuse(403, "No."), 999)
    with lab.running(batch_s=0.05) as url, scripted(denied) as played:
        denied.url = url.removesuffix("/v1")
        for _ in range(2):
            with pytest.raises(Stopped, match="403"):
                batched(played.url, out, **FAST, batch_anew_s=0.0)
        denied.times = 0
        assert len(labels(batched(played.url, out, **FAST))) == PAIRS
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"], counts["requests"]) == (PAIRS, 0, 0)


@registry.model("failing")
class Failing:
    """A model in this process that gives no answer as long as it is down."""

    spec = endpoint = "failing"
    identity: ClassVar = {"name": "failing"}
    down = True

    def __init__(self, spec: str) -> None:
        pass

    async def ask(self, request: models.Request) -> models.Reply:
        if self.down:
            raise models.CallFailed("down", 1, 0)
        return models.Reply(VERDICT)

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(("where", "state"), [("/files", "prepared"), ("/batches", "not sent")])
def test_a_batch_that_is_not_taken_while_the_run_stops_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, state: str
) -> None:
    out, busy = tmp_path / "r", list[Asked]()
    asked = {**FAST, "judge": "failing", "batch_requests": PAIRS // 2, "batch_poll_s": 0.2}
    with lab.running(batch_s=2.0) as url:
        through = Between(url, lambda data: Said(data), 0)
        seen = 0

        def say(one: Asked) -> Said:
            nonlocal seen
            seen += one.path.endswith(where)
            if not (Failing.down and one.path.endswith(where) and seen > 1):
                return through(one)
            busy.append(one)
            return Said({"error": {"message": "Busy."}}, 429, {"Retry-After": "60"})

        with scripted(say) as played:
            began = time.monotonic()
            done = batched(played.url, out, **asked)
            assert "too many calls fail" in (done.stopped or "")
            assert time.monotonic() - began < 50
            assert len(busy) == 1
            assert {row.state for row in batches(out)} == {"merged", state}
            monkeypatch.setattr(Failing, "down", False)
            done = batched(played.url, out, **asked)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"], counts["requests"]) == (PAIRS, 0, 0)
    assert len(labels(done)) == PAIRS


@pytest.mark.parametrize("status", [500, 404])
def test_the_time_until_answers_are_paid_again_begins_when_the_server_is_heard(
    tmp_path: Path, status: int
) -> None:
    out = tmp_path / "r"
    between = Between("", lambda _: refuse(403, "No."), 999)
    with lab.running(batch_s=0.05) as url, scripted(between) as played:
        between.url = url.removesuffix("/v1")
        with pytest.raises(Stopped):
            batched(played.url, out, **FAST)
        aged(out)  # as after a kill between the batch's end and the download
        between.spoil, between.times = (lambda _: refuse(status, "No.")), 3
        done = batched(played.url, out, **FAST, batch_anew_s=3600.0, retries=0)
        counts = lab.stats(url)
    assert (counts["paid"], counts["paid_again"], counts["requests"]) == (PAIRS, 0, 0)
    assert len(labels(done)) == PAIRS


def test_a_run_beside_one_that_has_batches_out_is_told_so(tmp_path: Path) -> None:
    with (
        lab.running(batch_s=0.05) as url,
        scripted(Between(url, lambda _: refuse(403, "No."), 1)) as played,
    ):
        with pytest.raises(Stopped):
            batched(played.url, tmp_path / "a", **FAST, batch_requests=PAIRS)
        asked = {**FAST, "judge": f"judge@{url}"}
        done = batched(played.url, tmp_path / "b", **asked)
    (said,) = (note for note in done.summary.notes if "merge it first" in note)
    assert "a has 1 batch at the provider: 24 of 24 requests answered" in said
