"""The HTTP client against a real server that answers, or fails, as it is told."""

import asyncio
import base64
import io
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from vlsbench.config import Connection
from vlsbench.errors import VlsbenchError
from vlsbench.models import (
    Backoff,
    CallFailed,
    Connections,
    FatalCall,
    Finish,
    HttpChat,
    Params,
    Request,
    Schema,
    Server,
    call_key,
    parse_http_spec,
)
from vlsbench.pairs import ImageData, decode

PNG = b"\x89PNG\r\n\x1a\n" + b"a picture" + b"IEND" + b"\xaeB`\x82"
FAST = Connection(concurrency=8, timeout_s=1.0, retries=3)
SOON = Backoff(first_s=0.01, most_s=0.02, overload_s=3.0)
KEY = "sk-secret-of-the-test"


def answer(content: Any = "hello", finish: str = "stop", **message: Any) -> web.Response:
    return web.json_response(
        {
            "model": "served-name",
            "choices": [{"message": {"content": content, **message}, "finish_reason": finish}],
            "usage": {
                "prompt_tokens": 11,
                "completion_tokens": 7,
                "completion_tokens_details": {"reasoning_tokens": 3},
            },
        }
    )


Step = web.StreamResponse | Callable[[web.Request], Any]


class Script:
    """A server that gives its answers in turn, the last one for ever."""

    def __init__(self) -> None:
        self.steps: Sequence[Step] = [lambda _: answer()]
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.times: list[float] = []
        self.url = ""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.json())
        self.headers.append(request.headers)
        self.times.append(time.monotonic())
        step = self.steps[min(len(self.bodies), len(self.steps)) - 1]
        if callable(step):
            made = step(request)
            answer: web.StreamResponse = await made if asyncio.iscoroutine(made) else made
            return answer
        return step


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    played = Script()
    app = web.Application(client_max_size=2**26)
    app.router.add_post("/v1/chat/completions", played.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    played.url = f"http://{host}:{port}/v1"
    yield played
    await runner.cleanup()


@pytest.fixture
async def model(script: Script) -> AsyncIterator[HttpChat]:
    chat = HttpChat("m@there", "m", Server(script.url, KEY, FAST, SOON))
    yield chat
    await chat.close()


def error(status: int, message: str = "no", code: str = "", **headers: str) -> Callable[..., Any]:
    def make(_: web.Request) -> web.Response:
        body = {"error": {"message": message, "code": code}}
        return web.json_response(body, status=status, headers=headers)

    return make


async def reset(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def hang(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(2)
    return web.Response()


async def test_the_request_holds_images_in_order_before_the_text(
    script: Script, model: HttpChat
) -> None:
    images = (ImageData.of(PNG, "a"), ImageData.of(PNG + b"", "b"))
    tricky = 'say "url": "spliced-image" \\ \ud800 \u2028 {{'
    request = Request(
        tricky, images, "be brief", Params(99, 0.5, 3), Schema("s", {"type": "object"})
    )
    reply = await model.ask(request)
    sent = script.bodies[0]
    assert sent["model"] == "m"
    assert sent["max_tokens"] == 99
    assert sent["temperature"] == 0.5
    assert sent["seed"] == 3
    assert sent["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert sent["messages"][0] == {"role": "system", "content": "be brief"}
    first, second, text = sent["messages"][1]["content"]
    for part in (first, second):
        head, _, data = part["image_url"]["url"].partition(",")
        assert head == "data:image/png;base64"
        assert base64.b64decode(data) == PNG
    assert text == {"type": "text", "text": tricky}
    assert script.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert (reply.text, reply.served_by, reply.finish) == ("hello", "served-name", Finish.STOP)
    assert (reply.usage.input_tokens, reply.usage.output_tokens) == (11, 7)
    assert reply.usage.reasoning_tokens == 3
    assert reply.latency_s > 0


async def test_what_servers_would_show_otherwise_is_sent_drawn_anew(
    script: Script, model: HttpChat
) -> None:
    out = io.BytesIO()
    Image.new("RGB", (4, 2), "red").save(out, "BMP")
    await model.ask(Request("q", (ImageData.of(out.getvalue(), "a.bmp"),)))
    head, _, data = script.bodies[0]["messages"][0]["content"][0]["image_url"]["url"].partition(",")
    assert head == "data:image/png;base64"
    assert decode(base64.b64decode(data)).getpixel((0, 0)) == (255, 0, 0)


async def test_a_seed_of_any_size_is_sent(script: Script, model: HttpChat) -> None:
    await model.ask(Request("q", params=Params(seed=2**70)))
    assert script.bodies[0]["seed"] == 2**70


async def test_an_image_that_cannot_be_sent_is_its_own_requests_fault(
    script: Script, model: HttpChat
) -> None:
    broken = ImageData(b"BM" + b"no more", "image/bmp", ref="broken.bmp")
    reply = await model.ask(Request("q", (broken,)))
    assert (reply.finish, reply.text, script.bodies) == (Finish.REJECTED, "", [])
    assert "broken.bmp" in reply.detail


async def test_connections_are_reused(script: Script, model: HttpChat) -> None:
    peers = set()

    def note(request: web.Request) -> web.Response:
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return answer()

    script.steps = [note]
    for _ in range(5):
        await model.ask(Request("q"))
    assert len(peers) == 1


@pytest.mark.parametrize(
    "fault",
    [
        error(500),
        error(502),
        error(408),
        reset,
        lambda _: web.Response(text="<html>oops</html>", content_type="text/html"),
        lambda _: web.Response(text='{"choices": [{"mess', content_type="application/json"),
        lambda _: web.json_response({"choices": []}),
        lambda _: web.json_response([1]),
        lambda _: web.Response(text="[" * 100_000, content_type="application/json"),
    ],
)
async def test_passing_faults_are_asked_again(script: Script, model: HttpChat, fault: Step) -> None:
    script.steps = [fault, fault, lambda _: answer("at last")]
    reply = await model.ask(Request("q"))
    assert reply.text == "at last"
    assert reply.attempts == 3


async def test_a_hanging_server_times_out(script: Script) -> None:
    patience = replace(FAST, timeout_s=0.2, retries=1)
    chat = HttpChat("m@there", "m", Server(script.url, None, patience, SOON))
    script.steps = [hang]
    with pytest.raises(CallFailed, match="timeout") as failed:
        await chat.ask(Request("q"))
    assert failed.value.attempts == 2
    await chat.close()


async def test_faults_without_end_are_no_answer(script: Script, model: HttpChat) -> None:
    script.steps = [error(500)]
    with pytest.raises(CallFailed, match="http 500") as failed:
        await model.ask(Request("q"))
    assert failed.value.attempts == FAST.retries + 1 == len(script.bodies)


async def test_overload_does_not_count_against_the_question(
    script: Script, model: HttpChat
) -> None:
    script.steps = [error(429)] * 8 + [lambda _: answer()]
    assert (await model.ask(Request("q"))).attempts == 9


@pytest.mark.parametrize("status", [429, 503])
async def test_what_a_busy_server_says_is_kept(script: Script, status: int) -> None:
    busy = replace(SOON, overload_s=0.0)
    chat = HttpChat("m@there", "m", Server(script.url, KEY, FAST, busy))
    script.steps = [error(status, f"slow down, {KEY} is of tier 1")]
    with pytest.raises(CallFailed, match=rf"http {status}: slow down, \*\*\* is of tier 1"):
        await chat.ask(Request("q"))
    await chat.close()


@pytest.mark.parametrize("form", ["seconds", "date"])
async def test_retry_after_is_honoured(script: Script, model: HttpChat, form: str) -> None:
    value = "0.6" if form == "seconds" else formatdate(time.time() + 2, usegmt=True)
    script.steps = [error(429, **{"Retry-After": value}), lambda _: answer()]
    await model.ask(Request("q"))
    assert script.times[1] - script.times[0] >= 0.6


async def test_an_answer_without_end_is_none(script: Script, model: HttpChat) -> None:
    sent = 0

    async def endless(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        stream = web.StreamResponse()
        await stream.prepare(request)
        while sent < 2**10:
            await stream.write(b" " * 2**20)
            sent += 1
        return stream

    script.steps = [endless]
    patient = HttpChat("m", "m", Server(script.url, None, Connection(retries=0)))
    with pytest.raises(CallFailed, match="malformed answer"):
        await patient.ask(Request("q"))
    await patient.close()
    assert 32 <= sent < 64


@pytest.mark.parametrize("status", [401, 403, 404, 301])
async def test_what_cannot_work_ends_at_once(script: Script, model: HttpChat, status: int) -> None:
    script.steps = [error(status, f"bad key {KEY}", **{"Location": "http://elsewhere/"})]
    with pytest.raises(FatalCall) as fatal:
        await model.ask(Request("q"))
    assert len(script.bodies) == 1
    assert KEY not in str(fatal.value)


async def test_the_proxy_of_the_environment_is_used_and_no_password_of_netrc(
    script: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine nowhere.invalid login me password of-another-program\n")
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("http_proxy", script.url.removesuffix("/v1"))
    patience = replace(FAST, retries=0)
    chat = HttpChat("m@there", "m", Server("http://nowhere.invalid/v1", KEY, patience, SOON))
    assert (await chat.ask(Request("q"))).text == "hello"
    assert script.headers[0]["Host"] == "nowhere.invalid"
    assert script.headers[0]["Authorization"] == f"Bearer {KEY}"
    await chat.close()
    monkeypatch.setenv("no_proxy", "nowhere.invalid")
    chat = HttpChat("m@there", "m", Server("http://nowhere.invalid/v1", KEY, patience, SOON))
    with pytest.raises(FatalCall, match="nothing answers"):
        await chat.ask(Request("q"))
    assert len(script.bodies) == 1
    await chat.close()


async def test_an_empty_account_ends_at_once(script: Script, model: HttpChat) -> None:
    script.steps = [error(429, "quota", "insufficient_quota")]
    with pytest.raises(FatalCall, match="out of quota"):
        await model.ask(Request("q"))


async def test_nobody_there_is_said_at_once() -> None:
    chat = HttpChat("m@there", "m", Server("http://127.0.0.1:9/v1", None, FAST, SOON))
    with pytest.raises(FatalCall, match="is the server running"):
        await chat.ask(Request("q"))
    await chat.close()


async def test_a_server_that_dies_later_is_a_passing_fault(script: Script, model: HttpChat) -> None:
    script.steps = [lambda _: answer(), reset]
    await model.ask(Request("q"))
    with pytest.raises(CallFailed, match="connection"):
        await model.ask(Request("q"))


@pytest.mark.parametrize(
    ("step", "finish", "text"),
    [
        (lambda _: answer("partly", "length"), Finish.LENGTH, "partly"),
        (lambda _: answer("", "content_filter"), Finish.FILTERED, ""),
        (lambda _: answer(None), Finish.STOP, ""),
        (lambda _: answer(None, refusal="I won't."), Finish.REFUSAL, "I won't."),
        (error(400, "filtered", "content_filter"), Finish.FILTERED, ""),
        (error(400, "image too large"), Finish.REJECTED, ""),
        (error(413, "too large"), Finish.REJECTED, ""),
        (
            lambda _: answer([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            Finish.STOP,
            "ab",
        ),
    ],
)
async def test_answers_that_are_no_ordinary_replies_are_kept_apart(
    script: Script, model: HttpChat, step: Step, finish: Finish, text: str
) -> None:
    script.steps = [step]
    reply = await model.ask(Request("q"))
    assert (reply.finish, reply.text) == (finish, text)


def test_specs_and_where_their_keys_come_from() -> None:
    environ = {"OPENAI_API_KEY": "one", "VLSBENCH_API_KEY": "two"}
    named = parse_http_spec("openai/gpt-4o", environ)
    local = parse_http_spec("org/llava@http://localhost:8000/v1", environ)
    assert named is not None
    assert local is not None
    assert (named.name, named.api_key) == ("gpt-4o", "one")
    assert (local.name, local.url, local.api_key) == (
        "org/llava",
        "http://localhost:8000/v1",
        "two",
    )
    assert parse_http_spec("lab/blind", environ) is None
    with pytest.raises(VlsbenchError, match="OPENAI_API_KEY"):
        parse_http_spec("openai/gpt-4o", {})
    with pytest.raises(VlsbenchError, match="no key or password"):
        parse_http_spec("m@http://user:pass@host/v1", environ)
    with pytest.raises(VlsbenchError, match="expected NAME@"):
        parse_http_spec("m@ftp://host/v1", environ)
    with pytest.raises(VlsbenchError, match="unknown model"):
        Connections().open("gpt-4o")


def test_a_model_at_an_address_has_a_name() -> None:
    with pytest.raises(VlsbenchError, match=r"^model @http://h/v1: expected NAME@http"):
        parse_http_spec("@http://h/v1", {})


def test_models_on_one_server_share_its_limit() -> None:
    connections = Connections()
    one, other = connections.open("a@http://h:1/v1"), connections.open("b@http://h:1/v1/")
    assert one.endpoint == other.endpoint
    assert isinstance(one, HttpChat)
    assert isinstance(other, HttpChat)
    assert one.server is other.server


@given(st.text(), st.text(), st.integers(0, 5))
def test_equal_keys_mean_equal_questions(text: str, other: str, sample: int) -> None:
    identity = {"name": "m"}
    one = call_key(identity, Request(text, sample=sample))
    assert one == call_key(identity, Request(text, sample=sample))
    assert (one == call_key(identity, Request(other, sample=sample))) is (text == other)
    assert one != call_key(identity, Request(text, sample=sample + 1))
    assert one != call_key(identity, Request(text, (ImageData.of(PNG, "a"),), sample=sample))
    assert one != call_key({"name": "n"}, Request(text, sample=sample))
