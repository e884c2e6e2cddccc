"""Thoughts apart from answers, and why a model stopped: the same on every road."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlsbench.config import Connection
from vlsbench.models import (
    FINISHES,
    Connections,
    Finish,
    HfChat,
    LocalModel,
    Reply,
    Request,
    read_finish,
    split_thoughts,
)

MARKS = {
    "DeepSeek-R1": ("<think>", "</think>"),
    "prompted": ("<thinking>", "</thinking>"),
    "EXAONE": ("<thought>", "</thought>"),
    "Seed-OSS": ("<seed:think>", "</seed:think>"),
    "Magistral": ("[THINK]", "[/THINK]"),
    "Kimi-VL": ("◁think▷", "◁/think▷"),
    "Sky-T1": ("<|begin_of_thought|>", "<|end_of_thought|>"),
    "Command A": ("<|START_THINKING|>", "<|END_THINKING|>"),
    "Gemma 4": ("<|channel>thought\n", "<channel|>"),
    "gpt-oss": ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    "LLaVA-CoT": ("<SUMMARY>", "<CONCLUSION>"),
    "Keye-VL": ("<analysis>", "</analysis>"),
    "prompted for reasoning": ("<reasoning>", "</reasoning>"),
    "MedGemma": ("<unused94>thought\n", "<unused95>"),
}
marks = pytest.mark.parametrize(("opens", "closes"), MARKS.values(), ids=MARKS)


@marks
def test_a_thought_is_no_answer(opens: str, closes: str) -> None:
    assert split_thoughts(f"{opens}hot?{closes}\n\nKeep it away.") == ("Keep it away.", "hot?")
    assert split_thoughts(f"\n{opens}\nhot?\n{closes}Keep it.") == ("Keep it.", "hot?")
    assert split_thoughts(f"{opens}{closes}Keep it away.") == ("Keep it away.", "")


@marks
def test_an_unclosed_thought_is_no_answer_yet(opens: str, closes: str) -> None:
    assert split_thoughts(f"{opens}it is hot, so") == ("", "it is hot, so")


@marks
def test_the_chat_template_may_have_opened_the_thought(opens: str, closes: str) -> None:
    assert split_thoughts(f"hot?{closes}Keep it away.") == ("Keep it away.", "hot?")
    assert split_thoughts("it is hot, so", prompt=f"user: …\n{opens}\n") == ("", "it is hot, so")
    closed = f"user: …\n{opens}{closes}"
    assert split_thoughts("Keep it away.", prompt=closed) == ("Keep it away.", "")


@pytest.mark.parametrize(
    ("written", "text", "reasoning"),
    [
        ("<think>a</think><think>b</think>c", "c", "a\nb"),
        ("<think>a</think>\n<answer>\nc\n</answer>", "c", "a"),
        ("<think>a</think>It is <|begin_of_box|>hot<|end_of_box|>.", "It is hot.", "a"),
        ("<|begin_of_box|>hot<|end_of_box|>", "hot", ""),
        (
            "<|channel|>analysis<|message|>a<|end|><|start|>assistant"
            "<|channel|>final<|message|>c<|return|>",
            "c",
            "a",
        ),
        ("<|channel|>final<|message|>c", "c", ""),
        (
            "<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>c<|end_of_solution|>",
            "c",
            "a",
        ),
        ("I <think> so", "I <think> so", ""),
        ("a</think><response>\nc\n</response>\n", "c", "a"),
        ("<SUMMARY>a</SUMMARY><REASONING>b</REASONING><CONCLUSION>c</CONCLUSION>", "c", None),
        ("Here is my thought process: a Here is my response: c", "c", "a"),
        ("Here is my response: c", "Here is my response: c", ""),
        ("<answer>c</answer>", "<answer>c</answer>", ""),
        ("  as it is\n", "  as it is\n", ""),
        ("", "", ""),
    ],
)
def test_what_is_written_around_answers(written: str, text: str, reasoning: str | None) -> None:
    said = split_thoughts(written)
    assert said.text == text
    assert reasoning is None or said.reasoning == reasoning


@given(text=st.text())
def test_a_text_without_marks_is_all_answer(text: str) -> None:
    if not any(sign in text for sign in "<[◁"):
        assert split_thoughts(text) == (text, "")


@pytest.mark.parametrize("reason", [None, ""])
def test_no_reason_is_an_end(reason: Any) -> None:
    assert read_finish(reason) == (Finish.STOP, "")


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.FILTERED),
        ("end_turn", Finish.STOP),
        ("refusal", Finish.REFUSAL),
        ("max_tokens", Finish.LENGTH),
        ("MAX_TOKENS", Finish.LENGTH),
        ("FinishReason.SAFETY", Finish.FILTERED),
        ("model_length", Finish.LENGTH),
    ],
)
def test_known_reasons(reason: str, finish: Finish) -> None:
    assert read_finish(reason) == (finish, "")


@pytest.mark.parametrize("reason", ["abort", "error", "unknown", "tomorrow's word", 7, {"a": 1}])
def test_an_unknown_reason_is_no_end(reason: Any) -> None:
    finish, detail = read_finish(reason)
    assert finish is Finish.REJECTED
    assert str(reason)[:5] in detail.replace("\\", "")


def test_every_word_of_the_table_is_found() -> None:
    assert all(read_finish(word) == (finish, "") for word, finish in FINISHES.items())


# The roads.


class Server:
    """Answers every chat completion with what was last put into `say`."""

    def __init__(self) -> None:
        self.body: dict[str, Any] = {}
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                data = json.dumps(outer.body).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"

    def say(self, content: Any, finish: Any = "stop") -> None:
        message = {"role": "assistant", "content": content}
        self.body = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "m",
            "choices": [{"index": 0, "message": message, "finish_reason": finish}],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    # One for all, since Inspect keeps the address of a model that it has opened.
    made = Server()
    Thread(target=made.http.serve_forever, daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


def ask(spec: str) -> Reply:
    async def once() -> Reply:
        model = Connections(Connection(retries=0)).open(spec)
        try:
            return await model.ask(Request("May the toddler have this?"))
        finally:
            await model.close()

    return asyncio.run(once())


ROADS = [
    "http",
    pytest.param(
        "inspect",
        marks=pytest.mark.skipif(not find_spec("inspect_ai"), reason="needs the extra [inspect]"),
    ),
]


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest, server: Server, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("THOUGHTS_BASE_URL", server.url)
    monkeypatch.setenv("THOUGHTS_API_KEY", "none")
    return {"http": f"m@{server.url}", "inspect": "inspect/openai-api/thoughts/m"}[request.param]


@pytest.mark.long
@marks
def test_roads_keep_thoughts_apart(server: Server, road: str, opens: str, closes: str) -> None:
    server.say(f"{opens}hot?{closes}Keep it away.")
    reply = ask(road)
    assert (reply.text, reply.finish) == ("Keep it away.", Finish.STOP)
    assert reply.reasoning.strip() == "hot?"


def test_roads_read_reasons(server: Server, road: str) -> None:
    found = {}
    for reason in ("stop", "length", "content_filter", "abort"):
        server.say("Keep it", reason)
        found[reason] = ask(road)
    finishes = [reply.finish for reply in found.values()]
    assert finishes == [Finish.STOP, Finish.LENGTH, Finish.FILTERED, Finish.REJECTED]
    assert "unknown finish reason" in found["abort"].detail
    assert found["abort"].text == "Keep it"


@pytest.mark.parametrize(
    "thought",
    [
        {"type": "thinking", "thinking": "hot?"},
        {"type": "thinking", "thinking": [{"type": "text", "text": "hot?"}]},
        {"type": "reasoning", "text": "hot?"},
    ],
)
def test_thoughts_may_be_parts_of_the_content(server: Server, thought: dict[str, Any]) -> None:
    server.say([thought, {"type": "text", "text": "Keep it away."}])
    reply = ask(f"m@{server.url}")
    assert (reply.text, reply.reasoning) == ("Keep it away.", "hot?")


@pytest.mark.long
@pytest.mark.skipif(
    not (find_spec("torch") and find_spec("transformers")), reason="needs the extra [align]"
)
def test_a_thought_that_a_template_opens_is_no_answer_in_process(tmp_path: Path) -> None:
    from vlsbench.lab.vlm import make_model

    folder = make_model(tmp_path / "tiny", seed=1)
    plain = asyncio.run(HfChat(f"hf/{folder}").ask(Request("What is this?")))
    assert plain.text
    model = LocalModel.load(str(folder))
    model.processor.chat_template += "{% if add_generation_prompt %}<think>\n{% endif %}"
    model.processor.save_pretrained(folder)
    thinking = asyncio.run(HfChat(f"hf/{folder}").ask(Request("What is this?")))
    assert thinking.text == ""
    assert thinking.reasoning
