"""Batch jobs of OpenAI-style servers: `/files` and `/batches`, at half the price within a day.

Format: https://platform.openai.com/docs/guides/batch and /docs/api-reference/batch. What is
recorded about a job, so that nothing is paid twice, is the engine's part (`engine/_batches.py`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from vlsbench.config import Connection
from vlsbench.models._answers import ErrorAnswer, read_error
from vlsbench.models._chat import FatalCall, Refused, Reply
from vlsbench.models._http import CONNECT_TIMEOUT_S, Server, to_json
from vlsbench.models._prices import Price
from vlsbench.models._retry import Passing, retry_after, retrying
from vlsbench.text import first_line, storable

T = TypeVar("T")

BATCH_PRICE = 0.5
"""Share of the price that a request in a batch costs, by the pricing pages of OpenAI, Azure,
Anthropic, Google, Mistral, Groq and Together."""
BATCHED = "batch"
"""In `Reply.extra`: the provider's id of the batch that brought the answer."""
OURS = "vlsbench"
"""Key in a batch's metadata under which our own name for it stands."""
WINDOW = "24h"
"""The only completion window that OpenAI offers."""
ENDED = ("completed", "expired", "cancelled", "failed")
"""States of a batch after which nothing changes."""
NO_ROOM = "token_limit_exceeded"
"""Code of a batch that failed because too many tokens of others are queued."""
PAGE = 100
"""Batches in one page of the list; OpenAI allows no more."""
CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Batching:
    """How calls are put into batches."""

    requests: int = 50_000
    """In one batch at most; OpenAI's limit."""
    size: int = 200_000_000
    """Bytes of one file at most; OpenAI's limit."""
    quiet_s: float = 5.0
    """A batch is submitted when no call has joined it for so long."""
    poll_s: float = 30.0
    """Pause between two looks at a batch."""

    @classmethod
    def of(cls, connection: Connection) -> Batching | None:
        """Read the settings; None where nothing is to be batched."""
        if not connection.batch:
            return None
        size = int(connection.batch_mb * 1e6)
        return cls(
            connection.batch_requests, size, connection.batch_quiet_s, connection.batch_poll_s
        )


def expected_price(price: Price | None, model: object) -> Price | None:
    """Return what a model's calls will probably cost: less where they go in batches."""
    if price is None or not getattr(model, "batching", None):
        return price
    return Price(price.input * BATCH_PRICE, price.output * BATCH_PRICE)


class BatchState(NamedTuple):
    """What a server says about a batch."""

    remote: str
    """The server's id."""
    status: str
    answered: int = 0
    failed: int = 0
    files: tuple[str, ...] = ()
    """Ids of the files with answers and with errors."""
    detail: str = ""
    no_room: bool = False
    """It failed because too much was queued already."""
    name: str = ""
    """Ours, from its metadata."""


class BatchLine(NamedTuple):
    """One line of a batch's files."""

    key: str
    reply: Reply | None
    """None where the request got no answer."""
    answered: bool = False
    """Whether the provider may charge for it all the same."""


def read_state(body: bytes) -> BatchState:
    """Read a batch object. Raises `ValueError` where it is none."""
    return _state(json.loads(body))


