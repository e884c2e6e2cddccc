"""Guards behind a server that answers as a guard would, by the rule of the lab."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import vlsbench
from tests.judge.judges import material
from vlsbench import lab
from vlsbench.auditing import JUDGED, AuditOutput, Judged, read_judged
from vlsbench.config import Connection
from vlsbench.judge import HarmJudge, Judge, harm_form, open_harm_judge
from vlsbench.lab import understand
from vlsbench.models import CallFailed, Connections


def risky(text: str, pictures: list[str]) -> bool:
    asked = understand(text)
    named = asked.thing.name if asked and asked.thing else None
    seen = [lab.see(base64.b64decode(url.partition(",")[2])) for url in pictures]
    name = named or (seen[0] if seen else None)
    thing = next((thing for thing in lab.THINGS if thing.name == name), None)
    return bool(asked and thing and asked.act.risk(thing))


@dataclass
class Guard:
    """A guard model's server, and what it was sent."""

    url: str = ""
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    failures: int = 0
    """Answers to come that are `broken`."""
    broken: bytes = b"<html>"


def said(path: str, body: dict[str, Any]) -> dict[str, Any]:
    if path == "/v1/moderations":
        given = body["input"]
        given = [{"type": "text", "text": given}] if isinstance(given, str) else given
        texts = [part["text"] for part in given if part["type"] == "text"]
        urls = [part["image_url"]["url"] for part in given if part["type"] == "image_url"]
        flagged = risky(" ".join(texts), urls)
        result = {"flagged": flagged, "categories": {"violence": flagged, "hate": False}}
        result["category_scores"] = {"violence": 0.9 if flagged else 0.1}
        return {"model": body["model"], "results": [result]}
    content = body["messages"][-1]["content"]
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    text = " ".join(part["text"] for part in parts if part["type"] == "text")
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    if "half" in body["model"]:
        answer = json.dumps({"explanation": "\ud83d", "harmful": True})
    elif "Llama" in body["model"]:
        answer = "\n\nunsafe\nS2" if risky(text, urls) else "\n\nsafe"
    else:
        answer = "Yes" if risky(text, urls) else "No"
    message = {"role": "assistant", "content": answer}
    return {"model": body["model"], "choices": [{"message": message, "finish_reason": "stop"}]}


@pytest.fixture
def guard() -> Iterator[Guard]:
    state = Guard()
    # Looking for the first time takes seconds, which every thread of the server would spend.
    lab.see(lab.draw("toaster", "first"))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.sent.append((self.path, body))
            answer = json.dumps(said(self.path, body)).encode()
            if state.failures:
                state.failures -= 1
                answer = state.broken
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield state
        server.shutdown()
        thread.join()


def run(judge: str | Judge, out: Path, bench: str = "lab/mixed?n=20&leak=0.5") -> Judged:
    card = vlsbench.audit(
        bench,
        measures=["judged"],
        judge=judge,
        controls=["lab/benign?n=20"],
        positive_controls=[],
        connection=Connection(timeout_s=20),
        output=AuditOutput(out=out, progress=False),
    ).card
    assert card.judged
    return card.judged


def record(out: Path) -> Path:
    """Return the folder of the judge's calls."""
    (folder,) = out.glob("judged-*")
    return folder


def leaks() -> int:
    return sum(bool(pair.meta["leaks"]) for pair in lab.benchmark("lab/mixed?n=20&leak=0.5"))


@pytest.mark.long
def test_llama_guard_judges_all_three_parts(tmp_path: Path, guard: Guard) -> None:
    found = run(f"meta-llama/Llama-Guard-4-12B@{guard.url}", tmp_path / "r")
    assert found.form == "llama-guard"
    assert (found.group.vsil.k, found.group.vsil.n) == (leaks(), 20)
    assert found.group.patterns["SSU"].k == 20 - leaks()
    assert all("response_format" not in body for _, body in guard.sent)
    # Its own template makes the prompt: the query is the message, and nothing is around it.
    queries = {pair.query for pair in lab.benchmark("lab/mixed?n=20&leak=0.5")}
    contents = [body["messages"][0]["content"] for _, body in guard.sent]
    assert queries <= {content for content in contents if isinstance(content, str)}
    assert '"explanation": "S2"' in (record(tmp_path / "r") / "judged.jsonl").read_text("utf-8")


def test_shieldgemma_judges_texts_by_a_guideline(tmp_path: Path, guard: Guard) -> None:
    found = run(f"google/shieldgemma-9b@{guard.url}", tmp_path / "r")
    assert found.form == "shieldgemma"
    assert not found.harmful_by_judge
    assert (found.group.vsil.k, found.group.vsil.n) == (leaks(), 20)
    for _, body in guard.sent:
        system, user = body["messages"]
        assert system["role"] == "system"
        assert "No Dangerous Content" in system["content"]
        assert isinstance(user["content"], str)


def test_the_moderations_endpoint_is_a_judge(tmp_path: Path, guard: Guard) -> None:
    guard.failures = 2
    found = run(f"omni-moderation-latest@{guard.url}", tmp_path / "r")
    assert found.form == "moderations"
    assert {path for path, _ in guard.sent} == {"/v1/moderations"}
    assert (found.group.vsil.k, found.group.vsil.n) == (leaks(), 20)
    assert found.group.patterns["SSU"].k == 20 - leaks()
    inputs = [body["input"] for _, body in guard.sent]
    kinds = {"text" if isinstance(i, str) else "+".join(p["type"] for p in i) for i in inputs}
    assert kinds == {"text", "image_url", "text+image_url"}
    assert '"violence"' in (record(tmp_path / "r") / "judged.jsonl").read_text("utf-8")


def test_an_answer_with_half_a_surrogate_is_kept(tmp_path: Path, guard: Guard) -> None:
    found = run(f"half@{guard.url}", tmp_path / "r")
    assert found.complete
    assert found.leaking[0].findings[0].explanation == "\ud83d"
    assert read_judged(record(tmp_path / "r") / JUDGED) == found


def test_a_guard_that_talks_is_unscored_not_safe(tmp_path: Path, guard: Guard) -> None:
    judge = open_harm_judge(f"chatty@{guard.url}", Connections(), form="llama-guard")
    found = run(judge, tmp_path / "r", "lab/leaky?n=3")
    assert found.group.vsil.n == 0
    assert [figures.unscored for figures in found.group.parts] == [{"judge_unparseable": 3}] * 3


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b'{"results": []}',
        b'{"results": [{}]}',
        b'{"results": [{"flagged": "yes"}]}',
        b'{"results": {"flagged": true}}',
        b"[" * 100_000,
    ],
)
async def test_what_is_no_moderation_result_is_a_malformed_answer(
    body: bytes, guard: Guard
) -> None:
    guard.failures, guard.broken = 1, body
    form = harm_form("omni-moderation")
    connections = Connections(Connection(retries=0))
    model = connections.open(f"omni-moderation@{guard.url}", chat=form.chat)
    try:
        with pytest.raises(CallFailed, match="malformed answer"):
            await HarmJudge(model, form).judge(material(), model.ask)
    finally:
        await model.close()
