"""Embedders: a real server over HTTP, the cache, and files that are not what they claim to be."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from scripts.fit_naming import Control, fit

import vlsbench
from vlsbench.auditing.overlap.calibration import Calibration
from vlsbench.auditing.overlap.figures import Channel
from vlsbench.auditing.overlap.measure import Reader
from vlsbench.auditing.overlap.run import overlap
from vlsbench.embed import CachedEmbedder, HttpEmbedder, MiniLM, open_embedder
from vlsbench.embed.http import parse_vectors
from vlsbench.embed.text import SHA256
from vlsbench.errors import VlsbenchError
from vlsbench.files import write_json
from vlsbench.models import Backoff, FatalCall
from vlsbench.schemas import read_json

KEY = "a-key-for-this-test"
SOON = Backoff(first_s=0.01, most_s=0.02)
SIDE = 2048
"""Of a bag of words by their hash: large enough that the lab's words do not collide."""


def bag(text: str) -> list[float]:
    """Stand for a text by its words: enough for a server that is no language model."""
    vector = np.full(SIDE, 0.01)
    for word in text.casefold().replace("?", " ").replace(".", " ").split():
        vector[int(hashlib.sha256(word.encode()).hexdigest(), 16) % SIDE] += 1
    return vector.tolist()


@dataclass
class Server:
    """What the embedding server was asked, and the answers it gives before good ones."""

    url: str = ""
    asked: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    before: list[web.Response] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.asked.append(body)
        self.keys.append(request.headers.get("Authorization"))
        if self.before:
            return self.before.pop(0)
        items = [
            {"index": place, "embedding": bag(text)} for place, text in enumerate(body["input"])
        ]
        return web.json_response({"data": list(reversed(items)), "model": body["model"]})


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_post("/v1/embeddings", state.answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        state.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        return runner

    runner: list[web.AppRunner] = []

    def serve() -> None:
        asyncio.set_event_loop(loop)
        runner.append(loop.run_until_complete(start()))
        ready.set()
        loop.run_forever()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    assert ready.wait(10)
    yield state
    asyncio.run_coroutine_threadsafe(runner[0].cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_vectors_come_from_a_server_in_the_order_of_the_texts(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_API_KEY", KEY)
    texts = [f"toaster number {number}" for number in range(300)]
    vectors = HttpEmbedder(f"bag@{server.url}").embed(texts)
    expected = np.array([bag(text) for text in texts])
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    assert np.allclose(vectors, expected, atol=1e-6)
    assert sorted(len(body["input"]) for body in server.asked) == [44, 128, 128]
    assert set(server.keys) == {f"Bearer {KEY}"}


def test_passing_faults_are_tried_again_and_lasting_ones_named(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VLSBENCH_API_KEY", KEY)
    embedder = HttpEmbedder(f"bag@{server.url}", backoff=SOON)
    server.before = [web.Response(status=503), web.Response(text="<html>")]
    assert embedder.embed(["a toaster"]).shape == (1, SIDE)
    server.before = [web.Response(status=500) for _ in range(7)]
    with pytest.raises(VlsbenchError, match="http 500"):
        embedder.embed(["a toaster"])
    server.before = [web.Response(status=401, text=f"no such key: {KEY}")]
    with pytest.raises(FatalCall, match="http 401") as error:
        embedder.embed(["a toaster"])
    assert KEY not in str(error.value)


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["data", "embedding", "index", "x"]), inner, max_size=3),
    max_leaves=12,
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_any_answer_is_unit_vectors_or_an_error(body: bytes) -> None:
    try:
        vectors = parse_vectors(body, 1)
    except ValueError:
        return
    assert vectors.shape[0] == 1
    assert np.linalg.norm(vectors[0]) == pytest.approx(1, abs=1e-3)


class Counting:
    """An embedder that says how many texts it was given."""

    name = "counting"
    digest = "counting/1"

    def __init__(self) -> None:
        self.texts = 0

    def embed(self, texts: Sequence[str]) -> np.ndarray[Any, np.dtype[np.float32]]:
        self.texts += len(texts)
        rows = np.array([bag(text) for text in texts], dtype=np.float32)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@given(st.lists(st.text(max_size=20), max_size=30))
def test_a_cache_gives_every_text_its_own_vector(texts: list[str]) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        source = Counting()
        path = Path(folder) / "vectors.sqlite"
        with CachedEmbedder(source, path) as cached:
            first = cached.embed(texts)
        assert source.texts == len({text.encode("utf-8", "surrogatepass") for text in texts})
        with CachedEmbedder(source, path) as cached:
            second = cached.embed(texts[::-1])
        assert source.texts == len(set(texts))
        if texts:
            assert np.array_equal(first, second[::-1])
            assert np.allclose(first, Counting().embed(texts), atol=1e-3)


def test_a_cache_keeps_embedders_apart(tmp_path: Path) -> None:
    one, other = Counting(), Counting()
    other.digest = "counting/2"
    for source in (one, other):
        with CachedEmbedder(source, tmp_path / "vectors.sqlite") as cached:
            cached.embed(["a toaster"])
    assert (one.texts, other.texts) == (1, 1)


def test_a_cache_that_is_no_cache_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vectors.sqlite"
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(VlsbenchError, match="delete it"):
        CachedEmbedder(Counting(), path)


def test_a_model_that_is_not_the_hubs_is_refused_before_it_is_loaded(tmp_path: Path) -> None:
    pytest.importorskip("transformers", reason="the extra [audit] is not installed")
    for name in SHA256:
        (tmp_path / name).write_bytes(b"not the model")
    with pytest.raises(VlsbenchError, match=r"model\.safetensors.*not the model it claims to be"):
        MiniLM(tmp_path).embed(["a toaster"])


def test_an_unknown_embedder_is_named() -> None:
    with pytest.raises(VlsbenchError, match="NAME@http"):
        open_embedder("word2vec")


def calibrated(embedder: HttpEmbedder | Counting) -> Calibration:
    """Fit naming for an embedder on the lab's twins."""
    reader = Reader(embedder)
    pairs = [
        pair
        for bench in ("lab/leaky?n=60&seed=1", "lab/leakless?n=60&seed=1")
        for pair in vlsbench.load(bench)
    ]
    rows, _ = reader.features([(pair.query, pair.description) for pair in pairs])
    named = [bool(pair.meta["leaks"]) for pair in pairs]
    control = Control("lab", rows, np.array(named), np.arange(len(rows)) % 60, ["lab"] * len(rows))
    return fit([control], embedder)


def test_an_audit_by_a_server_says_naming_only_by_numbers_fitted_to_it(
    server: Server, tmp_path: Path
) -> None:
    embedder = HttpEmbedder(f"bag@{server.url}")
    pairs = vlsbench.load("lab/leaky?n=20")
    cache = tmp_path / "vectors.sqlite"
    bare = overlap(pairs, embedder=embedder, cache=cache)
    assert (bare.calibration, bare.group.channels, bare.leaking) == ("", (), ())
    assert (bare.group.topic.n, bare.group.rank.n) == (20, 20)
    assert any("scripts/fit_naming.py --embedder bag@" in note for note in bare.notes)
    path = tmp_path / "naming.json"
    write_json(calibrated(embedder), path)
    calibration = read_json(path, Calibration)
    leaky = overlap(pairs, embedder=embedder, cache=cache, calibration=calibration)
    leakless = overlap(
        vlsbench.load("lab/leakless?n=20"), embedder=embedder, cache=cache, calibration=calibration
    )
    assert leaky.embedder == f"bag@{server.url}"
    one, other = leaky.group.channel(Channel.CONTENT), leakless.group.channel(Channel.CONTENT)
    assert one
    assert other
    assert one.named.k == 20
    assert other.named.k == 0


def test_numbers_fitted_to_another_background_are_refused(tmp_path: Path) -> None:
    embedder = Counting()
    other = replace(calibrated(embedder), background="another")
    with pytest.raises(VlsbenchError, match="another background"):
        overlap(
            vlsbench.load("lab/leaky?n=5"),
            embedder=embedder,
            cache=tmp_path / "vectors.sqlite",
            calibration=other,
        )


def test_a_file_that_holds_no_fitted_numbers_is_named(tmp_path: Path) -> None:
    path = tmp_path / "naming.json"
    path.write_text("[]")
    with pytest.raises(VlsbenchError, match="must be a table, not a list"):
        read_json(path, Calibration)
    with pytest.raises(VlsbenchError, match=r"missing\.json: no such file"):
        read_json(tmp_path / "missing.json", Calibration)
