"""From a model spec to a model that answers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import cache, partial
from typing import Any, NamedTuple

from vlsbench import registry
from vlsbench.config import Connection
from vlsbench.errors import VlsbenchError
from vlsbench.models._address import read_address, read_key
from vlsbench.models._chat import ChatModel
from vlsbench.models._hf import HfChat
from vlsbench.models._hf_load import PREFIX as HF_PREFIX
from vlsbench.models._hf_load import Loading
from vlsbench.models._http import OPENAI_URL, HttpChat, Server
from vlsbench.models._inspect import PREFIX, InspectChat
from vlsbench.models._pace import Backoff
from vlsbench.models._vllm import PREFIX as VLLM_PREFIX
from vlsbench.models._vllm import VllmServer
from vlsbench.registry import Kind

_AT_URL = re.compile(r"(.*?)@([a-z+]+://.*)", re.DOTALL)
FORMS = (
    "openai/NAME, NAME@http://host:port/v1 for any OpenAI-compatible server, "
    "inspect/PROVIDER/NAME, hf/PATH or hf/ORG/NAME in this process, vllm/NAME in a server that is "
    "started for it, or NAME or NAME/REST of a plug-in"
)


class HttpSpec(NamedTuple):
    """A parsed `openai/NAME` or `NAME@URL`."""

    name: str
    url: str
    api_key: str | None


def parse_http_spec(spec: str, environ: Mapping[str, str] = os.environ) -> HttpSpec | None:
    """Read a model spec; None where it is of another kind.

    Keys come from the environment only: `OPENAI_API_KEY` goes to `openai/…` and nowhere else,
    `VLSBENCH_API_KEY` to servers named by URL.

    Raises:
        VlsbenchError: The spec is malformed, or a key is missing.
    """
    if at := _AT_URL.match(spec):
        name, url = at.groups()
        url = read_address(url, f"model {name}@…", "VLSBENCH_API_KEY")
        if not name:
            raise VlsbenchError(f"model @{url}: expected NAME@http://host:port/v1")
        return HttpSpec(name, url, read_key("VLSBENCH_API_KEY", environ))
    if spec.startswith("openai/"):
        url = environ.get("OPENAI_BASE_URL") or OPENAI_URL
        url = read_address(url, "OPENAI_BASE_URL", "OPENAI_API_KEY")
        key = read_key("OPENAI_API_KEY", environ)
        if not key and url == OPENAI_URL:
            raise VlsbenchError(f"model {spec}: set OPENAI_API_KEY in the environment")
        return HttpSpec(spec.removeprefix("openai/"), url, key)
    return None


class Connections:
    """Opens models; those on one server share its connections and its limit."""

    def __init__(
        self,
        connection: Connection | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Set how servers are asked, and the pauses before one is asked again."""
        self._connection = connection = connection or Connection()
        self._server = cache(partial(Server, connection=connection, backoff=backoff))
        self._started = cache(partial(VllmServer, connection=connection))
        self._loaded = cache(HfChat)  # target and judge may be one

    def open(
        self,
        spec: str | ChatModel,
        chat: type[HttpChat] = HttpChat,
        extra: Mapping[str, Any] | None = None,
    ) -> ChatModel:
        """Return the model that a spec names.

        Args:
            spec: In one of the forms; a model is returned as it is.
            chat: What asks a server; another endpoint than chat has a class of its own.
            extra: Further parameters of its requests, which may say how one in this process is
                loaded.

        Raises:
            VlsbenchError: The spec is of no known form, or its key or extra is missing.
        """
        if not isinstance(spec, str):
            return registry.conforming(spec, ChatModel, "model")
        if spec.rstrip("/") in ("openai", PREFIX[:-1], HF_PREFIX[:-1], VLLM_PREFIX[:-1]):
            raise VlsbenchError(f"model {spec} has no name: give {FORMS}")
        if spec.startswith(PREFIX):
            return InspectChat(spec, self._connection)
        if http := parse_http_spec(spec):
            return chat(spec, http.name, self._server(http.url, http.api_key))
        if spec.startswith(VLLM_PREFIX):
            started = self._started(spec)
            return chat(spec, started.name, started)
        if spec.startswith(HF_PREFIX):
            return self._loaded(spec, Loading.of(extra or {}))
        if plugin := registry.find(Kind.MODEL, spec.partition("/")[0]):
            model: ChatModel = plugin.open(spec)
            return registry.conforming(model, ChatModel, "model")
        raise VlsbenchError(
            f"unknown model {spec!r}: give {FORMS}; registered are "
            f"{', '.join(registry.names(Kind.MODEL))}"
        )


registry.model(
    "openai", summary="OpenAI's models, openai/NAME; NAME@URL asks any OpenAI-compatible server."
)(HttpChat)
registry.model(
    "inspect", summary="Models of any Inspect provider, inspect/PROVIDER/NAME (extra `inspect`)."
)(InspectChat)
registry.model(
    "hf", free=True, summary="A model in this process, hf/PATH or hf/ORG/NAME (extra `align`)."
)(HfChat)
registry.model(
    "vllm", free=True, summary="A model in a server that is started for it, vllm/NAME (vLLM)."
)(VllmServer)
