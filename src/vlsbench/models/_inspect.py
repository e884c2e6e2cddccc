"""Any provider of Inspect as a chat model: `inspect/PROVIDER/NAME` (extra `[inspect]`).

Keys, base URLs and provider options are Inspect's own, from its environment variables
(https://inspect.aisi.org.uk/providers.html). Inspect retries and backs off by itself.
"""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from vlsbench.config import Connection
from vlsbench.errors import MissingExtra
from vlsbench.models._adapted import Adapted
from vlsbench.models._address import read_address, redact
from vlsbench.models._answers import read_finish, refusal, split_thoughts
from vlsbench.models._batch import BATCH_QUIET, BATCHED
from vlsbench.models._chat import CallFailed, FatalCall, Finish, Reply, Request, Usage
from vlsbench.models._pace import SharedPace
from vlsbench.models._prices import most_tokens
from vlsbench.pairs import ImageError
from vlsbench.text import first_line, one_line, storable

PREFIX = "inspect/"
BATCHES = ("anthropic", "google", "grok", "openai", "together")
"""Providers whose batches Inspect uses (https://inspect.aisi.org.uk/models-batch.html)."""
MOST_IN_BATCH = 10_000
"""Requests in one batch that every provider of `BATCHES` allows."""


class InspectChat:
    """A model of an Inspect provider; implements `ChatModel`."""

    def __init__(self, spec: str, connection: Connection) -> None:
        """Open the provider.

        Args:
            spec: `inspect/PROVIDER/NAME`.
            connection: How it is asked; in batches, where the provider has them (`BATCHES`).

        Raises:
            MissingExtra: inspect_ai is not installed.
            FatalCall: Inspect cannot make the model (unknown provider, missing key or package).
        """
        try:
            from inspect_ai.model import GenerateConfig, get_model
        except ImportError:
            raise MissingExtra(f"model {spec}", "inspect") from None
        self.spec = spec
        self.endpoint = "/".join(spec.split("/")[:2])
        self._name = spec.removeprefix(PREFIX)
        service = self._name.removeprefix("openai-api/").partition("/")[0]
        variable = f"{service.upper().replace('-', '_')}_BASE_URL"
        url = os.environ.get(variable)
        self._server = {"url": read_address(url, variable, f"{service}'s key")} if url else {}
        has_batches = self._name.partition("/")[0] in BATCHES
        self.batching = connection if connection.batch and has_batches else None
        self.connections = connection.batch_requests if self.batching else connection.concurrency
        self._pace = SharedPace(connection, spec)
        self.adapted = Adapted(learns=not connection.no_probe)
        try:
            self._model = get_model(
                self._name,
                memoize=False,  # a name may mean another server by now
                config=GenerateConfig(
                    max_connections=self.connections,
                    batch=_batches(connection) if self.batching else None,
                    attempt_timeout=None if self.batching else int(connection.timeout_s),
                    max_retries=connection.retries,
                ),
            )
        except Exception as error:  # each provider raises its own kinds
            said = re.sub(r"\[/?[a-z ]+\]", "", one_line(error)).removeprefix("ERROR: ")
            raise FatalCall(f"model {spec}: {redact(said)}") from None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Inspect's name of the model, and the server where the user names one."""
        return {"kind": "inspect", "name": self._name, **self._server, **self.adapted.identity}

    async def close(self) -> None:
        """Close what paces it; nothing else is held open between calls."""
        self._pace.close()

    async def ask(self, request: Request) -> Reply:
        """Answer one request; see `ChatModel.ask`."""
        return await self.adapted.ask(request, self._once)

    async def _once(self, request: Request) -> Reply:
        try:
            messages, config = _rendered(request)
        except ImageError as error:
            return Reply("", Finish.REJECTED, detail=str(error))
        # A first question is answered at once: what it tells decides how others are asked.
        batched = self.batching and not self.adapted.learns
        if not batched:
            config.batch = False
        tokens = sum(most_tokens(request))
        taken = 0.0 if batched else await self._pace.take(tokens)
        began = time.perf_counter()
        try:
            output = await self._model.generate(messages, config=config)
        except Exception as error:  # each provider raises its own kinds
            return read_inspect_error(self.spec, error)
        reply = read_inspect_output(output, time.perf_counter() - began)
        if batched:  # Inspect does not tell the batch's id
            return replace(reply, latency_s=0.0, extra={BATCHED: "inspect"})
        self._pace.give_back(tokens, taken, reply.usage)
        return reply


