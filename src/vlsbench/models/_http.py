"""Chat models behind any OpenAI-compatible HTTP server.

Format: https://platform.openai.com/docs/api-reference/chat (vLLM, SGLang, Ollama, llama.cpp and
gateways speak the same). The image's base64 is spliced into the request's JSON, so that an image
of megabytes is never walked by a JSON encoder.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import msgspec

from vlsbench.models._answers import FILTER_CODES, parse_answer, read_error
from vlsbench.models._chat import CallFailed, FatalCall, Finish, Reply, Request
from vlsbench.models._limits import Limiter
from vlsbench.pairs import ImageError
from vlsbench.text import first_line

if TYPE_CHECKING:
    import aiohttp
    import tenacity

OPENAI_URL = "https://api.openai.com/v1"
MAX_ANSWER_BYTES = 32 * 2**20
"""An answer larger than this is a fault of the server."""
CONNECT_TIMEOUT_S = 20
MAX_RETRY_AFTER_S = 300.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a question is asked again."""

    timeout_s: float = 300.0
    """For one request, connection to last byte."""
    retries: int = 6
    """After faults: resets, time-outs, 5xx, answers that are no JSON."""
    overload_s: float = 900.0
    """After the first 429 or 503, which say nothing against the question."""
    backoff_s: float = 0.5
    """First pause, doubled each time, with as much jitter."""
    max_backoff_s: float = 30.0


class _Passing(Exception):
    """A fault that may be gone next time."""

    def __init__(
        self, reason: str, *, overload: bool = False, after_s: float | None = None
    ) -> None:
        super().__init__(reason)
        self.overload = overload
        self.after_s = after_s


def _retrying(patience: RetryPolicy, started: float) -> tenacity.AsyncRetrying:
    """Return what asks again: faults are bounded by number, overload by time since `started`."""
    import tenacity

    faults = 0

    def failure(state: tenacity.RetryCallState) -> BaseException | None:
        return state.outcome.exception() if state.outcome else None

    def stop(state: tenacity.RetryCallState) -> bool:
        nonlocal faults
        error = failure(state)
        overload = isinstance(error, _Passing) and error.overload
        faults += not overload
        late = overload and time.monotonic() - started > patience.overload_s
        return late or faults > patience.retries

    backoff = tenacity.wait_exponential(
        multiplier=patience.backoff_s, max=patience.max_backoff_s
    ) + tenacity.wait_random(0, patience.backoff_s)

    def wait(state: tenacity.RetryCallState) -> float:
        error = failure(state)
        after = error.after_s if isinstance(error, _Passing) else None
        return backoff(state) if after is None else after + backoff(state) / 10

    return tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(_Passing), stop=stop, wait=wait, reraise=True
    )


class Server:
    """One base URL: its connections, its limit, and whether it ever answered."""

    def __init__(
        self, url: str, api_key: str | None, connections: int, patience: RetryPolicy
    ) -> None:
        self.url = url.rstrip("/")
        self.limiter = Limiter(connections)
        self.patience = patience
        self.answered = False
        self._api_key = api_key
        self._session: aiohttp.ClientSession | None = None

    def session(self) -> aiohttp.ClientSession:
        """Return the shared session, opened on first use inside the running loop."""
        if self._session is None:
            import aiohttp

            headers = {"Accept": "application/json"}
            if self._api_key:
                headers["Authorization"] = f"Bearer {self._api_key}"
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=60),
                timeout=aiohttp.ClientTimeout(
                    total=self.patience.timeout_s, connect=CONNECT_TIMEOUT_S
                ),
                headers=headers,
                # Not `trust_env`, which looks up the proxy, and a password in ~/.netrc, for every
                # request, each in a thread of its own.
                proxy=_proxy_of(self.url),
                auto_decompress=True,
            )
        return self._session

    async def ask(
        self, spec: str, path: str, pieces: Sequence[bytes], read: Callable[[bytes], Reply]
    ) -> Reply:
        """Answer one request, retrying what passes.

        Args:
            spec: How the user names the model, for errors.
            path: The endpoint, below the base URL.
            pieces: The request's JSON.
            read: Reads a good answer; raises `ValueError` where it is none.

        Returns:
            The reply; one that is filtered or rejected where the server would not take the request.

        Raises:
            CallFailed: The server gave no answer after all retries.
            FatalCall: No request can succeed.
        """
        attempts = 0

        async def once() -> Reply:
            nonlocal attempts
            attempts += 1
            async with self.limiter:
                reply = await self._once(spec, path, pieces, read)
            return replace(reply, attempts=attempts)

        first: list[_Passing] = []

        async def again() -> Reply:
            if first:
                raise first.pop()
            return await once()

        # The first attempt is made before tenacity, which costs a quarter of an instant answer.
        started = time.monotonic()
        try:
            return await once()
        except _Passing as error:
            first.append(error)
        try:
            return await _retrying(self.patience, started)(again)
        except _Passing as error:
            raise CallFailed(str(error), attempts) from None

    async def _once(
        self, spec: str, path: str, pieces: Sequence[bytes], read: Callable[[bytes], Reply]
    ) -> Reply:
        import aiohttp

        from vlsbench.models._body import Body

        began = time.perf_counter()
        try:
            async with self.session().post(
                f"{self.url}{path}",
                data=Body(pieces),
                allow_redirects=False,
            ) as response:
                answer = await response.content.read(MAX_ANSWER_BYTES)
                while not response.content.at_eof() and len(answer) < MAX_ANSWER_BYTES:
                    answer += await response.content.read(MAX_ANSWER_BYTES - len(answer))
                status, headers = response.status, response.headers
        except TimeoutError:
            raise _Passing("timeout") from None
        except aiohttp.ClientConnectorError as error:
            if not self.answered:
                raise FatalCall(
                    f"nothing answers at {self.url} ({first_line(error)}): is the server running?"
                ) from None
            raise _Passing(f"connection: {first_line(error)}") from None
        except (aiohttp.ClientError, ConnectionError) as error:
            raise _Passing(f"connection: {first_line(error)}") from None
        except UnicodeError as error:
            raise FatalCall(f"{self.url} is no usable address: {error}") from None
        self.answered = True
        latency = time.perf_counter() - began
        if status == 200:
            try:
                reply = read(answer)
            except ValueError as error:
                raise _Passing(f"malformed answer: {str(error)[:80]}") from None
            self.limiter.good()
        else:
            reply = self._not_ok(spec, status, answer, headers.get("Retry-After"))
        return replace(reply, latency_s=latency)

    def _not_ok(self, spec: str, status: int, body: bytes, retry_after: str | None) -> Reply:
        """Sort an HTTP error: passing (raises), final for the run (raises), or of this request."""
        message, code = read_error(body)
        message = self.redact(message)
        if status in (429, 503, 529):
            if code == "insufficient_quota":
                raise FatalCall(f"{spec}: the account is out of quota ({message})")
            after = _retry_after(retry_after)
            self.limiter.overloaded(after)
            raise _Passing(f"http {status}", overload=True, after_s=after)
        if status in (408, 409, 425) or status >= 500:
            raise _Passing(f"http {status}")
        if status in (401, 403):
            raise FatalCall(f"{spec}: the server refuses the key (http {status}: {message})")
        if status == 404:
            raise FatalCall(f"{spec}: no such model or path at {self.url} ({message})")
        if 300 <= status < 400:
            raise FatalCall(f"{spec}: {self.url} redirects; give the final address")
        filtered = any(mark in f"{code} {message}".lower() for mark in FILTER_CODES)
        return Reply(
            text="",
            finish=Finish.FILTERED if filtered else Finish.REJECTED,
            detail=f"http {status}: {message}",
        )

    def redact(self, text: str) -> str:
        """Take the key out of what a server said."""
        return text.replace(self._api_key, "***") if self._api_key else text

    async def close(self) -> None:
        """Close all connections."""
        if self._session:
            await self._session.close()
            self._session = None


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


