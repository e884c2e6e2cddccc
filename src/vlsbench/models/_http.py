"""Chat models behind any OpenAI-compatible HTTP server.

Format: https://platform.openai.com/docs/api-reference/chat (vLLM, SGLang, Ollama, llama.cpp and
gateways speak the same). The image's base64 is spliced into the request's JSON, so that an image
of megabytes is never walked by a JSON encoder.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import msgspec

from vlsbench.config import Connection
from vlsbench.models._adapted import LIMITS, Adapted
from vlsbench.models._address import redact
from vlsbench.models._answers import (
    DETAIL_CHARS,
    ErrorAnswer,
    parse_answer,
    read_error,
    refusal,
    words_of,
)
from vlsbench.models._chat import UNCOUNTED, CallFailed, FatalCall, Finish, Reply, Request
from vlsbench.models._pace import Backoff, Limiter, Passing, SharedPace, pause, retry_after
from vlsbench.models._prices import most_tokens
from vlsbench.pairs import ImageError
from vlsbench.text import first_line

if TYPE_CHECKING:
    import aiohttp

T = TypeVar("T")

OPENAI_URL = "https://api.openai.com/v1"
MAX_ANSWER_BYTES = 32 * 2**20
"""An answer larger than this is a fault of the server."""
CONNECT_TIMEOUT_S = 20
JOINED_BYTES = 64 * 1024
"""Up to this size a copy of a request is cheaper than another system call."""


class Server:
    """One base URL: its connections, its limit, and whether it ever answered."""

    def __init__(
        self,
        url: str,
        api_key: str | None,
        connection: Connection,
        backoff: Backoff | None = None,
    ) -> None:
        """Keep to settings.

        Args:
            url: The base URL.
            api_key: Sent with every request; None sends none.
            connection: Requests in flight, time-outs, retries, rates.
            backoff: Pauses before a retry.
        """
        self.url = url
        self.connection = connection
        self.limiter = Limiter(connection.concurrency)
        self.answered = False
        self.date = ""
        """What it last said the time is (HTTP `Date`)."""
        self._api_key = api_key
        self._backoff = backoff or Backoff()
        self._paces: dict[str, SharedPace] = {}
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the shared session, opened on first use inside the running loop."""
        if self._session is None:
            import aiohttp

            headers = {"Accept": "application/json"}
            if self._api_key:
                headers["Authorization"] = f"Bearer {self._api_key}"
            if self._api_key and "api-version=" in self.url:  # Azure's deployments
                headers["api-key"] = self._api_key
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(
                    total=self.connection.timeout_s, connect=CONNECT_TIMEOUT_S
                ),
                headers=headers,
                # Not `trust_env`, which looks up the proxy, and a password in ~/.netrc, for every
                # request, each in a thread of its own.
                proxy=_proxy_of(self.url),
            )
        return self._session

    def at(self, path: str) -> str:
        """Return the address of an endpoint; the base URL's query stays at the end."""
        base, mark, query = self.url.partition("?")
        return f"{base}{path}{mark}{query}"

    async def ask(
        self,
        spec: str,
        path: str,
        pieces: Sequence[bytes],
        read: Callable[[bytes], Reply],
        tokens: int = 0,
    ) -> Reply:
        """Answer one request, retrying what passes.

        Args:
            spec: How the user names the model, for errors.
            path: The endpoint, below the base URL.
            pieces: The request's JSON.
            read: Reads a good answer; raises `ValueError` where it is none.
            tokens: The most that question and answer can hold.

        Returns:
            The reply; one that is filtered or rejected where the server would not take the request.

        Raises:
            CallFailed: The server gave no answer after all retries.
            FatalCall: No request can succeed.
            Halted: The run is stopping, and the request waits to be sent.
        """
        if spec not in self._paces:
            self._paces[spec] = SharedPace(self.connection, self.url, self._api_key, spec)
        pace, failures = self._paces[spec], list[Passing]()

        async def once() -> Reply:
            async with self.limiter:
                taken = await pace.take(tokens)
                reply = await self._once(spec, path, pieces, read)
            pace.give_back(tokens, taken, reply.usage)
            return reply

        try:
            reply = await self.retried(once, failures)
        except Passing as error:
            uncounted = sum(one.uncounted for one in failures)
            raise CallFailed(str(error), len(failures), uncounted) from None
        if uncounted := sum(one.uncounted for one in failures):
            reply = replace(reply, extra={**reply.extra, UNCOUNTED: uncounted})
        return replace(reply, attempts=len(failures) + 1)

    async def retried(self, ask: Callable[[], Awaitable[T]], failures: list[Passing]) -> T:
        """Ask until there is an answer: faults are bounded by number, overload by time.

        Raises:
            Passing: The last fault, which is the last of `failures` too.
            Halted: The run is stopping, and it would be asked again.
        """
        backoff, began = self._backoff, time.monotonic()

        async def kept() -> T:
            try:
                return await ask()
            except Passing as error:
                failures.append(error)
                raise

        try:  # the first time without tenacity, which costs a quarter of an instant answer
            return await kept()
        except Passing as error:
            first = [error]
        import tenacity

        async def again() -> T:
            if first:
                raise first.pop()
            return await kept()

        def stop(_: tenacity.RetryCallState) -> bool:
            faults = sum(not one.overload for one in failures)
            late = failures[-1].overload and time.monotonic() - began > backoff.overload_s
            return late or faults > self.connection.retries

        longer = tenacity.wait_exponential(
            multiplier=backoff.first_s, max=backoff.most_s
        ) + tenacity.wait_random(0, backoff.first_s)

        def wait(state: tenacity.RetryCallState) -> float:
            after = failures[-1].after_s
            return longer(state) if after is None else after + longer(state) / 10

        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception_type(Passing),
            stop=stop,
            wait=wait,
            sleep=pause,
            reraise=True,
        )
        return await retrying(again)

    async def _once(
        self,
        spec: str,
        path: str,
        pieces: Sequence[bytes],
        read: Callable[[bytes], Reply],
    ) -> Reply:
        import aiohttp

        began = time.perf_counter()
        size = sum(map(len, pieces))
        headers = {"Content-Type": "application/json", "Content-Length": str(size)}
        try:
            async with self.session().post(
                self.at(path),
                data=b"".join(pieces) if size <= JOINED_BYTES else _in_turn(pieces),
                headers=headers,
                allow_redirects=False,
            ) as response:
                read_so_far = bytearray()
                async for part in response.content.iter_any():
                    read_so_far += part
                    if len(read_so_far) >= MAX_ANSWER_BYTES:
                        break
                answer = bytes(read_so_far)
                status, told = response.status, response.headers
        except TimeoutError:
            raise Passing("timeout", uncounted=True) from None
        except aiohttp.ClientConnectorError as error:
            if not self.answered:
                raise FatalCall(self._nobody(error)) from None
            raise Passing(f"connection: {first_line(error)}") from None
        except aiohttp.ClientHttpProxyError as error:
            raise FatalCall(self._nobody(error)) from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise Passing(f"connection: {first_line(error)}", uncounted=True) from None
        except ValueError as error:
            raise FatalCall(f"{self.url} is no usable address: {first_line(error)}") from None
        self.answered, self.date = True, told.get("Date", "")
        self._paces[spec].learn(told)
        latency = time.perf_counter() - began
        after = retry_after(told.get("Retry-After"))
        if 200 <= status < 300:
            try:
                reply = read(answer)
            except ErrorAnswer as error:
                reply = self.not_ok(spec, error.status, error.error, after)
            except ValueError as error:
                began_with = " ".join(answer[:DETAIL_CHARS].decode("utf-8", "replace").split())
                said = self._shortened(f"malformed answer: {str(error)[:80]}: {began_with}")
                raise Passing(said, uncounted=True) from None
            self.limiter.good()
        else:
            reply = self.not_ok(spec, status, read_error(answer), after)
        return replace(reply, latency_s=latency)

    def not_ok(self, spec: str, status: int, error: Any, after_s: float | None) -> Reply:
        """Sort an error: passing (raises), final for the run (raises), or of this request."""
        said = f"http {status}: {self._shortened(words_of(error))}"
        if 300 <= status < 400:
            raise FatalCall(f"{spec}: {self.url} redirects; give the final address")
        if status in (404, 405):
            said += f" at {self.url}"
            said += ", and most addresses end in /v1" * ("/v1" not in self.url)
        if reply := refusal(spec, status, error, said):
            return reply
        overload = status in (429, 503, 529)
        if overload:
            self.limiter.overloaded(after_s)
        raise Passing(said, overload=overload, after_s=after_s if overload else None)

    def _shortened(self, text: str) -> str:
        return redact(text, self._api_key)[:DETAIL_CHARS]

    def _nobody(self, error: Exception) -> str:
        said = f"nothing answers at {self.url} ({first_line(error)})"
        if proxy := _proxy_of(self.url):
            where = urlsplit(proxy).hostname
            return f"{said}, asked through the proxy {where}: mend it, or name the host in NO_PROXY"
        return f"{said}: is the server running?"

    async def close(self) -> None:
        """Close all connections."""
        for pace in self._paces.values():
            pace.close()
        if self._session:
            await self._session.close()
            self._session = None


