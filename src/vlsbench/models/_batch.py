"""Batch jobs of OpenAI-style servers: `/files` and `/batches`, at half the price within a day.

Format: https://platform.openai.com/docs/guides/batch and /docs/api-reference/batch. What is
recorded about a job, so that nothing is paid twice, is the engine's part (`engine/_batches.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from vlsbench.models._answers import DETAIL_CHARS, ErrorAnswer, read_error, read_usage, words_of
from vlsbench.models._chat import FatalCall, Finish, Reply, Request
from vlsbench.models._http import CONNECT_TIMEOUT_S, HttpChat, to_json
from vlsbench.models._pace import Passing, retry_after
from vlsbench.models._prices import Price
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
BATCH_QUIET = 1 / 6
"""A batch is submitted when no call has joined it for this share of the pause between looks."""
PAGE = 100
"""Batches in one page of the list; OpenAI allows no more."""
CHUNK = 2**20


def expected_price(price: Price | None, model: object) -> Price | None:
    """Return what a model's calls will probably cost: less where they go in batches."""
    if price is None or not getattr(model, "batching", None):
        return price
    return Price(price.input * BATCH_PRICE, price.output * BATCH_PRICE)


class Unanswered(Exception):
    """Whether a batch was created is not known: its answer was lost."""


class Denied(FatalCall):
    """The server does not do what is asked of it; of its key, or the account, this says nothing."""


class BatchState(msgspec.Struct):
    """A batch as its server describes it."""

    id: str
    status: str
    input_file_id: str | None = None
    output_file_id: str | None = None
    request_counts: dict[str, int | None] | None = None
    errors: dict[str, Any] | None = None
    metadata: dict[str, Any] | None = None

    def count(self, what: str) -> int:
        """Return how many requests are `completed`, or `failed`."""
        return (self.request_counts or {}).get(what) or 0

    @property
    def no_room(self) -> bool:
        """Whether it failed because too much was queued already."""
        return NO_ROOM in json.dumps(self.errors)

    @property
    def detail(self) -> str:
        """What went wrong, in the server's words."""
        listed = (self.errors or {}).get("data") or []
        return storable("; ".join(map(words_of, listed)))[:DETAIL_CHARS]


class _Page(msgspec.Struct):
    data: list[BatchState]
    has_more: bool = False


class _File(msgspec.Struct):
    id: str


def read_lines(
    path: Path, batch: str, read: Callable[[bytes], Reply]
) -> Iterator[tuple[str, Reply | None]]:
    """Walk a file of answers, by the key of what was asked; other text is left out.

    An error is None; what nobody can read (no choices) is a reply that is rejected, and paid for.

    Args:
        path: The file, downloaded.
        batch: The provider's id of the batch, which every reply carries.
        read: Reads the body of an answer; raises `ValueError` where it is none.
    """
    with path.open("rb") as file:
        for text in file:
            key = reply = None
            try:
                # Not msgspec: lone surrogates, which JSON allows, are no reason to pay twice.
                line = json.loads(text)
                key, response = bytes.fromhex(line["custom_id"]).hex(), line["response"]
                if response["status_code"] == 200:
                    reply = Reply("", Finish.REJECTED, detail="an answer that cannot be read")
                    reply = replace(reply, usage=read_usage(response["body"]))
                    reply = read(json.dumps(response["body"]).encode())
            except ErrorAnswer:
                reply = None
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                pass
            if key:
                yield key, reply and replace(reply, extra={**reply.extra, BATCHED: batch})