def _retry_after(value: str | None) -> float | None:
    """Read Retry-After, seconds or a date (RFC 9110, 10.2.3)."""
    if not value:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError):
            return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER_S) if isfinite(seconds) else None


class HttpChat:
    """A chat model on an OpenAI-compatible server; implements `ChatModel`.

    Another endpoint of the same servers (moderations) differs in `path`, `body` and `read` alone.
    """

    path = "/chat/completions"
    read = staticmethod(parse_answer)

    def __init__(self, spec: str, name: str, server: Server, *, file_images: bool = False) -> None:
        """Name a model.

        Args:
            spec: As the user gave it.
            name: The model's name on the server.
            server: Shared by all models on it.
            file_images: Send images as `file://` URLs; the server must read the same disk
                (vLLM: `--allowed-local-media-path`).
        """
        self.spec = spec
        self.endpoint = server.url
        self.name = name
        self._server = server
        self._file_images = file_images
        self._official = urlsplit(server.url).hostname == urlsplit(OPENAI_URL).hostname

    @property
    def identity(self) -> Mapping[str, Any]:
        """Server and model name."""
        return {"kind": "openai-chat", "url": self.endpoint, "name": self.name}

    async def close(self) -> None:
        """Close the server's connections."""
        await self._server.close()

    def _pieces(self, request: Request) -> list[bytes]:
        images: list[tuple[bytes, bytes]] = []
        content: list[dict[str, Any]] = []
        marker = "spliced-image"
        for image in request.images:
            image = image.portable
            if self._file_images and image.path:
                url = image.path.resolve().as_uri()
            else:
                images.append((f'"url":"data:{image.mime};base64,'.encode(), image.base64))
                url = marker
            content.append({"type": "image_url", "image_url": {"url": url}})
        # No text can hold this mark: in JSON its quotation marks would be escaped.
        texts = to_json(self.body(request, content)).split(f'"url":"{marker}"'.encode())
        pieces = [texts[0]]
        for (prefix, data), text_after in zip(images, texts[1:], strict=True):
            pieces += (prefix, data, b'"' + text_after)
        return pieces

    def body(self, request: Request, content: list[dict[str, Any]]) -> dict[str, Any]:
        """Write a request's JSON around its images."""
        text = {"type": "text", "text": request.text}
        params = request.params
        rest: dict[str, Any] = {
            "max_completion_tokens" if self._official else "max_tokens": params.max_tokens
        }
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
        return {"model": self.name, **rest, "messages": [*system, user]}

    async def ask(self, request: Request) -> Reply:
        """Answer one request; see `ChatModel.ask`."""
        try:
            pieces = self._pieces(request)
        except ImageError as error:
            return Reply("", Finish.REJECTED, detail=str(error))
        return await self._server.ask(self.spec, self.path, pieces, self.read)
