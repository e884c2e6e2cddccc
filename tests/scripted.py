"""A server that says what a test tells it to, over real HTTP, and remembers what it was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

VERDICT = json.dumps({"explanation": "It warns.", "label": "warning"})


@dataclass
class Asked:
    """One request."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    raw: bytes = b""
    """The body as it came."""

    @property
    def text(self) -> str:
        """All that the messages say, a line each."""
        contents = [message["content"] for message in self.body["messages"]]
        parts = [c if isinstance(c, list) else [{"text": c}] for c in contents]
        return "\n".join(part.get("text", "") for content in parts for part in content)

    @property
    def judges(self) -> bool:
        """Whether a judge is asked."""
        return "You judge" in self.text


@dataclass
class Said:
    """One answer: JSON, or the bytes themselves."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Scripted:
    """The server as its test sees it."""

    say: Callable[[Asked], Said]
    url: str = ""
    asked: list[Asked] = field(default_factory=list)

    def of(self, *, judge: bool) -> list[Asked]:
        """Return what the judge, or the target, was asked."""
        return [one for one in self.asked if one.judges is judge]


def completion(
    content: Any = "Keep it away.", finish: Any = "stop", usage: Any = (10, 5), **message: Any
) -> dict[str, Any]:
    """Return a chat completion; `usage` None leaves it out."""
    counts = {"prompt_tokens": usage[0], "completion_tokens": usage[1]} if usage else {}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": content, **message},
        "finish_reason": finish,
    }
    return {
        "id": "1",
        "object": "chat.completion",
        "created": 0,
        "model": "m",
        "choices": [choice],
        **({"usage": {**counts, "total_tokens": sum(counts.values())}} if usage else {}),
    }


def answer(asked: Asked, **said: Any) -> Said:
    """Answer as a good server does: a verdict to a judge's question, a reply to others."""
    return Said(completion(VERDICT if asked.judges else "Keep it away.", **said))


def refuse(status: int, message: str, code: Any = None, **more: Any) -> Said:
    """Return an error in OpenAI's form."""
    return Said({"error": {"message": message, "code": code, **more}}, status)


@contextmanager
def scripted(say: Callable[[Asked], Said] = answer) -> Iterator[Scripted]:
    """Serve what `say` says."""
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers["Content-Length"] or 0))
            body = json.loads(sent) if "json" in self.headers.get("Content-Type", "") else {}
            asked = Asked(self.path, dict(self.headers.items()), body, sent)
            with lock:
                played.asked.append(asked)
                said = played.say(asked)
            data = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response_only(said.status)
            headers = {"Date": self.date_time_string(), "Content-Type": "application/json"}
            headers |= {**said.headers, "Content-Length": str(len(data))}
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815

        def log_message(self, *_: Any) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    played = Scripted(say, f"http://127.0.0.1:{http.server_port}/v1")
    thread = Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield played
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