class BatchApi:
    """The batches of one server, as one model's calls use them.

    All methods raise `Passing` where there is no answer, after all retries where it is safe to ask
    again, `Denied` where the server has no batches, and `FatalCall` where it refuses the key.
    """

    def __init__(self, model: HttpChat) -> None:
        """Take the model."""
        self._model = model
        self._server = model.server
        self._endpoint = f"/v1{model.path}"

    def line(self, key: str, request: Request) -> list[bytes]:
        """Return the line, in pieces, that asks this in a batch's file. Raises `ImageError`."""
        head = to_json({"custom_id": key, "method": "POST", "url": self._endpoint})
        pieces = self._model.pieces(self._model.adapted.request(request))
        return [head[:-1], b',"body":', *pieces, b"}\n"]

    async def upload(self, path: Path) -> str:
        """Upload a file of requests; return the server's id of it."""
        return (await self._retried(_File, "POST", "/files", upload=path)).id

    async def create(self, file: str, name: str) -> BatchState:
        """Create a batch; asked again only where it was certainly not created.

        Args:
            file: Id of an uploaded file.
            name: Ours; `find` finds the batch by it.

        Raises:
            Unanswered: The batch may exist all the same.
        """
        asked = {"input_file_id": file, "endpoint": self._endpoint, "completion_window": WINDOW}
        body = to_json({**asked, "metadata": {OURS: name}})
        headers = {"Content-Type": "application/json"}
        return await self._retried(BatchState, "POST", "/batches", data=body, headers=headers)

    async def find(self, file: str, name: str) -> BatchState | None:
        """Look for a batch by its file or our name, among all listed, whose order nobody promises.

        One that failed for want of room is passed over: it was to be created again.
        """
        params, seen = {"limit": str(PAGE)}, set[str]()
        while True:
            page = await self._retried(_Page, "GET", "/batches", params=params)
            for state in page.data:
                ours = file == state.input_file_id or (state.metadata or {}).get(OURS) == name
                if ours and not state.no_room:
                    return state
            new = {state.id for state in page.data} - seen
            if not (new and page.has_more):  # some servers know no pages, and always have more
                return None
            seen |= new
            params["after"] = page.data[-1].id

    async def state(self, remote: str) -> BatchState | None:
        """Ask how a batch stands, once; None where the server does not know it any more."""
        told: BatchState | None = await self._once(BatchState, "GET", f"/batches/{remote}")
        return told

    async def answers(self, remote: str, path: Path) -> bool:
        """Download a batch's answers, whole; False where the server does not have them."""
        told = await self.state(remote)
        if not (told and told.output_file_id):
            return False
        where = f"/files/{told.output_file_id}/content"
        fetch = partial(self._once, None, "GET", where, into=path)
        return bool(await self._server.retried(fetch, []))

    async def _retried(self, kind: type[T], method: str, where: str, **more: Any) -> T:
        ask = partial(self._once, kind, method, where, **more)
        answer: T | None = await self._server.retried(ask, [])
        if answer is None:
            raise Denied(f"{self._model.spec}: no batches at {self._server.url} (http 404)")
        return answer

    async def _once(
        self,
        kind: type[T] | None,
        method: str,
        where: str,
        *,
        upload: Path | None = None,
        into: Path | None = None,
        **more: Any,
    ) -> Any:
        """Ask one question and read the answer, or write it into a file; None if it is a 404."""
        import aiohttp

        server = self._server
        lost = Unanswered if method == "POST" and not upload else Passing
        # A file of 200 MB takes its time; what counts is that something moves.
        patience = aiohttp.ClientTimeout(
            connect=CONNECT_TIMEOUT_S, sock_read=server.connection.timeout_s
        )
        try:
            with upload.open("rb") if upload else nullcontext() as content:
                if upload:
                    more["data"] = aiohttp.FormData({"purpose": "batch"})
                    more["data"].add_field("file", content, filename=upload.name)
                async with server.session().request(
                    method, server.at(where), timeout=patience, allow_redirects=False, **more
                ) as response:
                    if into and response.status == 200:
                        with into.open("wb") as file:
                            async for part in response.content.iter_chunked(CHUNK):
                                file.write(part)
                        return True
                    body = await response.read()
        except (aiohttp.ClientError, ConnectionError, TimeoutError) as error:
            unsent = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)
            said = f"connection: {first_line(error) or 'timeout'}"
            raise (Passing if isinstance(error, unsent) else lost)(said) from None
        if response.status == 404:
            return None
        if not 200 <= response.status < 300:
            after = retry_after(response.headers.get("Retry-After"))
            # Either raises, or says what the server would not take.
            spec, status = self._model.spec, response.status
            if lost is Unanswered and (status >= 500 or status in (408, 409, 425)):
                raise Unanswered  # a gateway may have passed it on
            reply = server.not_ok(spec, status, read_error(body), after)
            raise Denied(f"{spec}: the server refuses a batch ({reply.detail})")
        try:
            return msgspec.json.decode(body, type=kind)
        except ValueError as error:
            raise lost(f"malformed answer: {str(error)[:80]}") from None