def _rendered(request: Request) -> tuple[list[Any], Any]:
    """Return Inspect's messages and settings of the same meaning. Raises `ImageError`."""
    from inspect_ai import model as inspects
    from inspect_ai.util import JSONSchema

    images = [
        inspects.ContentImage(image=f"data:{image.mime};base64,{image.base64.decode()}")
        for image in (image.portable for image in request.images)
    ]
    content: list[Any] = [*images, inspects.ContentText(text=request.text)]
    messages: list[Any] = [inspects.ChatMessageUser(content=content)]
    if request.system:
        messages.insert(0, inspects.ChatMessageSystem(content=request.system))
    if request.said:
        messages.append(inspects.ChatMessageAssistant(content=request.said))
    schema = None
    if request.schema:
        fields = JSONSchema.model_validate(dict(request.schema.schema))
        schema = inspects.ResponseSchema(name=request.schema.name, json_schema=fields, strict=True)
    config = inspects.GenerateConfig(
        max_tokens=request.params.max_tokens,
        temperature=request.params.temperature,
        seed=request.params.seed,
        response_schema=schema,
        extra_body=request.params.more or None,
    )
    return messages, config


def _batches(batching: Connection) -> Any:
    """Return Inspect's settings of the same meaning."""
    from inspect_ai.model import BatchConfig
    from inspect_ai.model._providers.util.batch_log import set_batch_log_callback

    # Inspect prints how its batches stand on standard output, which is ours.
    set_batch_log_callback(logging.getLogger(__name__).info)
    most, poll = min(batching.batch_requests, MOST_IN_BATCH), batching.batch_poll_s
    return BatchConfig(size=most, max_size=most, send_delay=poll * BATCH_QUIET, tick=poll)


def read_inspect_error(spec: str, error: BaseException) -> Reply:
    """Return the reply that an error of a provider is: filtered, or rejected.

    Raises:
        CallFailed: It may be gone next time.
        FatalCall: No request can succeed.
    """
    # Inspect and its retries wrap the provider's own error.
    if retried := getattr(error, "last_attempt", None):
        return read_inspect_error(spec, retried.exception())
    if hasattr(error, "provider_message") and error.__cause__:
        return read_inspect_error(spec, error.__cause__)
    status, body = getattr(error, "status_code", None), getattr(error, "body", None)
    said = f"{type(error).__name__}: {redact(first_line(error))}"
    if reply := refusal(f"model {spec}", status, body or str(error), said):
        return reply
    raise CallFailed(said, 1, 1) from None


def read_inspect_output(output: Any, latency: float = 0.0) -> Reply:
    """Read a `ModelOutput` of Inspect's; `latency` is in seconds.

    Raises:
        CallFailed: It holds no answer.
    """
    if output.empty or output.error:
        raise CallFailed(redact(first_line(output.error or "no choice in the answer")), 1, 1)
    content = output.choices[0].message.content
    parts = [] if isinstance(content, str) else [c for c in content if c.type == "reasoning"]
    thoughts = [(part.summary or "") if part.redacted else part.reasoning for part in parts]
    text, reasoning = split_thoughts(storable(output.completion))
    finish, detail = read_finish(output.stop_reason)
    counted = ("input_tokens", "output_tokens", "reasoning_tokens")
    return Reply(
        text=text,
        finish=finish,
        reasoning=storable("\n".join(filter(None, [*thoughts, reasoning]))),
        usage=Usage(*(getattr(output.usage, name, None) for name in counted)),
        latency_s=latency,
        served_by=storable(output.model),
        detail=detail,
    )
