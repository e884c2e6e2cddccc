"""`vlsbench audit --embedder`: vectors of a server, over real HTTP."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from tests.cli.typed import Command
from vlsbench import lab
from vlsbench.auditing import read_card
from vlsbench.auditing.overlap.calibration import shipped
from vlsbench.embed import HttpEmbedder
from vlsbench.files import write_json

SIDE = 256
arrived: list[float] = []
"""When requests came."""


def bag(text: str) -> list[float]:
    """Stand for a text by its words."""
    vector = [0.01] * SIDE
    for word in text.casefold().replace("?", " ").replace(".", " ").split():
        vector[crc32(word.encode()) % SIDE] += 1
    return vector


class Embeddings(BaseHTTPRequestHandler):
    """Answers as `/v1/embeddings` does."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        arrived.append(time.monotonic())
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        items = [{"index": n, "embedding": bag(text)} for n, text in enumerate(body["input"])]
        answer = json.dumps({"data": items}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def embedder() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Embeddings) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"bag@http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()
        thread.join()


def test_fitted_numbers_of_a_servers_model_can_be_given(
    vlsbench: Command, tmp_path: Path, embedder: str
) -> None:
    fitted = replace(shipped(), embedder=embedder, embedder_digest=HttpEmbedder(embedder).digest)
    write_json(fitted, tmp_path / "fitted.json")
    arguments = ("lab/mixed?n=30", "--embedder", embedder, "--calibration", "fitted.json")
    done = vlsbench("audit", *arguments, "--out", "card")
    assert done.returncode == 0, done.stderr
    card = read_card(tmp_path / "card" / "card.json")
    assert card.overlap
    assert card.overlap.embedder == embedder
    assert card.overlap.calibration == fitted.digest
    assert len(card.leaking) == 10
    named = {pair.id for pair in lab.benchmark("lab/mixed?n=30") if pair.meta["leaks"]}
    assert {pair.id for pair in card.leaking[:3]} <= named

    other = vlsbench("audit", "lab/mixed?n=30", "--calibration", "fitted.json")
    assert other.returncode == 1
    assert f"naming is calibrated for the embedder {embedder}, not for" in other.stderr


def test_without_fitted_numbers_topic_and_ranks_are_shown(
    vlsbench: Command, tmp_path: Path, embedder: str
) -> None:
    benches = [f"lab/{name}?n=30" for name in ("leaky", "leakless")]
    done = vlsbench("audit", *benches, "--embedder", embedder, "--out", "leaderboard")
    assert done.returncode == 0, done.stderr
    topic = []
    for bench in ("lab_leaky_n_30", "lab_leakless_n_30"):
        card = read_card(tmp_path / "leaderboard" / bench / "card.json")
        assert card.overlap
        assert (card.overlap.calibration, card.overlap.group.channels) == ("", ())
        assert (card.leak, card.categories, card.leaking) == (None, (), ())
        topic.append(card.overlap.group.topic.value or 0)
        for file in ("card.html",):
            text = (tmp_path / "leaderboard" / bench / file).read_text("utf-8")
            assert "naming is not calibrated for this embedder" in text
            assert "scripts/fit" in text
    assert topic[0] > topic[1] + 0.5
    assert "naming is not calibrated for this embedder" in done.stdout
    done = vlsbench("audit", benches[0], "--embedder", embedder, "--drop-leaking", "0.5")
    assert "0 pairs to leave out at 0.5, 30 kept (30 of them without a score)" in done.stdout


def test_a_server_of_vectors_is_asked_at_the_pace_that_is_given(
    vlsbench: Command, embedder: str
) -> None:
    arrived.clear()
    arguments = ("--measures", "overlap", "--embedder", embedder, "--max-calls", "1")
    done = vlsbench("audit", "lab/leaky?n=30", *arguments, "--rpm", "240")
    assert done.returncode == 0, done.stderr
    a_second = 4  # and as many at once
    assert len(arrived) > 2 * a_second
    assert arrived[-1] - arrived[0] >= (len(arrived) - 1 - a_second) / a_second