async def _in_turn(pieces: Sequence[bytes]) -> AsyncIterator[bytes]:
    """Give a body in pieces, so that an image's base64 is never copied into one."""
    for piece in pieces:
        yield piece


def _proxy_of(url: str) -> str | None:
    """Return the proxy that the environment names for a URL (`HTTPS_PROXY`, `NO_PROXY`, …)."""
    from urllib.request import getproxies, proxy_bypass  # slow to import; aiohttp needs it too

    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def to_json(value: Any) -> bytes:
    """Encode the body of a request."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError):  # lone surrogates, integers over 64 bits
        return json.dumps(value, separators=(",", ":")).encode()


class HttpChat:
    """A chat model on an OpenAI-compatible server; implements `ChatModel`.

    Another endpoint of the same servers (moderations) differs in `path`, `body` and `read` alone.
    """

    path = "/chat/completions"
    read = staticmethod(parse_answer)

    def __init__(self, spec: str, name: str, server: Server) -> None:
        """Name a model.

        Args:
            spec: As the user gave it.
            name: The model's name on the server.
            server: Shared by all models on it; its settings say whether calls go in batches, and
                whether it is learnt what a model does not take.
        """
        self.spec = spec
        self.endpoint = server.url
        self.name = name
        self.batching = server.connection if server.connection.batch else None
        """How its calls are put into batches; None sends each by itself."""
        self.server = server
        self._official = urlsplit(server.url).hostname == urlsplit(OPENAI_URL).hostname
        self.adapted = Adapted(LIMITS[self._official], learns=not server.connection.no_probe)

    @property
    def identity(self) -> Mapping[str, Any]:
        """Server and model name, and what is not sent as it was meant."""
        told = {"kind": "openai-chat", "url": self.endpoint, "name": self.name}
        return {**told, **self.adapted.identity}

    async def close(self) -> None:
        """Close the server's connections."""
        await self.server.close()

    @property
    def connections(self) -> int:
        """Requests in flight at its server, at most."""
        return self.server.limiter.most

    def pieces(self, request: Request) -> list[bytes]:
        """Return the JSON of a request, as it is sent, in pieces. Raises `ImageError`."""
        images = [image.portable for image in request.images]
        content: list[dict[str, Any]]
        content = [{"type": "image_url", "image_url": {"url": "spliced-image"}} for _ in images]
        # No text can hold this mark: in JSON its quotation marks would be escaped.
        texts = to_json(self.body(request, content)).split(b'"url":"spliced-image"')
        pieces = [texts[0]]
        for image, text_after in zip(images, texts[1:], strict=True):
            prefix = f'"url":"data:{image.mime};base64,'.encode()
            pieces += (prefix, image.base64, b'"' + text_after)
        return pieces

    def body(self, request: Request, content: list[dict[str, Any]]) -> dict[str, Any]:
        """Write a request's JSON around its images."""
        text = {"type": "text", "text": request.text}
        params = request.params
        rest: dict[str, Any] = {self.adapted.limit: params.max_tokens}
        if params.temperature is not None:
            rest["temperature"] = params.temperature
        if params.seed is not None:
            rest["seed"] = params.seed
        if request.schema:
            rest["response_format"] = {
                "type": "json_schema",
                "json_schema": {
                    "name": request.schema.name,
                    "strict": True,
                    "schema": request.schema.schema,
                },
            }
        system = [{"role": "system", "content": request.system}] if request.system else []
        user = {"role": "user", "content": [*content, text] if content else request.text}
        said = [{"role": "assistant", "content": request.said}] if request.said else []
        return {"model": self.name, **rest, **params.more, "messages": [*system, user, *said]}

    async def ask(self, request: Request) -> Reply:
        """Answer one request; see `ChatModel.ask`."""
        return await self.adapted.ask(request, self._once)

    async def _once(self, request: Request) -> Reply:
        try:
            pieces = self.pieces(request)
        except ImageError as error:
            return Reply("", Finish.REJECTED, detail=str(error))
        tokens = sum(most_tokens(request))
        return await self.server.ask(self.spec, self.path, pieces, self.read, tokens)
