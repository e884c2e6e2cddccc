"""Requests and tokens per minute: given or told by the server, shared by processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.evaluation.runs import calls_on_record, run
from tests.scripted import Asked, Said, answer, completion, refuse, scripted
from vlsbench import lab
from vlsbench.errors import EXIT_INTERRUPTED
from vlsbench.files import cache_folder


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shared between processes lies in the user's cache."""
    monkeypatch.setenv("VLSBENCH_HOME", str(tmp_path / "home"))


def took(began: float) -> float:
    return time.monotonic() - began


@pytest.mark.long
def test_processes_share_a_given_rate(tmp_path: Path) -> None:
    pairs, per_second = 20, 20
    arrived: list[float] = []

    def say(asked: Asked) -> Said:
        arrived.append(time.monotonic())
        return answer(asked)

    with scripted(say) as played:
        all_three = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "vlsbench", "eval", f"lab/leaky?n={pairs}"),
                    *("--model", f"m@{played.url}", "--judge", "offline", "--no-probe"),
                    *("--out", str(tmp_path / name / "r"), "--rpm", str(60 * per_second)),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in ("a", "b", "c")
        ]
        assert [process.wait() for process in all_three] == [0, 0, 0]
    assert len(arrived) == 3 * pairs
    # A second's worth may go at once and the rest takes two; each alone would send all of its own
    # at once. On a busy machine the first arrive late, hence half of it.
    assert arrived[-1] - arrived[0] >= (3 * pairs - per_second) / per_second / 2


class Limited:
    """A server that answers so many requests a minute, all at once or later, and says so."""

    def __init__(self, rpm: float) -> None:
        self.rpm = self.left = rpm
        self.at = time.monotonic()
        self.refused = 0

    def __call__(self, asked: Asked) -> Said:
        now = time.monotonic()
        self.left = min(self.rpm, self.left + (now - self.at) * self.rpm / 60)
        self.at = now
        if self.left < 1:
            self.refused += 1
            return refuse(429, "Rate limit reached.", "rate_limit_exceeded")
        self.left -= 1
        told = {"limit": f"{self.rpm:g}", "remaining": str(int(self.left))}
        said = answer(asked)
        headers = {f"x-ratelimit-{name}-requests": value for name, value in told.items()}
        return Said(said.body, said.status, headers)


def ask_limited(server: Limited, out: Path, pairs: int, concurrency: int = 4) -> None:
    with scripted(server) as played:
        run(
            f"lab/leaky?n={pairs}",
            out,
            model=f"m@{played.url}",
            judge="offline",
            concurrency=concurrency,
        )


@pytest.mark.long
def test_what_the_server_tells_of_its_rate_is_kept_to(tmp_path: Path) -> None:
    server, began = Limited(120), time.monotonic()
    ask_limited(server, tmp_path / "r", 126)
    assert server.refused == 0  # never told to wait
    assert took(began) >= 2  # 120 at once, then 2 a second


@pytest.mark.long
def test_two_processes_share_what_the_server_tells(tmp_path: Path) -> None:
    with scripted(server := Limited(120)) as played:
        both = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=70", "--no-probe"),
                    *("--model", f"m@{played.url}", "--judge", "offline", "-c", "4"),
                    *("--gallery", "0", "--out", str(tmp_path / name / "r")),
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            for name in ("a", "b")
        ]
        assert [process.wait() for process in both] == [0, 0]
        assert (server.refused, len(played.asked)) == (0, 140)


@pytest.mark.long
def test_a_limit_that_shrinks_is_kept_to(tmp_path: Path) -> None:
    class Shrinking(Limited):
        def __call__(self, asked: Asked) -> Said:
            if self.rpm == 6000 and self.left < 5990:
                self.rpm, self.left = 120, 4
            return super().__call__(asked)

    server = Shrinking(6000)
    ask_limited(server, tmp_path / "r", 30)
    assert server.refused <= 4  # those in flight when it shrank