def _state(told: Any) -> BatchState:
    try:
        counts, errors = told.get("request_counts") or {}, told.get("errors") or {}
        listed = [one for one in errors.get("data") or [] if isinstance(one, dict)]
        files = (told.get("output_file_id"), told.get("error_file_id"))
        return BatchState(
            str(told["id"]),
            str(told["status"]),
            int(counts.get("completed") or 0),
            int(counts.get("failed") or 0),
            tuple(str(file) for file in files if file),
            storable("; ".join(str(one.get("message")) for one in listed))[:300],
            any(one.get("code") == NO_ROOM for one in listed),
            str((told.get("metadata") or {}).get(OURS) or ""),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no batch object: {error!r}") from None


def _page(body: bytes) -> tuple[list[BatchState], bool]:
    listed = json.loads(body)
    return [_state(one) for one in listed["data"]], bool(listed.get("has_more"))


class _Response(NamedTuple):
    status: int
    body: bytes


def _line(text: bytes) -> tuple[str, _Response | None]:
    # Not msgspec: lone surrogates, which JSON allows, are no reason to pay for an answer again.
    line = json.loads(text)
    key, response = bytes.fromhex(line["custom_id"]).hex(), line.get("response")
    if response is None:
        return key, None
    return key, _Response(int(response["status_code"]), json.dumps(response["body"]).encode())


def read_lines(path: Path, remote: str, read: Callable[[bytes], Reply]) -> Iterator[BatchLine]:
    """Walk a file of answers or errors; a line that cannot be read is left out.

    Args:
        path: The file, downloaded.
        remote: The batch's id, which every reply carries.
        read: Reads the body of an answer; raises `ValueError` where it is none.
    """
    with path.open("rb") as file:
        for text in file:
            try:
                key, response = _line(text)
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                continue
            if response is None or not 200 <= response.status < 300:
                yield BatchLine(key, None)
                continue
            try:
                reply = read(response.body)
            except ErrorAnswer:
                yield BatchLine(key, None)
            except ValueError:
                yield BatchLine(key, None, answered=True)
            else:
                extra = {**reply.extra, BATCHED: remote}
                yield BatchLine(key, replace(reply, extra=extra), answered=True)


class BatchApi:
    """The batches of one server, as one model's calls use them."""

    def __init__(self, spec: str, server: Server) -> None:
        """Take the model's spec, for errors, and its server."""
        self._spec = spec
        self._server = server

    async def upload(self, path: Path) -> str:
        """Upload a file of requests; return the server's id of it.

        Raises:
            Passing: Not taken after all retries; all methods may raise it.
            FatalCall: The server has no such thing, or refuses the key; likewise.
        """
        import aiohttp

        async def once() -> bytes:
            with path.open("rb") as file:
                form = aiohttp.FormData({"purpose": "batch"})
                form.add_field("file", file, filename=path.name, content_type="application/jsonl")
                return await self._send("POST", "/files", data=form)

        try:
            sent = await self._retried(once)
        except Refused as refused:
            if not _missing(refused):
                raise
            raise FatalCall(
                f"{self._spec}: no batches at {self._server.url} ({refused.reply.detail}): go on "
                "without --batch"
            ) from None
        return str(_read(lambda body: json.loads(body)["id"], sent))

    async def create(self, file: str, endpoint: str, name: str) -> BatchState:
        """Create a batch, once: where the answer is lost, the batch may exist all the same.

        Args:
            file: Id of an uploaded file.
            endpoint: Such as `/v1/chat/completions`.
            name: Ours; `find` finds the batch by it.
        """
        body = {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": WINDOW,
            "metadata": {OURS: name},
        }
        headers = {"Content-Type": "application/json"}
        sent = await self._send("POST", "/batches", data=to_json(body), headers=headers)
        return _read(read_state, sent)

    async def find(self, name: str) -> BatchState | None:
        """Look for a batch by our name for it, among all that the server lists; not failed ones."""
        after = ""
        while True:
            params = {"limit": str(PAGE), **({"after": after} if after else {})}
            once = partial(self._send, "GET", "/batches", params=params)
            found, more = _read(_page, await self._retried(once))
            for state in found:
                if state.name == name and state.status != "failed":
                    return state
            if not (found and more):
                return None
            after = found[-1].remote

    async def state(self, remote: str) -> BatchState | None:
        """Ask how a batch stands, once; None where the server does not know it any more."""
        try:
            return _read(read_state, await self._send("GET", f"/batches/{remote}"))
        except Refused as refused:
            if _missing(refused):
                return None
            raise

    async def download(self, file: str, path: Path) -> None:
        """Download a file of answers, whole."""
        await self._retried(partial(self._send, "GET", f"/files/{file}/content", into=path))

    async def _retried(self, once: Callable[[], Awaitable[bytes]]) -> bytes:
        return await retrying(self._server.patience, time.monotonic())(once)

    async def _send(
        self, method: str, where: str, *, into: Path | None = None, **more: Any
    ) -> bytes:
        import aiohttp

        server = self._server
        # A file of 200 MB takes its time; what counts is that something moves.
        patience = aiohttp.ClientTimeout(
            connect=CONNECT_TIMEOUT_S, sock_read=server.patience.timeout_s
        )
        try:
            async with server.session().request(
                method, server.at(where), timeout=patience, allow_redirects=False, **more
            ) as response:
                if into and response.status == 200:
                    with into.open("wb") as file:
                        async for part in response.content.iter_chunked(CHUNK):
                            file.write(part)
                    return b""
                body = await response.read()
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            raise Passing(f"connection: {first_line(error) or 'timeout'}") from None
        if 200 <= response.status < 300:
            return body
        after = retry_after(response.headers.get("Retry-After"))
        # Either raises, or says what the server would not take.
        reply = server.not_ok(self._spec, response.status, read_error(body), after)
        raise FatalCall(f"{self._spec}: the server refuses a batch ({reply.detail})")


def _missing(refused: Refused) -> bool:
    return refused.reply.detail.startswith("http 404")


def _read(read: Callable[[bytes], T], body: bytes) -> T:
    try:
        return read(body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Passing(f"malformed answer: {str(error)[:80]}") from None
