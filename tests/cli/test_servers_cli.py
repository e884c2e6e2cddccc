"""What the command says of servers, and what of their secrets it never writes."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest

from tests.cli.asking import environment as environment
from tests.cli.asking import evaluate, one_line
from tests.cli.typed import Command
from tests.scripted import Asked, Said, Scripted, answer, completion, refuse, scripted

SECRET = "hunter2-is-secret"


@pytest.fixture
def server() -> Iterator[Scripted]:
    with scripted() as played:
        yield played


def written(folder: Path, what: str) -> list[Path]:
    return [
        path for path in folder.rglob("*") if path.is_file() and what.encode() in path.read_bytes()
    ]


# Addresses.


@pytest.mark.parametrize(
    "address",
    [
        "http://me:{secret}@{host}/v1",
        "http://{secret}@{host}/v1",
        "http://me:{secret}/x@{host}/v1",
        "http://{host}/v1?api_key={secret}",
        "http://{host}/v1?api-version=1&sig={secret}",
        "http://{host}/v1?whatever=sk-{secret}",
        "ftp://me:{secret}@{host}/v1",
        "http://[me:{secret}@{host}/v1",
        "http://{host}:{secret}/v1",
    ],
)
@pytest.mark.parametrize("openai", [False, True])
def test_secrets_in_addresses_are_written_nowhere(
    vlsbench: Command,
    server: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    address: str,
    openai: bool,
) -> None:
    host = server.url.removeprefix("http://").removesuffix("/v1")
    url = address.format(secret=SECRET, host=host)
    if openai:
        monkeypatch.setenv("OPENAI_BASE_URL", url)
    done = evaluate(vlsbench, "openai/m" if openai else f"m@{url}")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "OPENAI_BASE_URL" in done.stderr if openai else "model m@" in done.stderr
    assert SECRET not in done.stdout + done.stderr
    assert written(tmp_path, SECRET) == []


@pytest.mark.parametrize(
    ("suffix", "path"),
    [
        ("/v1/", "/v1/chat/completions"),
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1?api-version=2024-10-21", "/v1/chat/completions?api-version=2024-10-21"),
        (
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
            "/openai/deployments/d/chat/completions?api-version=2024-10-21",
        ),
    ],
)
@pytest.mark.parametrize("openai", [False, True])
def test_addresses_are_read_as_people_write_them(
    vlsbench: Command,
    server: Scripted,
    monkeypatch: pytest.MonkeyPatch,
    suffix: str,
    path: str,
    openai: bool,
) -> None:
    url = server.url.removesuffix("/v1") + suffix
    monkeypatch.setenv("OPENAI_API_KEY" if openai else "VLSBENCH_API_KEY", f" {SECRET}\n")
    monkeypatch.setenv("OPENAI_BASE_URL", url)
    done = evaluate(vlsbench, "openai/m" if openai else f"m@{url}")
    assert done.returncode == 0, done.stderr
    assert {asked.path for asked in server.asked} == {path}
    assert {asked.headers["Authorization"] for asked in server.asked} == {f"Bearer {SECRET}"}
    assert all(("api-key" in asked.headers) is ("?" in suffix) for asked in server.asked)


def test_a_key_that_no_header_can_hold_is_one_line(
    vlsbench: Command, server: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_API_KEY", f"one\n{SECRET}")
    done = evaluate(vlsbench, f"m@{server.url}")
    assert done.returncode == 1
    assert "VLSBENCH_API_KEY holds a character that no key has" in done.stderr
    assert SECRET not in done.stderr


def test_short_keys_leave_messages_readable(
    vlsbench: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_API_KEY", "e")
    with scripted(lambda _: refuse(401, "the key is unheard of here")) as server:
        done = evaluate(vlsbench, f"m@{server.url}")
    assert "the key is unheard of here" in done.stderr


def test_a_key_in_a_servers_words_is_written_nowhere(
    vlsbench: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VLSBENCH_API_KEY", SECRET)
    filler = "x" * 288  # the cut at 300 characters must leave no half of it

    def say(asked: Asked) -> Said:
        return answer(asked) if "pair 0" in asked.text else refuse(400, f"{filler}{SECRET} no")

    with scripted(say) as server:
        done = evaluate(vlsbench, f"m@{server.url}")
    assert "hunter2" not in done.stdout + done.stderr
    assert written(tmp_path, "hunter2") == []


# What the line says.


@pytest.mark.parametrize(
    ("said", "remedy"),
    [
        (refuse(402, "Insufficient credits"), "top it up"),
        (refuse(429, "You exceeded your quota", "insufficient_quota"), "top it up"),
        (refuse(400, "Access denied", "Arrearage"), "top it up"),
        (refuse(404, "no model 'm'", "model_not_found"), "no such model or path"),
        (Said(b"", 301, {"Location": "http://elsewhere/v1"}), "give the final address"),
    ],
)
def test_what_ends_a_run_is_said_with_its_remedy(
    vlsbench: Command, said: Said, remedy: str
) -> None:
    with scripted(lambda _: said) as server:
        done = evaluate(vlsbench, f"m@{server.url}")
    assert done.returncode == 1
    assert remedy in one_line(done)


def test_an_address_without_v1_is_told(vlsbench: Command) -> None:
    with scripted(lambda _: Said({"detail": "Not Found"}, 404)) as server:
        done = evaluate(vlsbench, f"m@{server.url.removesuffix('/v1')}")
    assert "Not Found" in one_line(done)
    assert "most addresses end in /v1" in one_line(done)


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_a_dead_proxy_is_named(
    vlsbench: Command, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("http_proxy", proxy)
    monkeypatch.delenv("no_proxy", raising=False)
    done = evaluate(vlsbench, "m@http://nowhere.invalid/v1")
    assert done.returncode == 1
    assert "proxy 127.0.0.1" in one_line(done)
    assert "NO_PROXY" in one_line(done)


def test_nobody_there_is_said(vlsbench: Command) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        done = evaluate(vlsbench, f"m@http://127.0.0.1:{taken.getsockname()[1]}/v1")
    assert done.returncode == 1
    assert "is the server running?" in one_line(done)


@pytest.mark.parametrize(
    "after",
    ["NaN", "inf", "-5", "0", "soon", formatdate(0), formatdate(time.time() + 4e8), "9" * 400],
    ids=["nan", "inf", "negative", "zero", "word", "past", "far ahead", "long"],
)
def test_a_retry_after_that_says_nothing_is_passed_over(vlsbench: Command, after: str) -> None:
    def say(asked: Asked) -> Said:
        busy = sum(one.text == asked.text for one in busy_server.asked) == 1
        return Said({}, 429, {"Retry-After": after}) if busy else answer(asked)

    with scripted(say) as busy_server:
        began = time.monotonic()
        done = evaluate(vlsbench, f"m@{busy_server.url}", "--limit", "2")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - began < 20


# Odd answers.


def test_a_stream_that_nobody_asked_for_is_named(vlsbench: Command) -> None:
    chunk = {"choices": [{"delta": {"content": "I can't."}, "finish_reason": "stop"}]}
    body = b"data: " + json.dumps(chunk).encode() + b"\n\ndata: [DONE]\n\n"
    with scripted(lambda _: Said(body, 200, {"Content-Type": "text/event-stream"})) as server:
        done = evaluate(vlsbench, f"m@{server.url}", "--no-probe")
        assert len(server.asked) == 6  # none is paid for twice
    assert "the server streams its answers" in one_line(done) + done.stdout


@pytest.mark.parametrize(
    "count", [2**63, 2**70, 10**400, -1, 1.5, "12", True, [1], {"n": 1}, float("nan")]
)
def test_counts_that_are_none_are_left_out(
    vlsbench: Command, tmp_path: Path, count: object
) -> None:
    def say(asked: Asked) -> Said:
        said = completion()
        said["usage"] = {
            "prompt_tokens": count,
            "completion_tokens": count,
            "completion_tokens_details": {"reasoning_tokens": count},
            "total_tokens": count,
        }
        return Said(said)

    with scripted(say) as server:
        done = evaluate(vlsbench, f"m@{server.url}", "--price", "1,1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r" / "pairs.parquet").is_file()


def test_a_server_that_tells_no_usage_has_unknown_tokens(vlsbench: Command) -> None:
    with scripted(lambda asked: Said({**completion(), "usage": None})) as server:
        done = evaluate(vlsbench, f"m@{server.url}", "--price", "1,1")
    assert "tokens unknown, cost unknown" in done.stdout
    assert " tokens in" not in done.stdout


def test_a_budget_of_less_than_a_cent_is_said_as_it_is(vlsbench: Command) -> None:
    with scripted(lambda asked: Said(completion())) as server:
        done = evaluate(vlsbench, f"m@{server.url}", "--price", "1,1", "--max-cost", "0.001")
    assert "the budget of $0.001 leaves no room" in one_line(done)


def test_thoughts_that_stand_in_the_total_alone_are_paid(vlsbench: Command) -> None:
    def say(asked: Asked) -> Said:
        said = completion(usage=(10, 5))
        said["usage"]["total_tokens"] = 115
        return Said(said)

    with scripted(say) as server:
        done = evaluate(vlsbench, f"m@{server.url}", "--price", "0,1000000", "--json")
    assert json.loads(done.stdout)["spend"][0]["cost"] == pytest.approx(6 * 105)