BROKEN = (b"no numbers", b"null", b"[]", b'{"requests": null}', b'{"requests": "x"}')


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_file_of_rates_stops_nobody_and_is_replaced(
    tmp_path: Path, content: bytes
) -> None:
    with lab.running() as url:
        asked = {"model": f"careful@{url}", "judge": "offline", "rpm": 240}
        run("lab/leaky?n=1", tmp_path / "a" / "r", **asked)
        (file,) = (cache_folder() / "rates").glob("*.json")
        file.write_bytes(content)
        began = time.monotonic()
        run("lab/leaky?n=8", tmp_path / "b" / "r", **asked)
        assert took(began) >= 0.9  # a pace is kept all the same
    assert json.loads(file.read_bytes())["requests"] > time.time() - 60


@pytest.mark.parametrize("fault", ["no home", "rates is a file", "the lock is a folder"])
@pytest.mark.parametrize("rpm", [None, 600.0])
def test_a_cache_that_cannot_be_written_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, rpm: float | None
) -> None:
    server = Limited(6000)
    with scripted(server) as played:
        asked = {"model": f"m@{played.url}", "judge": "offline", "rpm": rpm}
        if fault == "no home":
            monkeypatch.setenv("VLSBENCH_HOME", "/proc/nope")
        elif fault == "rates is a file":
            cache_folder().mkdir(parents=True, exist_ok=True)
            (cache_folder() / "rates").touch()
        else:
            run("lab/leaky?n=1", tmp_path / "a" / "r", **asked)
            for lock in (cache_folder() / "rates").glob("*.lock"):
                lock.unlink()
            (file,) = (cache_folder() / "rates").glob("*.json")
            Path(f"{file}.lock").mkdir()
        began = time.monotonic()
        run("lab/leaky?n=14", tmp_path / "b" / "r", **asked)
        assert calls_on_record(tmp_path / "b" / "r") == 14
        assert rpm is None or took(began) >= 0.3  # this process keeps its pace


def test_what_a_wrong_clock_left_holds_nobody_back(tmp_path: Path) -> None:
    with lab.running() as url:
        asked = {"model": f"careful@{url}", "judge": "offline", "rpm": 600}
        run("lab/leaky?n=3", tmp_path / "a" / "r", **asked)
        (file,) = (cache_folder() / "rates").glob("*.json")
        file.write_text(json.dumps({"requests": time.time() + 86400}))
        began = time.monotonic()
        run("lab/leaky?n=3", tmp_path / "b" / "r", **asked)
        assert took(began) < 20


def test_requests_that_may_take_over_ten_minutes_of_a_rate_go_one_by_one(tmp_path: Path) -> None:
    with lab.running(latency=0.3) as url:
        run(
            "lab/leaky?n=4", tmp_path / "r", model=f"lab/helpful@{url}", judge="offline",
            tpm=6_000, concurrency=4, max_tokens=65_536,
        )  # fmt: skip
        assert lab.stats(url)["max_in_flight"] == 1


def test_one_odd_count_of_tokens_holds_nobody_back(tmp_path: Path) -> None:
    with scripted(lambda _: Said(completion(usage=(5_000_000, 5)))) as played:
        asked = {"model": f"m@{played.url}", "judge": "offline", "tpm": 100_000}
        began = time.monotonic()
        for name in "ab":
            run("lab/leaky?n=6", tmp_path / name / "r", **asked)
        assert took(began) < 20


def test_tokens_are_counted_by_what_a_reply_took_not_by_its_limit(tmp_path: Path) -> None:
    tokens_a_second, pairs = 1000, 25
    with lab.running() as url:
        began = time.monotonic()
        done = run(
            f"lab/leaky?n={pairs}",
            tmp_path / "r",
            model=f"careful@{url}",
            judge="offline",
            concurrency=1,
            tpm=60 * tokens_a_second,
        )
        seconds = took(began)
    (spent,) = done.summary.spend
    used = (spent.input_tokens or 0) + (spent.output_tokens or 0)
    # A second's worth may go at once.
    assert seconds >= (used / pairs) * (pairs - 1) / tokens_a_second - 1
    # By the limit of 2,048 tokens a reply it would take twice as many seconds as there are pairs.
    assert seconds < pairs


def test_a_budget_that_is_spent_lets_what_waits_for_its_turn_be_asked(tmp_path: Path) -> None:
    with scripted(answer) as played:
        run(
            "lab/leaky?n=20", tmp_path / "r",
            model=f"m@{played.url}", judge="offline", rpm=300, max_calls=9, concurrency=8,
        )  # fmt: skip
    assert len(played.asked) == calls_on_record(tmp_path / "r") == 9


@pytest.mark.long
@pytest.mark.parametrize(
    ("model", "number", "pace"),
    [
        ("m@{url}", signal.SIGINT, ("--rpm", "60")),
        ("m@{url}", signal.SIGTERM, ("--tpm", "900")),
        ("inspect/openai-api/there/m", signal.SIGINT, ("--rpm", "60")),
    ],
)
def test_what_waits_for_its_turn_is_not_sent_after_an_interrupt(
    tmp_path: Path, model: str, number: int, pace: tuple[str, str]
) -> None:
    pairs, out = 40, tmp_path / "r"
    with scripted(answer) as played:
        command = [
            *(sys.executable, "-m", "vlsbench", "eval", f"lab/leaky?n={pairs}", "--no-probe"),
            *("--model", model.format(url=played.url), "--judge", "offline", "--gallery", "0"),
            *("--out", str(out)),
        ]
        env = {**os.environ, "THERE_BASE_URL": played.url, "THERE_API_KEY": "k"}
        with subprocess.Popen([*command, *pace], env=env, stderr=subprocess.DEVNULL) as process:
            until = time.monotonic() + 60
            while calls_on_record(out) < 2 and time.monotonic() < until:
                time.sleep(0.05)
            before, began = len(played.asked), time.monotonic()
            process.send_signal(number)
            assert process.wait(timeout=60) == EXIT_INTERRUPTED
        assert took(began) < 10  # all would take 40 s, and those that waited 30
        assert before <= len(played.asked) <= before + 1
        assert calls_on_record(out) == len(played.asked)
        subprocess.run(command, env=env, check=True, capture_output=True)
        assert calls_on_record(out) == len(played.asked) == pairs


@pytest.mark.long
@pytest.mark.parametrize("says", [Said(b"busy", 503, {"Retry-After": "90"}), Said(b"down", 500)])
def test_nobody_waits_out_a_pause_after_an_interrupt(tmp_path: Path, says: Said) -> None:
    with scripted(lambda asked: says if len(played.asked) > 2 else answer(asked)) as played:
        command = [
            *(sys.executable, "-m", "vlsbench", "eval", "lab/leaky?n=8", "--no-probe"),
            *("--model", f"m@{played.url}", "--judge", "offline", "--gallery", "0"),
            *("--concurrency", "2", "--retries", "30", "--out", str(tmp_path / "r")),
        ]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            while len(played.asked) < 5 - 2 * (says.status == 503):
                time.sleep(0.05)
            time.sleep(0.5)
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=60) == EXIT_INTERRUPTED
    assert calls_on_record(tmp_path / "r") == 2


@pytest.mark.long
def test_a_pace_of_tokens_is_that_of_what_answers_take(tmp_path: Path) -> None:
    a_second, pairs = 400, 16
    arrived: list[tuple[float, int]] = []

    def say(asked: Asked) -> Said:
        tokens = (60, 180)[len(arrived) % 2]
        arrived.append((time.monotonic(), tokens))
        time.sleep(0.1)
        return Said(completion(usage=(20, tokens - 20)))

    with scripted(say) as played:
        run(
            f"lab/leaky?n={pairs}", tmp_path / "r",
            model=f"m@{played.url}", judge="offline", tpm=60 * a_second, concurrency=8,
        )  # fmt: skip
    moments, taken = zip(*arrived, strict=True)
    seconds = moments[-1] - moments[0]
    # By the limit of 2,048 tokens a reply, each would wait five seconds for the one before it.
    assert seconds < pairs * 120 / a_second * 2
    assert sum(taken) <= a_second * (seconds + 1) + max(taken)
